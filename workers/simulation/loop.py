"""The lock-step loop: one simulator, one policy, many rows. Rows that end leave the batch.

    begin ─▶ observe ─▶ act ─▶ step ─▶ keep the rows that go on ─┐
                ▲                                                │
                └────────────────────────────────────────────────┘

Batches of several policies can go on side by side (`side_by_side`). Their rows then look at about
the same frames at about the same time, and what a simulator decodes serves all of them.
"""

import math
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from suites.rollout import DriveKey, Rollout, Trace
from suites.vocabulary import Outcome
from workers.policy.policy import Action, Policy, PolicyError
from workers.simulation.simulator import Simulator

StateT = TypeVar("StateT")


@dataclass(frozen=True, slots=True)
class LoopProgress:
    """What a batch has come to after a step."""

    time_s: float
    """Where the next step begins, from the window's start; negative in warm-up."""
    ended: tuple[Rollout, ...] = ()


Way = Generator[LoopProgress, None, None]
"""A batch that goes on by one step whenever it is asked for its next progress."""


def drive(
    simulator: Simulator[StateT], policy: Policy, keys: Sequence[DriveKey]
) -> Iterator[Rollout]:
    """One rollout per key, yielded as it ends (`steps`)."""
    yield from side_by_side([steps(simulator, policy, keys)])


def side_by_side(ways: Sequence[Way]) -> Iterator[Rollout]:
    """The rollouts of several batches. What one of them raises ends all.

    The next step is that of the batch furthest behind in time: they stay together to one step of
    the slowest rate.
    """
    due = [(-math.inf, number) for number in range(len(ways))]
    with ExitStack() as opened:
        for way in ways:
            opened.enter_context(closing(way))
        while due:
            _, number = heappop(due)
            for progress in islice(ways[number], 1):
                heappush(due, (progress.time_s, number))
                yield from progress.ended


def steps(simulator: Simulator[StateT], policy: Policy, keys: Sequence[DriveKey]) -> Way:
    """A batch, step by step: one rollout per key, in the progress of the step at which it ends.

    Warm-up actions are discarded, whatever they hold. After it, a row whose action is not finite is
    policy_failed and the others go on; a PolicyError ends every row still driving. Rows are
    independent: a rollout is the same in any batch, but for its policy_time_s.

    Raises DataError where a segment is damaged (the rows not yet yielded are the caller's to drive
    again without it) and SubmitterError for a model that the simulator cannot drive.
    """
    if not keys:
        return
    state = simulator.begin(keys, policy.manifest)
    warm_up = simulator.warm_up_steps(state)
    dt = 1.0 / policy.manifest.rate_hz
    rows = list(keys)
    step = 0

    def over(row: int, outcome: Outcome, reason: str) -> Rollout:
        provenance = {**policy.provenance, **simulator.provenance(state, row)}
        return _rollout(rows[row], outcome, reason, simulator.trace(state, row), provenance)

    policy.start(len(rows))
    while rows:
        ended: list[Rollout] = []
        observation = simulator.observe(state)
        started = time.perf_counter()
        try:
            action = policy.act(observation)
            _check_batch(action, len(rows))
        except PolicyError as error:
            failed = [over(row, Outcome.POLICY_FAILED, str(error)) for row in range(len(rows))]
            yield LoopProgress(math.inf, tuple(failed))
            return
        spent = (time.perf_counter() - started) / len(rows)
        if step >= warm_up and not (finite := _finite(action, len(rows))).all():
            reason = "the model answered a number that is not finite"
            for row in np.flatnonzero(~finite).tolist():
                ended.append(over(row, Outcome.POLICY_FAILED, reason))
            kept = np.flatnonzero(finite)
            rows = [rows[row] for row in kept]
            if not rows:
                yield LoopProgress(math.inf, tuple(ended))
                return
            state = simulator.keep(state, kept)
            action = _rows_of(action, kept)
            policy.keep(kept)
        state, end = simulator.step(state, action, spent)
        step += 1
        if len(end.rows):
            ends = zip(end.rows.tolist(), end.outcomes, end.reasons, strict=True)
            ended += [over(row, outcome, reason) for row, outcome, reason in ends]
            kept = np.setdiff1d(np.arange(len(rows), dtype=np.int64), end.rows)
            rows = [rows[row] for row in kept]
            if rows:
                state = simulator.keep(state, kept)
                policy.keep(kept)
        yield LoopProgress((step - warm_up) * dt, tuple(ended))


def _parts(action: Action) -> dict[str, NDArray[np.float64]]:
    """What the action holds, by name."""
    named = ((name, getattr(action, name)) for name in ("curvature", "plan", "acceleration"))
    return {name: np.asarray(part) for name, part in named if part is not None}


def _check_batch(action: Action, batch: int) -> None:
    for name, part in _parts(action).items():
        if part.ndim == 0 or len(part) != batch:
            shape = list(part.shape)
            raise PolicyError(f"the model answered {name} of shape {shape} to a batch of {batch}")


def _finite(action: Action, batch: int) -> NDArray[np.bool_]:
    """[B] rows whose every number is finite."""
    finite = np.ones(batch, np.bool_)
    for part in _parts(action).values():
        finite &= np.isfinite(part.reshape(batch, -1)).all(axis=1)
    return finite


def _rows_of(action: Action, rows: NDArray[np.int64]) -> Action:
    return replace(action, **{name: part[rows] for name, part in _parts(action).items()})


def _rollout(
    key: DriveKey, outcome: Outcome, reason: str, trace: Trace, provenance: dict[str, Any]
) -> Rollout:
    trusted = trace.columns.get("trusted")
    return Rollout(
        key=key,
        outcome=outcome,
        reason=reason,
        ended_s=len(trace) / trace.rate_hz,
        trace=trace if len(trace) else None,
        trusted_share=float(np.mean(trusted)) if trusted is not None and len(trusted) else 1.0,
        provenance=provenance,
    )
