"""Judging a condition on a rollout, step by step.

Logic is Kleene's: a step whose signal is unknown is unknown, and a condition whose answer hangs on
it is too.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from suites.conditions.condition import Condition, Expression
from suites.conditions.signals import signal_values
from suites.metrics.steps import Floats, column
from suites.rollout import Trace
from suites.vocabulary import FAILING, Outcome

ROUNDING_S = 1e-9
"""A step lies in a window whose edge it misses by no more than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Whether a condition held."""

    condition: str
    held: bool | None
    """None where it can't be told; `reason` then says why."""
    reason: str
    instant_s: float | None = None
    """The step that decided it."""


class _Window(NamedTuple):
    """The driven steps [W] of a condition's window."""

    times: Floats
    truth: Floats
    """1 true, 0 false, NaN unknown."""
    applies: Floats
    """1 where the step is judged (`when`)."""
    whole: bool
    """Whether it was driven to its end."""
    planned_steps: int
    """Of the whole window."""


def judge(condition: Condition, trace: Trace | None, outcome: Outcome) -> Judgement:
    """Judge one condition on one rollout.

    What was not driven is unknown. A rollout that failed inside the window breaks every condition
    at that instant. A `when` that never came true was not reached: it can't be told.
    """

    def answer(held: bool | None, reason: str, instant_s: float | None = None) -> Judgement:
        name = str(condition)
        return Judgement(condition=name, held=held, reason=reason, instant_s=instant_s)

    failed = outcome in FAILING
    if trace is None or not len(trace):
        reason = f"not one step was driven: {outcome}"
        return answer(False, reason, 0.0) if failed else answer(None, reason)
    window = _window(condition, trace)
    always = condition.always is not None
    must = condition.judge == "must"
    instant = _deciding_instant(condition, window)
    if instant is not None:
        what = "broken" if always else "came true"
        return answer(always != must, f"{what} at {instant:.2f} s", instant)
    if not window.whole and failed:
        end_s = len(trace) / trace.rate_hz
        return answer(False, f"the rollout ended at {end_s:.2f} s: {outcome}", end_s)
    if not window.whole:
        return answer(None, f"the rollout ended before the window did: {outcome}")
    judged = window.applies == 1
    if not judged.any():
        return answer(None, "the situation was never reached")
    if np.isnan(window.truth[judged]).any() or np.isnan(window.applies).any():
        return answer(None, "the signal is unknown at steps that matter")
    return answer(always == must, "held throughout" if always else "never came true")


def _window(condition: Condition, trace: Trace) -> _Window:
    expression = condition.always if condition.always is not None else condition.eventually
    assert expression is not None  # load_condition checked it
    times = column(trace, "t_s") - column(trace, "t_s")[0]
    planned_s = trace.planned_steps / trace.rate_hz
    end_s = planned_s if condition.to_s is None else min(condition.to_s, planned_s)
    inside = (times >= condition.from_s - ROUNDING_S) & (times <= end_s + ROUNDING_S)
    truth = evaluate(expression, trace)
    applies = np.ones(len(trace)) if condition.when is None else evaluate(condition.when, trace)
    reached_s = (len(trace) - 1) / trace.rate_hz
    return _Window(
        times=times[inside],
        truth=truth[inside],
        applies=applies[inside],
        whole=len(trace) >= trace.planned_steps or reached_s >= end_s - ROUNDING_S,
        planned_steps=round((end_s - condition.from_s) * trace.rate_hz),
    )


def _deciding_instant(condition: Condition, window: _Window) -> float | None:
    """When a judged step first broke `always`, or made `eventually` true; None: no step did."""
    decisive = 0.0 if condition.always is not None else 1.0
    judged = window.applies == 1
    deciding = np.flatnonzero(judged & (window.truth == decisive))
    if condition.share < 1:
        # The first steps are forgiven: a share of those that the window has, driven to its end.
        steps = int(judged.sum()) if window.whole else window.planned_steps
        deciding = deciding[int((1 - condition.share) * steps) :]
    return float(window.times[deciding[0]]) if len(deciding) else None


def evaluate(expression: Expression, trace: Trace) -> Floats:
    """[T] 1 true, 0 false, NaN unknown, of a checked expression."""
    if "all" in expression:
        return _all([evaluate(part, trace) for part in expression["all"]])
    if "any" in expression:  # not all of them are false
        return 1.0 - _all([1.0 - evaluate(part, trace) for part in expression["any"]])
    if "not" in expression:
        return 1.0 - evaluate(expression["not"], trace)
    if "signal" in expression:
        return _compare(expression, trace)
    x = column(trace, "x_m")
    y = column(trace, "y_m")
    if "radius_m" in expression:
        distance = np.hypot(x - expression["x_m"], y - expression["y_m"])
        return np.asarray(distance <= expression["radius_m"], dtype=np.float64)
    return _inside(np.asarray(expression["polygon"], dtype=np.float64), x, y)


def _all(truths: list[Floats]) -> Floats:
    stacked = np.stack(truths)
    unknown = np.isnan(stacked).any(axis=0)
    known_false = (stacked == 0).any(axis=0)
    return np.where(known_false, 0.0, np.where(unknown, np.nan, 1.0))


def _inside(corners: Floats, x: Floats, y: Floats) -> Floats:
    """Even-odd rule: a ray to +x crosses the polygon's edges an odd number of times."""
    inside = np.zeros(len(x), dtype=bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        spans = (y1 > y) != (y2 > y)
        if spans.any():
            inside ^= spans & (x < (x2 - x1) * (y - y1) / ((y2 - y1) or np.inf) + x1)
    return np.asarray(inside, dtype=np.float64)


def _compare(expression: Expression, trace: Trace) -> Floats:
    try:
        values = signal_values(trace, expression["signal"])
    except KeyError:
        return np.full(len(trace), np.nan)
    if expression.get("absolute"):
        values = np.abs(values)
    truth = np.ones(len(values), dtype=bool)
    if "above" in expression:
        truth &= values > expression["above"]
    if "below" in expression:
        truth &= values < expression["below"]
    answer = np.where(np.isnan(values), np.nan, truth.astype(np.float64))
    if "for_s" in expression:
        answer = _lasting(answer, max(1, round(expression["for_s"] * trace.rate_hz)))
    return answer


def _lasting(truth: Floats, steps: int) -> Floats:
    """[T] 1 where `truth` has been 1 for this many steps, up to and including this one."""
    if steps > len(truth):
        return np.zeros(len(truth))
    padded = np.concatenate([np.zeros(steps - 1), truth])
    return _all([padded[shift : shift + len(truth)] for shift in range(steps)])
