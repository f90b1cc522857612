"""From drive_keys to rollouts, without a service: the Celery task and `redrive replay` drive through here."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suites.errors import DataError, SubmitterError
from suites.model import Manifest
from suites.rollout import DriveKey, ExecutionClass, Rollout
from suites.simulators import default_execution
from suites.words import Outcome
from workers.policy.agreement import Watched, check_agreement
from workers.policy.load import open_policy
from workers.policy.protocol import PolicyError
from workers.simulation.engine import drive
from workers.simulation.protocol import Simulator
from workers.simulation.registry import open_simulator

MAX_BATCH = 64
"""Rows that advance in lock-step: bounds the memory of one call."""

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
) -> Iterator[Rollout]:
    """One rollout for every key, in the order in which they end.

    A model's failure and damaged data are outcomes (policy_failed, data_invalid) of the rows that they concern.
    `auxiliary`: role to file, e.g. {"dynamics": .../tinyphysics.onnx}. Raises MachineError where this machine can't drive:
    rollouts yielded before it stand.
    """
    groups: dict[str, list[DriveKey]] = {}
    for key in keys:
        groups.setdefault(key.group, []).append(key)
    for group in groups.values():
        first = group[0]
        manifest, graphs = find_model(first.model)
        driver = _Driver(open_simulator(first.simulator, segments_root, auxiliary), manifest, graphs, sandboxed)
        for start in range(0, len(group), MAX_BATCH):
            yield from driver.drive(group[start : start + MAX_BATCH])


@dataclass(frozen=True)
class _Driver:
    """A simulator and the model of one group."""

    simulator: Simulator[Any]
    manifest: Manifest
    graphs: dict[str, Path]
    sandboxed: bool

    def drive(self, keys: Sequence[DriveKey]) -> Iterator[Rollout]:
        """A batch, and those of its rows alone that another row may have taken down with it: a rollout is a function of
        its key, so it must not depend on who else was in the batch."""
        failed: list[Rollout] = []
        for rollout in self._batch(keys):
            if rollout.outcome is Outcome.POLICY_FAILED and len(keys) > 1:
                failed.append(rollout)
            else:
                yield rollout
        if len(failed) == 1:
            yield failed.pop()
        confirmed = 0
        for rollout in failed:
            if confirmed == ALONE_FAILURES:
                yield rollout
                continue
            for alone in self._batch([rollout.key]):
                confirmed += alone.outcome is Outcome.POLICY_FAILED
                yield alone

    def _batch(self, keys: Sequence[DriveKey]) -> Iterator[Rollout]:
        waiting = {key.digest: key for key in keys}
        try:
            self._agree(keys[0])
            with closing(
                open_policy(self.manifest, self.graphs, execution=keys[0].execution, sandboxed=self.sandboxed)
            ) as policy:
                for rollout in drive(self.simulator, policy, keys):
                    del waiting[rollout.key.digest]
                    yield rollout
            return
        except (PolicyError, SubmitterError) as error:  # before the first step: it can't be opened, or not driven here
            failed = str(error)
        except DataError as error:
            yield from self._without_the_damaged(list(waiting.values()), error)
            return
        yield from (_not_driven(key, Outcome.POLICY_FAILED, failed) for key in waiting.values())

    def _agree(self, key: DriveKey) -> None:
        """On a runtime that is not the reference, a model first shows, once in this process, that it answers there what it
        answers on the reference: over the observations of one rollout. Raises SubmitterError where it does not."""
        reference = default_execution(self.manifest)
        model = (key.model, key.execution)
        if key.execution.runtime == reference.runtime or model in _agreed:
            return
        with (
            closing(open_policy(self.manifest, self.graphs, execution=reference, sandboxed=self.sandboxed)) as first,
            closing(open_policy(self.manifest, self.graphs, execution=key.execution, sandboxed=self.sandboxed)) as other,
        ):
            watched = Watched(first)
            for _ in drive(self.simulator, watched, [key]):
                pass
            check_agreement(first, other, watched.seen, 1)
        _agreed.add(model)

    def _without_the_damaged(self, keys: Sequence[DriveKey], error: DataError) -> Iterator[Rollout]:
        """One segment is damaged: its keys are data_invalid, those of the others are driven."""
        segments: dict[str, list[DriveKey]] = {}
        for key in keys:
            segments.setdefault(key.scenario.segment_digest, []).append(key)
        if len(segments) == 1:
            yield from (_not_driven(key, Outcome.DATA_INVALID, _sentence(error)) for key in keys)
            return
        for one_segment in segments.values():
            yield from self._batch(one_segment)


def _not_driven(key: DriveKey, outcome: Outcome, reason: str) -> Rollout:
    return Rollout(key=key, outcome=outcome, reason=reason, ended_s=0.0, trace=None)


def _sentence(error: DataError) -> str:
    return "; ".join([str(error), *(f"{f.where}: {f.problem}" for f in error.findings)])
