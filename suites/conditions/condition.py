"""A condition as it is written in a case, and what may be wrong with it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from suites.conditions.signals import SIGNALS
from suites.errors import Finding, SubmitterError
from suites.identity import digest
from suites.manifest import STRICT, validation_findings

Expression = dict[str, Any]
MAX_DEPTH = 12
LARGEST = 1e9
"""No signal, place or duration is beyond it: what is, was not meant."""
WALL_TIMES = frozenset({"policy_time_s"})
"""Signals that differ between equal rollouts.

A condition on them must forgive a step (`share`). Its answer is of the one rollout that was stored.
"""
COMPARISON = ("signal", "absolute", "above", "below", "for_s")
"""Keys of a rule on a signal."""


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


_CONDITION: TypeAdapter[Condition] = TypeAdapter(Condition)


def result_name(document: dict[str, Any]) -> str:
    """Under which a condition's result is stored beside the metrics'.

    Editing a bound is another result, not another drive.
    """
    return f"condition:{digest(document)}"


def load_condition(document: dict[str, Any], where: str = "condition") -> Condition:
    """Raises SubmitterError naming the field: unknown signals, impossible windows, empty rules."""
    try:
        condition = _CONDITION.validate_python(document)
    except ValidationError as error:
        found = tuple(replace(f, where=f"{where}.{f.where}") for f in validation_findings(error))
        raise SubmitterError(f"{where} is not valid", found) from None
    if findings := (*_contradictions(condition, where), *_wrong_rules(condition, where)):
        raise SubmitterError(f"{where} cannot be judged", findings)
    return condition


def _contradictions(condition: Condition, where: str) -> Iterator[Finding]:
    if (condition.always is None) == (condition.eventually is None):
        problem = "needs exactly one of always and eventually"
        yield Finding(where, problem, "add one, or make it two conditions")
    if condition.to_s is not None and condition.to_s <= condition.from_s:
        problem = f"the window {condition.from_s:g} to {condition.to_s:g} s is empty"
        yield Finding(f"{where}.to_s", problem, "make to_s larger")
    if condition.share < 1 and condition.always is None:
        problem = "is a share of the steps of `always`"
        yield Finding(f"{where}.share", problem, "say always, or leave it out")


def _wrong_rules(condition: Condition, where: str) -> Iterator[Finding]:
    for name in ("when", "always", "eventually"):
        expression = getattr(condition, name)
        if expression is None:
            continue
        wrong = list(_problems(expression, f"{where}.{name}", 0))
        yield from wrong
        if not wrong and condition.share == 1 and WALL_TIMES & _signals(expression):
            remedy = "judge it with always and a share below 1, such as share = 0.95"
            yield Finding(f"{where}.{name}", "a wall time is never the same twice", remedy)


def _signals(expression: Any) -> set[str]:
    """Names of the signals that an expression reads."""
    if isinstance(expression, dict):
        named = {str(expression["signal"])} if "signal" in expression else set()
        return named.union(*map(_signals, expression.values()))
    return set().union(*map(_signals, expression)) if isinstance(expression, list) else set()


def _problems(expression: Any, where: str, depth: int) -> Iterator[Finding]:
    """What is wrong with an expression, which may be anything that TOML or JSON can hold."""
    if depth > MAX_DEPTH:
        yield Finding(where, "is nested too deeply", f"at most {MAX_DEPTH} levels")
    elif not isinstance(expression, dict):
        yield Finding(where, "is no table", "write a rule such as { signal = …, below = … }")
    elif expression.keys() in ({"all"}, {"any"}):
        (name, parts), *_ = expression.items()
        if not isinstance(parts, list) or not parts:
            yield Finding(f"{where}.{name}", "has no rule", "write a list with at least one")
            return
        for i, part in enumerate(parts):
            yield from _problems(part, f"{where}.{name}.{i}", depth + 1)
    elif expression.keys() == {"not"}:
        yield from _problems(expression["not"], f"{where}.not", depth + 1)
    elif "radius_m" in expression or "polygon" in expression:
        yield from _area_problems(expression, where)
    else:
        yield from _comparison_problems(expression, where)


def _is_number(value: Any) -> bool:
    """A finite one, and no boolean, which Python takes for a number."""
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and -LARGEST <= value <= LARGEST


def _is_corner(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value))


def _area_problems(expression: Expression, where: str) -> Iterator[Finding]:
    remedy = "give x_m, y_m, radius_m, or a polygon of at least three [x, y]"
    if expression.keys() == {"x_m", "y_m", "radius_m"}:
        remedy = "give finite x_m, y_m and a radius_m above 0"
        good = all(map(_is_number, expression.values())) and expression["radius_m"] > 0
    else:
        corners = expression.get("polygon")
        alone = expression.keys() == {"polygon"}
        good = alone and isinstance(corners, list) and len(corners) >= 3
        good = good and all(map(_is_corner, corners or ()))
    if not good:
        yield Finding(where, "is no area", remedy)


def _comparison_problems(expression: Expression, where: str) -> Iterator[Finding]:
    known = f"{', '.join(COMPARISON)}; or all, any, not; or an area"
    for key in sorted(expression.keys() - COMPARISON):
        yield Finding(f"{where}.{key}", "is unknown here", known)
    name = expression.get("signal")
    if not isinstance(name, str) or name not in SIGNALS:
        remedy = f"one of {', '.join(sorted(SIGNALS))}"
        yield Finding(f"{where}.signal", f"no signal is named {name!r:.80}", remedy)
    bounds = [expression[key] for key in ("above", "below") if key in expression]
    if not bounds or not all(map(_is_number, bounds)):
        yield Finding(where, "has no bound", "give a finite number in above, below or both")
    elif len(bounds) == 2 and bounds[0] >= bounds[1]:
        problem = f"nothing is above {bounds[0]:g} and below {bounds[1]:g}"
        yield Finding(where, problem, "exchange them")
    for_s = expression.get("for_s", 1)
    if not _is_number(for_s) or for_s <= 0:
        yield Finding(f"{where}.for_s", "is no duration", "give seconds, above 0")
    if not isinstance(expression.get("absolute", False), bool):
        yield Finding(f"{where}.absolute", "is neither true nor false", "give one of them")
