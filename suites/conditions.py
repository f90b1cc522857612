"""Conditions: readable predicates over a trace, judged step by step, whose answer points at the instant.

    [[cases.conditions]]
    name = "stays in its lane"
    judge = "must"                       # or "must_not"
    from_s = 2.0                         # window, seconds from the start of the case's own window
    to_s = 8.0
    when = { signal = "speed_mps", above = 5 }          # only these steps are judged
    always = { all = [
        { signal = "lateral_offset_m", absolute = true, below = 0.8 },
        { not = { signal = "line_crossing_s", below = 0.5, for_s = 0.2 } },
    ] }

`share = 0.95` beside `always` asks for that share of the judged steps instead of all of them: for what one hiccup of the
machine must not decide, as the wall time of a step.

Logic is Kleene's: a step whose signal is unknown is unknown, and a condition whose answer hangs on it is too.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError

from suites.errors import Finding, SubmitterError
from suites.identity import digest
from suites.manifest import STRICT, validation_findings
from suites.metrics.comfort import (
    lateral_acceleration_mps2,
    lateral_jerk_mps3,
    longitudinal_jerk_mps3,
)
from suites.metrics.steps import column
from suites.metrics.tracking import lane_position_m
from suites.rollout import TRACE_COLUMNS, Trace
from suites.vocabulary import FAILING, Outcome

Floats = NDArray[np.float64]
Expression = dict[str, Any]
MAX_DEPTH = 12
LARGEST = 1e9
"""No signal, place or duration is beyond it: what is, was not meant."""
WALL_TIMES = frozenset({"policy_time_s"})
"""Signals that differ between equal rollouts: a condition on them must forgive a step (`share`), and its answer is that of
the one rollout that was stored."""


def line_crossing_s(trace: Trace) -> Floats:
    """[T] time to line crossing, s: distance of the body to the lane edge that it moves towards over the lateral speed
    at which it does (van Winsum et al. 2000, first-order); infinite while it moves to neither, 0 beyond an edge."""
    half = trace.vehicle_width_m / 2
    lateral_mps = column(trace, "speed_mps") * np.sin(column(trace, "heading_error_rad"))
    room_left, room_right = (
        column(trace, "lane_left_m") - half,
        -column(trace, "lane_right_m") - half,
    )
    room = np.where(lateral_mps >= 0, room_left, room_right)
    with np.errstate(divide="ignore", invalid="ignore"):
        time = np.where(
            np.abs(lateral_mps) > 1e-6, np.maximum(room, 0) / np.abs(lateral_mps), np.inf
        )
    time = np.where(np.minimum(room_left, room_right) <= 0, 0.0, time)
    return np.where(np.isfinite(room_left) & np.isfinite(room_right), time, np.nan)


DERIVED: dict[str, tuple[Callable[[Trace], Floats], str]] = {
    "lane_position_m": (lane_position_m, "position from the middle of the lane, left positive, m"),
    "lateral_acceleration_mps2": (lateral_acceleration_mps2, "lateral acceleration, m/s²"),
    "lateral_jerk_mps3": (lateral_jerk_mps3, "lateral jerk, m/s³"),
    "longitudinal_jerk_mps3": (longitudinal_jerk_mps3, "longitudinal jerk, m/s³"),
    "line_crossing_s": (line_crossing_s, "time until the body crosses a lane edge, s"),
    "lane_gap_left_m": (
        lambda t: column(t, "lane_left_m") - t.vehicle_width_m / 2,
        "room to the lane's left edge, m",
    ),
    "lane_gap_right_m": (
        lambda t: -column(t, "lane_right_m") - t.vehicle_width_m / 2,
        "room to its right edge, m",
    ),
    "road_gap_left_m": (
        lambda t: column(t, "road_left_m") - t.vehicle_width_m / 2,
        "room to the road's left edge, m",
    ),
    "road_gap_right_m": (
        lambda t: -column(t, "road_right_m") - t.vehicle_width_m / 2,
        "room to its right edge, m",
    ),
}
"""Signals beside the trace's own columns, with their meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    __pydantic_config__ = STRICT

    name: str = ""
    judge: Literal["must", "must_not"] = "must"
    from_s: Annotated[float, Field(ge=0)] = 0.0
    to_s: Annotated[float, Field(gt=0)] | None = None
    when: Expression | None = None
    always: Expression | None = None
    eventually: Expression | None = None
    share: Annotated[float, Field(ge=0.5, le=1)] = 1.0
    """Of the judged steps, that `always` must hold on."""

    def __str__(self) -> str:
        return self.name or f"{self.judge} {'always' if self.always is not None else 'eventually'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Whether a condition held; `held` is None where it cannot be told, and `reason` then says why."""

    condition: str
    held: bool | None
    reason: str
    instant_s: float | None = None
    """The step that decided it."""


_CONDITION: TypeAdapter[Condition] = TypeAdapter(Condition)


def result_name(document: dict[str, Any]) -> str:
    """Under which a condition's result is stored beside the metrics': editing a bound is another result, not another drive."""
    return f"condition:{digest(document)}"


