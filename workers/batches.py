"""From drive_keys to rollouts, without a service: the Celery task and `redrive replay` drive through here."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from suites.errors import DataError, SubmitterError, error_text
from suites.identity import digest
from suites.manifest import Manifest
from suites.rollout import DriveKey, ExecutionClass, Rollout
from suites.simulators import default_execution
from suites.vocabulary import Outcome
from workers.policy.agreement import Watched, check_agreement
from workers.policy.load import open_policy
from workers.policy.policy import PolicyError
from workers.policy.sandbox.kept import KeptPolicies
from workers.simulation.loop import LoopProgress, Way, drive, side_by_side, steps
from workers.simulation.memory import free_bytes, row_bytes, rows_that_fit
from workers.simulation.open_simulator import open_simulator
from workers.simulation.simulator import Simulator

log = logging.getLogger(__name__)

MAX_BATCH = 64
"""Rows that advance in lock-step; fewer where memory is short (workers.simulation.memory)."""

TOGETHER = 2
"""Models that are driven side by side, so that a segment is decoded once for both: bounds the memory of one call."""

ALONE_FAILURES = 3
"""So many rows of a failed batch that fail alone as well convince us that the model fails, not its company."""

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
    """One rollout for every key, in the order in which they end; keys of two models are driven side by side.

    A model's failure and damaged data are outcomes (policy_failed, data_invalid) of the rows that they concern.
    `auxiliary`: role to file, e.g. {"dynamics": .../tinyphysics.onnx}; `kept`: policies of earlier calls in this thread,
    which stay open for later ones (the caller closes them); without it they are closed at the end. Raises MachineError where
    this machine can't drive: rollouts yielded before it stand.
    """
    simulators: dict[str, dict[tuple[str, ExecutionClass], list[DriveKey]]] = {}
    for key in keys:
        simulators.setdefault(digest(key.simulator), {}).setdefault(
            (key.model, key.execution), []
        ).append(key)
    with nullcontext(kept) if kept is not None else closing(KeptPolicies()) as policies:
        for models in simulators.values():
            groups = list(models.values())
            simulator = open_simulator(groups[0][0].simulator, segments_root, auxiliary)
            for first in range(0, len(groups), TOGETHER):
                some = groups[first : first + TOGETHER]
                yield from side_by_side(
                    [
                        _Driver(simulator, *find_model(g[0].model), sandboxed, policies).drive(g)
                        for g in some
                    ]
                )


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
        start, each = 0, row_bytes(self.manifest)
        device = keys[0].execution.device if self.manifest.camera else "cpu"
        while start < len(keys):
            free = free_bytes(device) // TOGETHER
            rows = rows_that_fit(free, each, MAX_BATCH)
            if rows < min(MAX_BATCH, len(keys) - start):
                log.info(
                    "batches of %d rows: %d MiB free, %.1f MiB a row",
                    rows,
                    free >> 20,
                    each / 2**20,
                )
            yield from self._confirmed(keys[start : start + rows])
            start += rows

    def _confirmed(self, keys: Sequence[DriveKey]) -> Way:
        """A batch, and those of its rows alone that another row may have taken down with it: a rollout is a function of
        its key, so it must not depend on who else was in the batch."""
        failed: list[Rollout] = []
        for progress in self._batch(keys):
            failed += (r for r in progress.ended if r.outcome is Outcome.POLICY_FAILED)
            yield replace(
                progress,
                ended=tuple(r for r in progress.ended if r.outcome is not Outcome.POLICY_FAILED),
            )
        confirmed = 0
        for rollout in failed:
            if len(failed) == 1 or confirmed == ALONE_FAILURES:
                yield LoopProgress(math.inf, (rollout,))
                continue
            for progress in self._batch([rollout.key]):
                confirmed += sum(alone.outcome is Outcome.POLICY_FAILED for alone in progress.ended)
                yield progress

    def _batch(self, keys: Sequence[DriveKey]) -> Way:
        waiting = {key.digest: key for key in keys}
        try:
            self._agree(keys[0])
            opened = partial(
                open_policy,
                self.manifest,
                self.graphs,
                execution=keys[0].execution,
                sandboxed=self.sandboxed,
            )
            with self.policies.lend((keys[0].model, keys[0].execution), opened) as policy:
                for progress in steps(self.simulator, policy, keys):
                    for rollout in progress.ended:
                        del waiting[rollout.key.digest]
                    yield progress
            return
        except (
            PolicyError,
            SubmitterError,
        ) as error:  # before the first step: it can't be opened, or not driven here
            failed = str(error)
        except DataError as error:
            yield from self._without_the_damaged(list(waiting.values()), error)
            return
        yield LoopProgress(
            math.inf,
            tuple(_not_driven(key, Outcome.POLICY_FAILED, failed) for key in waiting.values()),
        )

    def _agree(self, key: DriveKey) -> None:
        """On a runtime, a device or a precision that is not the reference, a model first shows, once in this process, that it
        answers there as on the reference: over the observations of one rollout. Raises SubmitterError where it does not."""
        reference = default_execution(self.manifest)
        model = (key.model, key.execution)
        if key.execution == reference or model in _agreed:
            return
        with (
            closing(
                open_policy(
                    self.manifest, self.graphs, execution=reference, sandboxed=self.sandboxed
                )
            ) as first,
            closing(
                open_policy(
                    self.manifest, self.graphs, execution=key.execution, sandboxed=self.sandboxed
                )
            ) as other,
        ):
            watched = Watched(first)
            for _ in drive(self.simulator, watched, [key]):
                pass
            check_agreement(first, other, watched.seen, 1)
        _agreed.add(model)

    def _without_the_damaged(self, keys: Sequence[DriveKey], error: DataError) -> Way:
        """One segment is damaged: its keys are data_invalid, those of the others are driven."""
        segments: dict[str, list[DriveKey]] = {}
        for key in keys:
            segments.setdefault(key.scenario.segment_digest, []).append(key)
        if len(segments) == 1:
            yield LoopProgress(
                math.inf,
                tuple(_not_driven(key, Outcome.DATA_INVALID, error_text(error)) for key in keys),
            )
            return
        for one_segment in segments.values():
            yield from self._batch(one_segment)


def _not_driven(key: DriveKey, outcome: Outcome, reason: str) -> Rollout:
    return Rollout(key=key, outcome=outcome, reason=reason, ended_s=0.0, trace=None)
