"""The lock-step loop: one simulator, one policy, many rows. Rows that end leave the batch and free their place."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from suites.rollout import DriveKey, Rollout, Trace
from suites.words import Outcome
from workers.policy.protocol import Action, Policy, PolicyError
from workers.simulation.protocol import Simulator

StateT = TypeVar("StateT")


def drive(simulator: Simulator[StateT], policy: Policy, keys: Sequence[DriveKey]) -> Iterator[Rollout]:
    """One rollout per key, yielded as it ends.

    Warm-up actions are discarded, whatever they hold. After it, a row whose action is not finite is policy_failed and
    the others go on; a PolicyError ends every row still driving. Raises DataError where a segment is damaged (the rows
    not yet yielded are the caller's to drive again without it) and SubmitterError for a model that the simulator cannot
    drive. Rows are independent: a rollout is the same in any batch, but for its policy_time_s.
    """
    if not keys:
        return
    state = simulator.begin(keys, policy.manifest)
    warm_up, step = simulator.warm_up_steps(state), 0
    rows = list(keys)
    policy.start(len(rows))
    while rows:
        observation = simulator.observe(state)
        started = time.perf_counter()
        try:
            action = policy.act(observation)
            _check_batch(action, len(rows))
        except PolicyError as error:
            for place, key in enumerate(rows):
                yield _rollout(key, Outcome.POLICY_FAILED, str(error), *_record(simulator, state, place, policy))
            return
        spent = (time.perf_counter() - started) / len(rows)
        if step >= warm_up:
            finite = _finite(action, len(rows))
            if not finite.all():
                for row in np.flatnonzero(~finite):
                    reason = "the model answered a number that is not finite"
                    yield _rollout(rows[row], Outcome.POLICY_FAILED, reason, *_record(simulator, state, int(row), policy))
                kept = np.flatnonzero(finite)
                rows = [rows[row] for row in kept]
                if not rows:
                    return
                state, action = simulator.keep(state, kept), _rows_of(action, kept)
                policy.keep(kept)
        state, ended = simulator.step(state, action, spent)
        step += 1
        if len(ended.rows):
            for row, outcome, reason in zip(ended.rows, ended.outcomes, ended.reasons, strict=True):
                yield _rollout(rows[row], outcome, reason, *_record(simulator, state, int(row), policy))
            kept = np.setdiff1d(np.arange(len(rows), dtype=np.int64), ended.rows)
            rows = [rows[row] for row in kept]
            if rows:
                state = simulator.keep(state, kept)
                policy.keep(kept)


def _parts(action: Action) -> dict[str, NDArray[np.float64]]:
    """What the action holds, by name."""
    every = {"curvature": action.curvature, "plan": action.plan, "acceleration": action.acceleration}
    return {name: np.asarray(part) for name, part in every.items() if part is not None}


def _check_batch(action: Action, batch: int) -> None:
    for name, part in _parts(action).items():
        if part.ndim == 0 or len(part) != batch:
            raise PolicyError(f"the model answered {name} of shape {list(part.shape)} to a batch of {batch}")


def _finite(action: Action, batch: int) -> NDArray[np.bool_]:
    """[B] rows whose every number is finite."""
    finite = np.ones(batch, np.bool_)
    for part in _parts(action).values():
        finite &= np.isfinite(part.reshape(batch, -1)).all(axis=1)
    return finite


def _rows_of(action: Action, rows: NDArray[np.int64]) -> Action:
    return replace(action, **{name: part[rows] for name, part in _parts(action).items()})


def _record(simulator: Simulator[StateT], state: StateT, row: int, policy: Policy) -> tuple[Trace, dict[str, Any]]:
    return simulator.trace(state, row), {**policy.provenance, **simulator.provenance(state, row)}


def _rollout(key: DriveKey, outcome: Outcome, reason: str, trace: Trace, provenance: dict[str, Any]) -> Rollout:
    ended_s = len(trace) / trace.rate_hz
    trusted = trace.columns.get("trusted")
    return Rollout(
        key=key, outcome=outcome, reason=reason, ended_s=ended_s, trace=trace if len(trace) else None,
        trusted_share=float(np.mean(trusted)) if trusted is not None and len(trusted) else 1.0,
        provenance=provenance,
    )  # fmt: skip