def load_condition(document: dict[str, Any], where: str = "condition") -> Condition:
    """Raises SubmitterError naming the field: unknown signals, impossible windows, empty or contradictory rules."""
    try:
        condition = _CONDITION.validate_python(document)
    except ValidationError as error:
        found = tuple(replace(f, where=f"{where}.{f.where}") for f in validation_findings(error))
        raise SubmitterError(f"{where} is not valid", found) from None
    findings = []
    if (condition.always is None) == (condition.eventually is None):
        findings.append(
            Finding(
                where,
                "needs exactly one of always and eventually",
                "add one, or make it two conditions",
            )
        )
    if condition.to_s is not None and condition.to_s <= condition.from_s:
        findings.append(
            Finding(
                f"{where}.to_s",
                f"the window {condition.from_s:g} to {condition.to_s:g} s is empty",
                "make to_s larger",
            )
        )
    if condition.share < 1 and condition.always is None:
        findings.append(
            Finding(
                f"{where}.share",
                "is a share of the steps of `always`",
                "say always, or leave it out",
            )
        )
    for name in ("when", "always", "eventually"):
        expression = getattr(condition, name)
        if expression is not None:
            wrong = _problems(expression, f"{where}.{name}", 0)
            findings += wrong
            if not wrong and condition.share == 1 and WALL_TIMES & signals(expression):
                remedy = "judge it with always and a share below 1, such as share = 0.95"
                findings.append(
                    Finding(f"{where}.{name}", "a wall time is never the same twice", remedy)
                )
    if findings:
        raise SubmitterError(f"{where} cannot be judged", tuple(findings))
    return condition


def signals(expression: Any) -> set[str]:
    """Names of the signals that an expression reads."""
    if isinstance(expression, dict):
        named = {str(expression["signal"])} if "signal" in expression else set()
        return named.union(*(signals(part) for part in expression.values()))
    return (
        set().union(*(signals(part) for part in expression))
        if isinstance(expression, list)
        else set()
    )


def _problems(expression: Any, where: str, depth: int) -> list[Finding]:
    if not isinstance(expression, dict) or depth > MAX_DEPTH:
        return [
            Finding(where, "is no table", "write a rule such as { signal = …, below = … }")
            if depth <= MAX_DEPTH
            else Finding(where, "is nested too deeply", f"at most {MAX_DEPTH} levels")
        ]
    keys = set(expression)
    if keys in ({"all"}, {"any"}):
        name = keys.pop()
        parts = expression[name]
        if not isinstance(parts, list) or not parts:
            return [Finding(f"{where}.{name}", "has no rule", "write a list with at least one")]
        return [
            f
            for i, part in enumerate(parts)
            for f in _problems(part, f"{where}.{name}.{i}", depth + 1)
        ]
    if keys == {"not"}:
        return _problems(expression["not"], f"{where}.not", depth + 1)
    if "radius_m" in keys or "polygon" in keys:
        return _area_problems(expression, where)
    return _signal_problems(expression, where)


def _number(value: Any) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and -LARGEST <= value <= LARGEST
    )


def _area_problems(expression: Expression, where: str) -> list[Finding]:
    if set(expression) == {"x_m", "y_m", "radius_m"}:
        good = all(_number(v) for v in expression.values()) and expression["radius_m"] > 0
        return (
            []
            if good
            else [Finding(where, "is no area", "give finite x_m, y_m and a radius_m above 0")]
        )
    corners = expression.get("polygon")
    good = set(expression) == {"polygon"} and isinstance(corners, list) and len(corners) >= 3
    if good and all(
        isinstance(c, (list, tuple)) and len(c) == 2 and all(_number(v) for v in c)
        for c in corners or ()
    ):
        return []
    return [
        Finding(
            where, "is no area", "give x_m, y_m, radius_m, or a polygon of at least three [x, y]"
        )
    ]


def _signal_problems(expression: Expression, where: str) -> list[Finding]:
    findings = [
        Finding(
            f"{where}.{key}",
            "is unknown here",
            "signal, absolute, above, below, for_s; or all, any, not; or an area",
        )
        for key in sorted(set(expression) - {"signal", "absolute", "above", "below", "for_s"})
    ]
    signal = expression.get("signal")
    if not isinstance(signal, str) or (signal not in TRACE_COLUMNS and signal not in DERIVED):
        known = ", ".join(sorted({*TRACE_COLUMNS, *DERIVED}))
        findings.append(
            Finding(f"{where}.signal", f"no signal is named {signal!r:.80}", f"one of {known}")
        )
    bounds = [expression[k] for k in ("above", "below") if k in expression]
    if not bounds or not all(_number(b) for b in bounds):
        findings.append(
            Finding(where, "has no bound", "give a finite number in above, below or both")
        )
    elif len(bounds) == 2 and bounds[0] >= bounds[1]:
        findings.append(
            Finding(
                where, f"nothing is above {bounds[0]:g} and below {bounds[1]:g}", "exchange them"
            )
        )
    if "for_s" in expression and not (_number(expression["for_s"]) and expression["for_s"] > 0):
        findings.append(Finding(f"{where}.for_s", "is no duration", "give seconds, above 0"))
    if not isinstance(expression.get("absolute", False), bool):
        findings.append(
            Finding(f"{where}.absolute", "is neither true nor false", "give one of them")
        )
    return findings


