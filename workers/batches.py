"""From drive_keys to rollouts, without a service: the drive task and `redrive replay` come here.

drive_keys     keys by simulator, then by model; TOGETHER models side by side
  _Driver.drive        one model: batches of as many rows as fit into memory
    _confirmed         rows that failed in company are driven again alone
      _batch           one policy, one lock-step loop; damaged segments are set aside
"""

import logging
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from itertools import filterfalse
from pathlib import Path
from typing import Any

from suites.errors import DataError, SubmitterError, error_text
from suites.execution_classes import default_execution
from suites.identity import digest
from suites.manifest import Manifest
from suites.rollout import DriveKey, ExecutionClass, Rollout
from suites.vocabulary import Outcome
from workers.policy.agreement import Watched, check_agreement
from workers.policy.load import open_policy
from workers.policy.policy import Policy, PolicyError
from workers.policy.sandbox.kept import KeptPolicies
from workers.simulation.loop import LoopProgress, Way, drive, side_by_side, steps
from workers.simulation.memory import free_bytes, row_bytes, rows_that_fit
from workers.simulation.open_simulator import open_simulator
from workers.simulation.simulator import Simulator

log = logging.getLogger(__name__)

MAX_BATCH = 64
"""Rows that advance in lock-step; fewer where memory is short (workers.simulation.memory)."""

TOGETHER = 2
"""Models driven side by side: a segment is decoded once for both. Bounds the memory of a call."""

ALONE_FAILURES = 3
"""Rows of a failed batch that must fail alone too before the model is blamed, not its company."""

_agreed: set[tuple[str, ExecutionClass]] = set()
"""Models and execution classes whose agreement with the reference was shown in this process."""

FindModel = Callable[[str], tuple[Manifest, dict[str, Path]]]
"""Model identity to its manifest and its graphs (sha256 to file)."""


def drive_keys(
    keys: Sequence[DriveKey],
    *,
    segments_root: Path,
    find_model: FindModel,
    auxiliary: dict[str, Path],
    sandboxed: bool = True,
    kept: KeptPolicies | None = None,
) -> Iterator[Rollout]:
    """One rollout for every key, in the order in which they end.

    A model's failure and damaged data are outcomes (policy_failed, data_invalid) of their rows.
    `auxiliary`: role to file, e.g. {"dynamics": .../tinyphysics.onnx}.
    `kept`: policies of earlier calls in this thread. They stay open; the caller closes them.
    Without it policies are closed at the end.
    Raises MachineError where this machine can't drive: rollouts yielded before it stand.
    """
    with nullcontext(kept) if kept is not None else closing(KeptPolicies()) as policies:
        for of_simulator in _grouped(keys, lambda key: digest(key.simulator)):
            simulator = open_simulator(of_simulator[0].simulator, segments_root, auxiliary)
            models = _grouped(of_simulator, _model_of)
            for first in range(0, len(models), TOGETHER):
                ways = []
                for group in models[first : first + TOGETHER]:
                    manifest, graphs = find_model(group[0].model)
                    driver = _Driver(simulator, manifest, graphs, sandboxed, policies)
                    ways.append(driver.drive(group))
                yield from side_by_side(ways)


def _grouped(keys: Sequence[DriveKey], by: Callable[[DriveKey], Hashable]) -> list[list[DriveKey]]:
    """Keys that are alike in one respect, groups and keys in the order of their first."""
    groups: dict[Hashable, list[DriveKey]] = {}
    for key in keys:
        groups.setdefault(by(key), []).append(key)
    return list(groups.values())


def _model_of(key: DriveKey) -> tuple[str, ExecutionClass]:
    return key.model, key.execution


