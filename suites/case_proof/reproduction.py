"""Seeing a surprise again: where it starts, and the condition that tells the two models apart."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from suites.case_proof.trial import Drive, Trial, judged
from suites.conditions.signals import signal_values
from suites.definition.suite_schema import CaseSpec, offset_name
from suites.metrics.steps import Floats
from suites.rollout import Offset, Rollout, Trace
from suites.vocabulary import Outcome

BEFORE_S = 6.0
AFTER_S = 4.0
"""Around the reported time: what is replayed to find the surprise."""
SHORTEST_S = 1.5
"""A window that the segment's ends cut shorter than this begins BEFORE_S before its end."""
STARTS = (Offset(), Offset(lateral_m=0.5), Offset(lateral_m=-0.5))
"""The path and starts beside it, for a model that does it only there."""
MARGINS = {"lateral_offset_m": 0.3, "lateral_acceleration_mps2": 1.0}
"""How far a signal's largest absolute value must go beyond the control's to be a surprise."""
MEANINGS = {
    "lateral_offset_m": "metres from the human path",
    "lateral_acceleration_mps2": "lateral acceleration in m/s²",
}
BRAKES_MPS2 = 1.5
"""How much harder than the control it must brake, for the same."""

Rule = dict[str, Any]
"""A condition as it is written in a case."""


def reproduce(
    trial: Trial, name: str, at_s: float, drive: Drive, first: Offset | None = None
) -> tuple[CaseSpec | None, str]:
    """A case around `at_s` at which the offender leaves the control's behaviour, with one sentence.

    None, and why, where the surprise was not seen again. `first` is the start that it was seen
    from: it is tried before STARTS.
    """
    start_s = max(at_s - BEFORE_S, 0.0)
    end_s = min(at_s + AFTER_S, trial.duration_s)
    if end_s - start_s < SHORTEST_S:
        start_s = max(end_s - BEFORE_S, 0.0)
    seen = CaseSpec(
        name=name, segment=trial.segment_id, start_s=round(start_s, 3), end_s=round(end_s, 3)
    )
    reasons = []
    for offset in dict.fromkeys((first or Offset(), *STARTS)):
        spec = replace(seen, offset=offset)
        offender, control = trial.drive_both(spec, drive)
        start = "" if offset == Offset() else f"starting {offset_name(offset)} "
        where = f"{start}from the human path"
        found = _difference(offender, control)
        if isinstance(found, str):
            reasons.append(f"{where}: {found}")
        else:
            proposed = replace(spec, conditions=(found,))
            return proposed, f"{where}: {judged(proposed, offender).reason}"
    return None, "; ".join(reasons)


def _difference(offender: Rollout, control: Rollout) -> Rule | str:
    """The condition that tells the two apart, or why there is none."""
    if control.outcome is not Outcome.COMPLETED or control.trace is None:
        got = f"the control itself did not get through ({control.outcome})"
        return f"{got}: it is no reference here"
    if offender.outcome is Outcome.DATA_INVALID or offender.trace is None:
        return f"the offending model was not driven: {offender.reason or offender.outcome}"
    if (condition := propose(offender.trace, control.trace)) is not None:
        return condition
    if offender.outcome is Outcome.LEFT_TRUST_REGION:
        return "the replay left the simulator's trust region before the situation was reached"
    return "it drove like the control"


def propose(offender: Trace, control: Trace) -> Rule | None:
    """The rule that the offender breaks first and the control keeps; None: no difference.

    Its bound lies halfway between the two.
    """
    broken = [*_farther(offender, control), *_brakes_harder(offender, control)]
    return min(broken, key=lambda item: item[0])[1] if broken else None


def _farther(offender: Trace, control: Trace) -> Iterator[tuple[int, Rule]]:
    """The step of the offender that breaks the rule, and the rule."""
    for name, margin in MARGINS.items():
        theirs = _known(offender, name)
        ours = _known(control, name)
        if theirs is None or ours is None:
            continue
        worst = np.nanmax(np.abs(theirs))
        normal = np.nanmax(np.abs(ours))
        if worst < normal + margin:
            continue
        bound = round(float(normal + worst) / 2, 2)
        rule = {"signal": name, "absolute": True, "below": bound}
        title = f"{MEANINGS[name]} below {bound:g}"
        step = int(np.argmax(np.abs(theirs) >= bound))
        yield step, {"name": title, "judge": "must", "always": rule}


def _brakes_harder(offender: Trace, control: Trace) -> Iterator[tuple[int, Rule]]:
    theirs = _known(offender, "acceleration_mps2")
    ours = _known(control, "acceleration_mps2")
    if theirs is None or ours is None or np.nanmin(theirs) >= np.nanmin(ours) - BRAKES_MPS2:
        return
    bound = round(float(np.nanmin(theirs) + np.nanmin(ours)) / 2, 2)
    rule = {"signal": "acceleration_mps2", "below": bound}
    name = f"brakes no harder than {-bound:g} m/s²"
    yield int(np.argmax(theirs < bound)), {"name": name, "judge": "must_not", "eventually": rule}


def _known(trace: Trace, name: str) -> Floats | None:
    """[T] a signal that is known somewhere."""
    values = signal_values(trace, name)
    return values if len(values) and np.isfinite(values).any() else None