def _not(truth: Floats) -> Floats:
    return 1.0 - truth


def _all(truths: list[Floats]) -> Floats:
    stacked = np.stack(truths)
    known_false = (stacked == 0).any(axis=0)
    return np.where(known_false, 0.0, np.where(np.isnan(stacked).any(axis=0), np.nan, 1.0))


def evaluate(expression: Expression, trace: Trace) -> Floats:
    """[T] 1 true, 0 false, NaN unknown, of a checked expression."""
    if "all" in expression:
        return _all([evaluate(part, trace) for part in expression["all"]])
    if "any" in expression:
        return _not(_all([_not(evaluate(part, trace)) for part in expression["any"]]))
    if "not" in expression:
        return _not(evaluate(expression["not"], trace))
    if "radius_m" in expression:
        distance = np.hypot(
            column(trace, "x_m") - expression["x_m"], column(trace, "y_m") - expression["y_m"]
        )
        return np.asarray(distance <= expression["radius_m"], dtype=np.float64)
    if "polygon" in expression:
        return _inside(
            np.asarray(expression["polygon"], dtype=np.float64),
            column(trace, "x_m"),
            column(trace, "y_m"),
        )
    return _compare(expression, trace)


def _inside(corners: Floats, x: Floats, y: Floats) -> Floats:
    """Even-odd rule: a ray to +x crosses the polygon's edges an odd number of times."""
    inside = np.zeros(len(x), dtype=bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        spans = (y1 > y) != (y2 > y)
        if spans.any():
            inside ^= spans & (x < (x2 - x1) * (y - y1) / ((y2 - y1) or np.inf) + x1)
    return np.asarray(inside, dtype=np.float64)


def _compare(expression: Expression, trace: Trace) -> Floats:
    name = expression["signal"]
    try:
        values = DERIVED[name][0](trace) if name in DERIVED else column(trace, name)
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
    """[T] 1 where `truth` has been 1 for so many steps up to and including this one."""
    if steps > len(truth):
        return np.zeros(len(truth))
    padded = np.concatenate([np.zeros(steps - 1), truth])
    return _all([padded[shift : shift + len(truth)] for shift in range(steps)])


def judge(condition: Condition, trace: Trace | None, outcome: Outcome) -> Judgement:
    """Judge one condition on one rollout.

    What was not driven is unknown; a rollout that failed inside the window breaks every `must always` at that instant.
    A `when` that never came true was not reached: it cannot be told.
    """
    name = str(condition)
    if trace is None or not len(trace):
        failed = outcome in FAILING
        return Judgement(
            condition=name,
            held=False if failed else None,
            reason=f"not one step was driven: {outcome}",
            instant_s=0.0 if failed else None,
        )
    times = column(trace, "t_s") - column(trace, "t_s")[0]
    planned_s = trace.planned_steps / trace.rate_hz
    end = planned_s if condition.to_s is None else min(condition.to_s, planned_s)
    window = (times >= condition.from_s - 1e-9) & (times <= end + 1e-9)
    expression = condition.always if condition.always is not None else condition.eventually
    assert expression is not None  # load_condition checked it
    truth = evaluate(expression, trace)
    applies = np.ones(len(trace)) if condition.when is None else evaluate(condition.when, trace)
    truth, applies, times = truth[window], applies[window], times[window]
    # A rollout that ended before the window did leaves its rest undriven.
    whole = bool(
        len(trace) >= trace.planned_steps or (len(trace) - 1) / trace.rate_hz >= end - 1e-9
    )
    wants_false = condition.judge == "must_not"
    always = condition.always is not None
    decisive = 0.0 if always else 1.0
    deciding = np.flatnonzero((applies == 1) & (truth == decisive))
    if (
        condition.share < 1
    ):  # so many steps are forgiven, of those that the window has if it is driven to its end
        judged = (
            int((applies == 1).sum()) if whole else round((end - condition.from_s) * trace.rate_hz)
        )
        deciding = deciding[int((1 - condition.share) * judged) :]
    if len(deciding):
        happened = not always
        instant = float(times[deciding[0]])
        return _answer(
            name,
            happened != wants_false,
            f"{'broken' if always else 'came true'} at {instant:.2f} s",
            instant,
        )
    if not whole:
        if outcome in FAILING:
            instant = len(trace) / trace.rate_hz
            return _answer(name, False, f"the rollout ended at {instant:.2f} s: {outcome}", instant)
        return _answer(name, None, f"the rollout ended before the window did: {outcome}", None)
    if not (applies == 1).any():
        return _answer(name, None, "the situation was never reached", None)
    if np.isnan(truth[applies == 1]).any() or np.isnan(applies).any():
        return _answer(name, None, "the signal is unknown at steps that matter", None)
    return _answer(
        name, always != wants_false, "held throughout" if always else "never came true", None
    )


def _answer(name: str, held: bool | None, reason: str, instant_s: float | None) -> Judgement:
    return Judgement(condition=name, held=held, reason=reason, instant_s=instant_s)