@dataclass(frozen=True)
class _Driver:
    """A simulator and one model."""

    simulator: Simulator[Any]
    manifest: Manifest
    graphs: dict[str, Path]
    sandboxed: bool
    policies: KeptPolicies

    def drive(self, keys: Sequence[DriveKey]) -> Way:
        """Batch after batch, each of as many rows as fit into the memory that is free now."""
        start = 0
        each = row_bytes(self.manifest)
        device = keys[0].execution.device if self.manifest.camera else "cpu"
        while start < len(keys):
            free = free_bytes(device) // TOGETHER
            rows = rows_that_fit(free, each, MAX_BATCH)
            if rows < min(MAX_BATCH, len(keys) - start):
                short = "batches of %d rows: %d MiB free, %.1f MiB a row"
                log.info(short, rows, free >> 20, each / 2**20)
            yield from self._confirmed(keys[start : start + rows])
            start += rows

    def _confirmed(self, keys: Sequence[DriveKey]) -> Way:
        """A batch, then alone those of its rows that another row may have taken down with it.

        A rollout is a function of its key: it must not depend on who else was in the batch.
        """
        failed: list[Rollout] = []
        for progress in self._batch(keys):
            failed += filter(_model_failed, progress.ended)
            yield replace(progress, ended=tuple(filterfalse(_model_failed, progress.ended)))
        confirmed = 0
        for rollout in failed:
            if len(failed) == 1 or confirmed == ALONE_FAILURES:
                yield _ended([rollout])
                continue
            for progress in self._batch([rollout.key]):
                confirmed += sum(map(_model_failed, progress.ended))
                yield progress

    def _batch(self, keys: Sequence[DriveKey]) -> Way:
        waiting = {key.digest: key for key in keys}
        try:
            self._agree(keys[0])
            execution = keys[0].execution
            with self.policies.lend(_model_of(keys[0]), lambda: self._open(execution)) as policy:
                for progress in steps(self.simulator, policy, keys):
                    for rollout in progress.ended:
                        del waiting[rollout.key.digest]
                    yield progress
            return
        # before the first step: the model can't be opened, or can't be driven here
        except (PolicyError, SubmitterError) as error:
            yield _not_driven(waiting.values(), Outcome.POLICY_FAILED, str(error))
        except DataError as error:
            yield from self._without_the_damaged(list(waiting.values()), error)

    def _open(self, execution: ExecutionClass) -> Policy:
        return open_policy(
            self.manifest, self.graphs, execution=execution, sandboxed=self.sandboxed
        )

    def _agree(self, key: DriveKey) -> None:
        """A model answers on every execution class as on the reference.

        Shown once in this process, over the observations of one rollout, before anything else is
        driven there. Raises SubmitterError where the answers differ.
        """
        reference = default_execution(self.manifest)
        if key.execution == reference or _model_of(key) in _agreed:
            return
        with closing(self._open(reference)) as first, closing(self._open(key.execution)) as other:
            watched = Watched(first)
            for _ in drive(self.simulator, watched, [key]):
                pass
            check_agreement(first, other, watched.seen, 1)
        _agreed.add(_model_of(key))

    def _without_the_damaged(self, keys: Sequence[DriveKey], error: DataError) -> Way:
        """One segment is damaged: its keys are data_invalid, those of the others are driven."""
        segments = _grouped(keys, lambda key: key.scenario.segment_digest)
        if len(segments) == 1:
            yield _not_driven(keys, Outcome.DATA_INVALID, error_text(error))
            return
        for one_segment in segments:
            yield from self._batch(one_segment)


def _model_failed(rollout: Rollout) -> bool:
    return rollout.outcome is Outcome.POLICY_FAILED


def _not_driven(keys: Iterable[DriveKey], outcome: Outcome, reason: str) -> LoopProgress:
    return _ended(
        [Rollout(key=k, outcome=outcome, reason=reason, ended_s=0.0, trace=None) for k in keys]
    )


def _ended(rollouts: Iterable[Rollout]) -> LoopProgress:
    """Rollouts that no loop waits for any more."""
    return LoopProgress(math.inf, tuple(rollouts))
