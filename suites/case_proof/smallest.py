"""Making a case small: the smallest offset and the shortest window that still show the surprise."""

from collections.abc import Callable
from dataclasses import replace

from suites.case_proof.trial import Drive, Judged, Trial, judged
from suites.definition.suite_schema import CaseSpec
from suites.rollout import Noise, Offset

LEAD_S = 0.5
TAIL_S = 1.0
"""What a window keeps before and after the instant at which the rule breaks."""
STEP_S = 0.25
"""How finely a window's start is looked for."""
OFFSET_STEP = 0.125
"""How finely the offset is, as a share of what it was."""

Shows = Callable[[CaseSpec], Judged | None]
"""The offender's failure at a case that the control passes; None: the case shows no surprise."""


def smallest(trial: Trial, spec: CaseSpec, drive: Drive) -> CaseSpec:
    """The case with the smallest offset, then the shortest window, that shows the surprise.

    Found by bisection, without noise. `spec` itself where it shows none.
    """

    def shows(smaller: CaseSpec) -> Judged | None:
        bare = replace(smaller, noise=Noise())
        offender, control = trial.drive_both(bare, drive)
        found = judged(bare, offender)
        return found if found.passed is False and judged(bare, control).passed else None

    if shows(spec) is None:
        return spec
    spec = _smaller_offset(spec, shows)
    found = shows(spec)
    if found is None or found.instant_s is None or not movable(spec):
        return spec
    return _shorter_window(spec, found.instant_s, shows)


def movable(spec: CaseSpec) -> bool:
    """Whether a shorter window asks for less.

    It does not where a condition counts seconds from the window's start, is about a share of it, or
    wants something to happen in it.
    """
    forbids = all(("always" in c) == (c.get("judge", "must") == "must") for c in spec.conditions)
    return forbids and not any({"from_s", "to_s", "share"} & c.keys() for c in spec.conditions)


def _smaller_offset(spec: CaseSpec, shows: Shows) -> CaseSpec:
    if spec.offset == Offset():
        return spec
    centred = replace(spec, offset=Offset())
    if shows(centred):
        return centred
    fails = 1.0
    passes = 0.0
    while fails - passes > OFFSET_STEP:
        middle = (fails + passes) / 2
        if shows(replace(spec, offset=_scaled(spec.offset, middle))):
            fails = middle
        else:
            passes = middle
    return replace(spec, offset=_scaled(spec.offset, fails))


def _scaled(offset: Offset, share: float) -> Offset:
    return Offset(
        lateral_m=round(offset.lateral_m * share, 4),
        longitudinal_m=round(offset.longitudinal_m * share, 4),
        heading_rad=round(offset.heading_rad * share, 4),
    )


def _shorter_window(spec: CaseSpec, instant_s: float, shows: Shows) -> CaseSpec:
    """The latest start that still fails, then the earliest end. `instant_s`: of `spec`."""
    assert spec.end_s is not None  # the caller filled it in
    fails_from = spec.start_s
    instant = spec.start_s + instant_s
    passes_from = instant - LEAD_S + STEP_S
    while passes_from - fails_from > STEP_S:
        middle = round((passes_from + fails_from) / 2, 2)
        if middle <= fails_from:
            break
        answer = shows(replace(spec, start_s=middle))
        if answer is not None and answer.instant_s is not None:
            fails_from = middle
            instant = middle + answer.instant_s
        else:
            passes_from = middle
    late = replace(spec, start_s=fails_from)
    shorter = replace(late, end_s=round(min(instant + TAIL_S, spec.end_s), 2))
    return shorter if shows(shorter) else late
