"""The two models of a proof, where they are driven, and a case's rule on one of their rollouts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from suites.conditions import judge, load_condition
from suites.definition.suite_schema import CaseSpec
from suites.rollout import DriveKey, ExecutionClass, Rollout, Scenario, SimulatorSpec
from suites.vocabulary import FAILING, Outcome

Drive = Callable[[Sequence[DriveKey]], Sequence[Rollout]]
"""Rollouts of these keys, in their order. May raise to be asked again later."""


class DrivenModel(NamedTuple):
    """A model as it is run."""

    model: str
    execution: ExecutionClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Who did it, who does not, and where they are driven."""

    offender: DrivenModel
    control: DrivenModel
    simulator: SimulatorSpec
    segment_id: str
    segment_digest: str
    duration_s: float

    def key(self, driven: DrivenModel, spec: CaseSpec, repeat: int = 0) -> DriveKey:
        """The rollout of a case by one of the two."""
        scenario = Scenario(
            segment_id=self.segment_id,
            segment_digest=self.segment_digest,
            start_s=spec.start_s,
            end_s=spec.end_s or self.duration_s,
            offset=spec.offset,
            noise=spec.noise,
        )
        return DriveKey(
            model=driven.model,
            scenario=scenario,
            repeat=repeat,
            simulator=self.simulator,
            execution=driven.execution,
        )

    def drive_both(self, spec: CaseSpec, drive: Drive) -> tuple[Rollout, Rollout]:
        """The offender's and the control's first rollout of a case."""
        offender, control = drive([self.key(self.offender, spec), self.key(self.control, spec)])
        return offender, control


class Judged(NamedTuple):
    """One rollout by a case's conditions."""

    passed: bool | None
    """None: it can't be told."""
    reason: str
    instant_s: float | None


def judged(spec: CaseSpec, rollout: Rollout) -> Judged:
    """A case's conditions on one rollout: every one must hold, and the rollout must not fail."""
    failed = Judged(False, rollout.reason, rollout.ended_s)
    if rollout.outcome in FAILING and not spec.conditions:
        return failed
    if rollout.outcome is Outcome.DATA_INVALID:
        return Judged(None, rollout.reason, None)
    answers = [judge(load_condition(c), rollout.trace, rollout.outcome) for c in spec.conditions]
    broken = [a for a in answers if a.held is False]
    if broken:
        # A condition without an instant broke at the rollout's end.
        at_s = [rollout.ended_s if a.instant_s is None else a.instant_s for a in broken]
        first = broken[at_s.index(min(at_s))]
        return Judged(False, f"{first.condition}: {first.reason}", first.instant_s)
    if rollout.outcome in FAILING:
        return failed
    for answer in answers:
        if answer.held is None:
            return Judged(None, f"{answer.condition}: {answer.reason}", None)
    if answers or rollout.outcome is Outcome.COMPLETED:
        return Judged(True, "", None)
    return Judged(None, rollout.reason, None)
