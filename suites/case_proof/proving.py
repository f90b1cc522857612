"""The proof of a case: the offender fails it and the control passes it, at every draw of noise."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from suites.case_proof.reproduction import reproduce
from suites.case_proof.smallest import movable, smallest
from suites.case_proof.trial import Drive, DrivenModel, Judged, Trial, judged
from suites.definition.suite_schema import CaseSpec, offset_name
from suites.metrics.steps import human
from suites.rollout import Noise, Rollout

NOISE = Noise(pose_m=0.05, heading_rad=0.002)
"""Of a proof whose case declares none: without noise repeats are copies."""

Answer = Literal["proven", "quarantined", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Whether a case may count."""

    answer: Answer
    reason: str
    draws: int
    offender: tuple[Judged, ...] = ()
    control: tuple[Judged, ...] = ()


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
    """From what a person asked for to a proof.

    Conditions are proposed where none are given. Then the case is made as small as it still shows
    the surprise, unless it is to stay `as_written`. Where only the larger one can be proven, that
    one is taken.
    """
    if asked.conditions:
        told = "its author's conditions"
        whole = replace(asked, end_s=asked.end_s or trial.duration_s)
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
            made = f"kept as large as it was: made smaller, {proof.reason}"
            return Examined(larger, f"{told}; {made}", again)
    return Examined(spec, f"{told}; {made}", proof)


def _difference(whole: CaseSpec, small: CaseSpec) -> str:
    changes = {
        "window": (_window(whole), _window(small)),
        "offset": (offset_name(whole.offset), offset_name(small.offset)),
    }
    parts = [f"{name} from {was} to {now}" for name, (was, now) in changes.items() if was != now]
    if parts:
        return "made smaller by bisection: " + ", ".join(parts)
    nothing = "nothing smaller still tells the two models apart"
    if movable(whole):
        return nothing
    why = "its conditions name seconds of it or ask for something to happen"
    return f"{nothing}, and its window stays, for {why}"


def _window(spec: CaseSpec) -> str:
    return f"{spec.start_s:g}–{spec.end_s:g} s"


def ready_for_proof(spec: CaseSpec, draws: int) -> CaseSpec:
    """With declared noise and this many draws, unless it declares its own."""
    declared = spec if spec.noise != Noise() else replace(spec, noise=NOISE)
    return declared if declared.repeats > 1 else replace(declared, repeats=draws)


def prove(trial: Trial, spec: CaseSpec, drive: Drive) -> Proof:
    """Drive the case by its own repeats and rule."""

    def draws(driven: DrivenModel) -> Sequence[Rollout]:
        return drive([trial.key(driven, spec, repeat) for repeat in range(spec.repeats)])

    offender = draws(trial.offender)
    control = draws(trial.control)
    theirs = tuple(judged(spec, rollout) for rollout in offender)
    ours = tuple(judged(spec, rollout) for rollout in control)
    answer, reason = _answer(spec, theirs, ours)
    if answer == "proven" and trial.control.execution.runtime == "builtin":
        traces = [rollout.trace for rollout in control if rollout.trace is not None]
        if not all(human(trace).all() for trace in traces):
            answer = "quarantined"
            reason = "the log is no control here: a human did not drive all of this stretch"
    return Proof(answer=answer, reason=reason, draws=spec.repeats, offender=theirs, control=ours)


def _answer(
    spec: CaseSpec, offender: Sequence[Judged], control: Sequence[Judged]
) -> tuple[Answer, str]:
    n = spec.repeats
    failed = sum(j.passed is False for j in offender)
    passed = sum(j.passed is True for j in control)
    if all(j.passed is None for j in offender):
        reached = "no replay of the offending model reached the situation"
        return "refused", f"{reached}: {offender[0].reason}"
    if failed < n:
        fails = f"the offending model fails only {failed} of {n} draws"
        return "quarantined", f"{fails}: the case would be flaky"
    if passed < (spec.must_pass_repeats or n):
        worst = next(j for j in control if j.passed is not True)
        passes = f"the positive control passes only {passed} of {n} draws"
        return "quarantined", f"{passes}: {worst.reason}"
    fails = f"the offending model fails {failed} of {n} draws"
    return "proven", f"{fails}, the positive control passes {passed} of {n}"
