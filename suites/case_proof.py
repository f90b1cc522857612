"""From a surprise to a test that is proven to be one: reproduce it, propose a condition, make it small, prove it.

Everything here asks for rollouts through `Drive` and starts again from the beginning whenever it is called: rollouts are
stored once per drive_key, so that whoever drives (the service's workers, or this machine) may answer "not driven yet" by
raising, and call again later.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from suites.conditions import DERIVED, judge, load_condition
from suites.definition.suite_schema import CaseSpec, offset_name
from suites.metrics.steps import column, human
from suites.rollout import (
    DriveKey,
    ExecutionClass,
    Noise,
    Offset,
    Rollout,
    Scenario,
    SimulatorSpec,
    Trace,
)
from suites.vocabulary import FAILING, Outcome

Drive = Callable[[Sequence[DriveKey]], Sequence[Rollout]]
"""Rollouts of these keys, in their order. May raise to be asked again later."""

BEFORE_S, AFTER_S = 6.0, 4.0
"""Around the reported time: what is replayed to find the surprise."""
STARTS = (Offset(), Offset(lateral_m=0.5), Offset(lateral_m=-0.5))
"""Starts beside the human path, for a model that does it only where it does not start on the path."""
MARGINS: dict[str, float] = {"lateral_offset_m": 0.3, "lateral_acceleration_mps2": 1.0}
"""How far beyond the control's largest absolute value a signal must go to be a surprise."""
BRAKES_MPS2 = 1.5
"""Harder than the control, for the same."""
LEAD_S, TAIL_S, STEP_S = 0.5, 1.0, 0.25
"""What a window keeps before and after the instant at which the rule breaks, and how finely its start is looked for."""
NOISE = Noise(pose_m=0.05, heading_rad=0.002)
"""Of a proof whose case declares none: without noise repeats are copies."""


class Driver(NamedTuple):
    """A model as it is run."""

    model: str
    execution: ExecutionClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Who did it, who does not, and where they are driven."""

    offender: Driver
    control: Driver
    simulator: SimulatorSpec
    segment_id: str
    segment_digest: str
    duration_s: float

    def key(self, driver: Driver, spec: CaseSpec, repeat: int = 0) -> DriveKey:
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
            model=driver.model,
            scenario=scenario,
            repeat=repeat,
            simulator=self.simulator,
            execution=driver.execution,
        )


class Judged(NamedTuple):
    """One rollout by a case's conditions."""

    passed: bool | None
    """None: it can't be told."""
    reason: str
    instant_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Whether a case may count: the offender fails it and the control passes it, over draws of the declared noise."""

    answer: Literal["proven", "quarantined", "refused"]
    reason: str
    draws: int
    offender: tuple[Judged, ...] = ()
    control: tuple[Judged, ...] = ()


def reproduce(
    trial: Trial, name: str, at_s: float, drive: Drive, first: Offset | None = None
) -> tuple[CaseSpec | None, str]:
    """A case at which the offender leaves the control's behaviour around `at_s`, with one sentence; None with the reason
    why the surprise could not be seen again. `first`: the start that it was seen from, tried before STARTS."""
    start, end = max(at_s - BEFORE_S, 0.0), min(at_s + AFTER_S, trial.duration_s)
    if end - start < LEAD_S + TAIL_S:
        start, end = max(end - BEFORE_S, 0.0), end
    reasons = []
    for offset in dict.fromkeys((first or Offset(), *STARTS)):
        spec = CaseSpec(
            name=name,
            segment=trial.segment_id,
            start_s=round(start, 3),
            end_s=round(end, 3),
            offset=offset,
        )
        offender, control = drive([trial.key(trial.offender, spec), trial.key(trial.control, spec)])
        where = (
            f"starting {offset_name(offset)} from the human path: "
            if offset != Offset()
            else "from the human path: "
        )
        if control.outcome is not Outcome.COMPLETED or control.trace is None:
            reasons.append(
                f"{where}the control itself did not get through ({control.outcome}): it is no reference here"
            )
        elif offender.outcome is Outcome.DATA_INVALID or offender.trace is None:
            reasons.append(
                f"{where}the offending model was not driven: {offender.reason or offender.outcome}"
            )
        elif (condition := propose(offender.trace, control.trace)) is not None:
            proposed = replace(spec, conditions=(condition,))
            found = judged(proposed, offender)
            return proposed, f"{where}{found.reason}"
        elif offender.outcome is Outcome.LEFT_TRUST_REGION:
            reasons.append(
                f"{where}the replay left the simulator's trust region before the situation was reached"
            )
        else:
            reasons.append(f"{where}it drove like the control")
    return None, "; ".join(reasons)


def propose(offender: Trace, control: Trace) -> dict[str, Any] | None:
    """The rule that the offender breaks first and the control keeps: a bound halfway between the two. None: no difference."""
    found: list[tuple[int, dict[str, Any]]] = []
    for signal, margin in MARGINS.items():
        theirs, ours = _signal(offender, signal), _signal(control, signal)
        if (
            theirs is None
            or ours is None
            or np.nanmax(np.abs(theirs)) < np.nanmax(np.abs(ours)) + margin
        ):
            continue
        bound = round(float(np.nanmax(np.abs(ours)) + np.nanmax(np.abs(theirs))) / 2, 2)
        rule = {"signal": signal, "absolute": True, "below": bound}
        document = {"name": f"{_WORDS[signal]} below {bound:g}", "judge": "must", "always": rule}
        found.append((int(np.argmax(np.abs(theirs) >= bound)), document))
    brakes, normal = _signal(offender, "acceleration_mps2"), _signal(control, "acceleration_mps2")
    if (
        brakes is not None
        and normal is not None
        and np.nanmin(brakes) < np.nanmin(normal) - BRAKES_MPS2
    ):
        bound = round(float(np.nanmin(brakes) + np.nanmin(normal)) / 2, 2)
        rule = {"signal": "acceleration_mps2", "below": bound}
        document = {
            "name": f"brakes no harder than {-bound:g} m/s²",
            "judge": "must_not",
            "eventually": rule,
        }
        found.append((int(np.argmax(brakes < bound)), document))
    return min(found, key=lambda item: item[0])[1] if found else None


_WORDS = {
    "lateral_offset_m": "metres from the human path",
    "lateral_acceleration_mps2": "lateral acceleration in m/s²",
}


def _signal(trace: Trace, name: str) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    values = DERIVED[name][0](trace) if name in DERIVED else column(trace, name)
    return values if len(values) and np.isfinite(values).any() else None


def judged(spec: CaseSpec, rollout: Rollout) -> Judged:
    """A case's conditions on one rollout: every one must hold. A failed rollout fails, whatever the conditions say."""
    if rollout.outcome in FAILING and not spec.conditions:
        return Judged(False, rollout.reason, rollout.ended_s)
    if rollout.outcome is Outcome.DATA_INVALID:
        return Judged(None, rollout.reason, None)
    answers = [
        judge(load_condition(document), rollout.trace, rollout.outcome)
        for document in spec.conditions
    ]
    broken = [a for a in answers if a.held is False]
    if broken:
        first = min(
            broken, key=lambda a: a.instant_s if a.instant_s is not None else rollout.ended_s
        )
        return Judged(False, f"{first.condition}: {first.reason}", first.instant_s)
    if rollout.outcome in FAILING:
        return Judged(False, rollout.reason, rollout.ended_s)
    untold = next((a for a in answers if a.held is None), None)
    if untold is not None:
        return Judged(None, f"{untold.condition}: {untold.reason}", None)
    return (
        Judged(True, "", None)
        if answers or rollout.outcome is Outcome.COMPLETED
        else Judged(None, rollout.reason, None)
    )


class Examined(NamedTuple):
    """What became of a surprise."""

    spec: CaseSpec | None
    """The case that the proof is about; None: it was not seen again."""
    told: str
    """What was seen, and what was made of the case, in one sentence."""
    proof: Proof | None


def examine(
    trial: Trial,
    asked: CaseSpec,
    at_s: float,
    draws: int,
    drive: Drive,
    *,
    as_written: bool = False,
) -> Examined:
    """From what a person asked for to a proof. Without conditions they are proposed (`reproduce`). The case is then made as
    small as it still shows the surprise, unless it is to stay `as_written`; where only the larger one can be proven, that
    one is taken."""
    if asked.conditions:
        whole, told = (
            replace(asked, end_s=asked.end_s or trial.duration_s),
            "its author's conditions",
        )
    else:
        proposed, told = reproduce(trial, asked.name, at_s, drive, asked.offset)
        if proposed is None:
            return Examined(None, told, None)
        whole = replace(proposed, note=asked.note)
    small = whole if as_written else smallest(trial, whole, drive)
    made = "as written" if as_written else _difference(whole, small)
    spec = ready_for_proof(small, draws)
    proof = prove(trial, spec, drive)
    if proof.answer != "proven" and small != whole:
        larger = ready_for_proof(whole, draws)
        again = prove(trial, larger, drive)
        if again.answer == "proven":
            spec, proof, made = (
                larger,
                again,
                f"kept as large as it was: made smaller, {proof.reason}",
            )
    return Examined(spec, f"{told}; {made}", proof)


def _difference(whole: CaseSpec, small: CaseSpec) -> str:
    parts = [
        f"{name} from {before} to {after}"
        for name, before, after in (
            ("window", _window(whole), _window(small)),
            ("offset", offset_name(whole.offset), offset_name(small.offset)),
        )
        if before != after
    ]
    if parts:
        return "made smaller by bisection: " + ", ".join(parts)
    kept = (
        ""
        if _movable(whole)
        else ", and its window stays, for its conditions name seconds of it or ask for something to happen"
    )
    return f"nothing smaller still tells the two models apart{kept}"


def _window(spec: CaseSpec) -> str:
    return f"{spec.start_s:g}–{spec.end_s:g} s"


def _movable(spec: CaseSpec) -> bool:
    """Whether a shorter window asks for less. It does not where a condition counts seconds from the window's start, is about
    a share of it, or wants something to happen in it."""
    forbids = all(("always" in c) == (c.get("judge", "must") == "must") for c in spec.conditions)
    return forbids and not any({"from_s", "to_s", "share"} & c.keys() for c in spec.conditions)


def smallest(trial: Trial, spec: CaseSpec, drive: Drive) -> CaseSpec:
    """The case with the smallest offset and then the shortest window that the offender still fails and the control still
    passes, by bisection, without noise; `spec` itself where it is no such case."""

    def shows(smaller: CaseSpec) -> Judged | None:
        bare = replace(smaller, noise=Noise())
        offender, control = drive([trial.key(trial.offender, bare), trial.key(trial.control, bare)])
        found = judged(bare, offender)
        return found if found.passed is False and judged(bare, control).passed else None

    if shows(spec) is None:
        return spec
    spec = _smaller_offset(spec, shows)
    found = shows(spec)
    if found is None or found.instant_s is None or not _movable(spec):
        return spec
    latest = spec.start_s + found.instant_s - LEAD_S
    fails_from, instant = spec.start_s, spec.start_s + found.instant_s
    passes_from = latest + STEP_S
    while passes_from - fails_from > STEP_S:
        middle = round((passes_from + fails_from) / 2, 2)
        if middle <= fails_from:
            break
        answer = shows(replace(spec, start_s=middle))
        if answer is not None and answer.instant_s is not None:
            fails_from, instant = middle, middle + answer.instant_s
        else:
            passes_from = middle
    assert spec.end_s is not None
    shorter = replace(spec, start_s=fails_from, end_s=round(min(instant + TAIL_S, spec.end_s), 2))
    return shorter if shows(shorter) else replace(spec, start_s=fails_from)


def _smaller_offset(spec: CaseSpec, shows: Callable[[CaseSpec], Judged | None]) -> CaseSpec:
    if spec.offset == Offset():
        return spec
    if shows(replace(spec, offset=Offset())):
        return replace(spec, offset=Offset())
    fails, passes = 1.0, 0.0
    while fails - passes > 0.125:
        middle = (fails + passes) / 2
        if shows(replace(spec, offset=_scaled(spec.offset, middle))):
            fails = middle
        else:
            passes = middle
    return replace(spec, offset=_scaled(spec.offset, fails))


def _scaled(offset: Offset, share: float) -> Offset:
    parts = (offset.lateral_m, offset.longitudinal_m, offset.heading_rad)
    lateral, longitudinal, heading = (round(part * share, 4) for part in parts)
    return Offset(lateral_m=lateral, longitudinal_m=longitudinal, heading_rad=heading)


def prove(trial: Trial, spec: CaseSpec, drive: Drive) -> Proof:
    """Drive the case by its own repeats and rule. Refused: not one replay of the offender reached the situation."""
    offender = drive([trial.key(trial.offender, spec, r) for r in range(spec.repeats)])
    control = drive([trial.key(trial.control, spec, r) for r in range(spec.repeats)])
    theirs, ours = (
        tuple(judged(spec, rollout) for rollout in rollouts) for rollouts in (offender, control)
    )
    answer, reason = _answer(spec, theirs, ours)
    if answer == "proven" and trial.control.execution.runtime == "builtin":
        traces = [rollout.trace for rollout in control if rollout.trace is not None]
        if not all(human(trace).all() for trace in traces):
            answer, reason = (
                "quarantined",
                "the log is no control here: a human did not drive all of this stretch",
            )
    return Proof(answer=answer, reason=reason, draws=spec.repeats, offender=theirs, control=ours)


def _answer(
    spec: CaseSpec, offender: Sequence[Judged], control: Sequence[Judged]
) -> tuple[Literal["proven", "quarantined", "refused"], str]:
    n, needed = spec.repeats, spec.must_pass_repeats or spec.repeats
    failed, passed = (
        sum(j.passed is False for j in offender),
        sum(j.passed is True for j in control),
    )
    if all(j.passed is None for j in offender):
        return (
            "refused",
            f"no replay of the offending model reached the situation: {offender[0].reason}",
        )
    if failed < n:
        return (
            "quarantined",
            f"the offending model fails only {failed} of {n} draws: the case would be flaky",
        )
    if passed < needed:
        worst = next(j for j in control if j.passed is not True)
        return (
            "quarantined",
            f"the positive control passes only {passed} of {n} draws: {worst.reason}",
        )
    return (
        "proven",
        f"the offending model fails {failed} of {n} draws, the positive control passes {passed} of {n}",
    )


def ready_for_proof(spec: CaseSpec, draws: int) -> CaseSpec:
    """With declared noise and so many draws, unless it declares its own."""
    declared = spec if spec.noise != Noise() else replace(spec, noise=NOISE)
    return declared if declared.repeats > 1 else replace(declared, repeats=draws)
