"""Which stored segments a suite takes: rules over tags and facts, and what each rule leaves out.

    [select]
    tags_all = ["highway"]
    mean_speed_mps = { min = 20.0, max = 35.0 }    # either end may be left out
    max_curvature = { min = 0.002 }                # 1/m: bends of a radius below 500 m
    time_of_day = ["twilight", "night"]
    weather = ["rain", "snow"]
    intersection = false
    platform = ["TOYOTA COROLLA TSS2 2019"]

A segment is taken that meets every rule. An unknown fact meets no rule on it, and is counted.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field

from suites.errors import Finding
from suites.manifest import STRICT
from suites.segment import SegmentMeta, TimeOfDay, Weather

RANGES = ("mean_speed_mps", "max_speed_mps", "max_curvature")
"""Fields of Selector that bound the fact of their name ..."""
WORDS = ("time_of_day", "weather", "platform")
"""... and that list what it may be."""
Rule = Callable[[SegmentMeta], bool | None]
"""Whether a segment meets it; None: unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """From `min` to `max`, both included; an end that is not given is open."""

    __pydantic_config__ = STRICT

    min: Annotated[float, Field(ge=0)] | None = None
    max: Annotated[float, Field(ge=0)] | None = None

    def holds(self, value: float) -> bool:
        return (self.min is None or self.min <= value) and (self.max is None or value <= self.max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """All segments that match every rule given."""

    __pydantic_config__ = STRICT

    tags_all: tuple[str, ...] = ()
    tags_any: tuple[str, ...] = ()
    tags_none: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    mean_speed_mps: Range | None = None
    max_speed_mps: Range | None = None
    max_curvature: Range | None = None
    """1/m, magnitude."""
    time_of_day: tuple[TimeOfDay, ...] = ()
    """Any of the words; weather and platform likewise."""
    weather: tuple[Weather, ...] = ()
    intersection: bool | None = None
    platform: tuple[str, ...] = ()
    """Whole names; upper and lower case are the same."""
    max_routes: Annotated[int, Field(gt=0)] | None = None
    """How many routes are taken, the first in the registered random order."""
    kind: Literal["camera", "controls"] = "camera"


def selected(selector: Selector, metas: Iterable[SegmentMeta]) -> list[SegmentMeta]:
    """The segments that meet every rule, by id."""
    rules = _rules(selector).values()
    taken = [meta for meta in metas if all(rule(meta) for rule in rules)]
    return sorted(taken, key=lambda meta: meta.segment_id)


def left_out(selector: Selector, metas: Sequence[SegmentMeta]) -> tuple[Finding, ...]:
    """How many segments each rule leaves out alone, and how many of those since it is not known."""
    found = []
    for name, rule in _rules(selector).items():
        answers = [rule(meta) for meta in metas]
        out = len(answers) - answers.count(True)
        problem = f"leaves out {out} of {len(metas)} segments"
        remedy = "see `redrive segments list` for what is stored"
        if unknown := answers.count(None):
            problem += f", {unknown} of them because it is not known"
            remedy = "import them again, stating what no log tells "
            remedy += "(`redrive segments import --help`)"
        if out:
            found.append(Finding(f"select.{name}", problem, remedy))
    return tuple(found)


def selector_contradictions(selector: Selector) -> Iterator[Finding]:
    """Rules that no segment can meet, or that say nothing."""
    for name in RANGES:
        if (bounds := getattr(selector, name)) is None:
            continue
        if bounds.min is None and bounds.max is None:
            yield Finding(f"select.{name}", "it has no bound", "give min, max or both")
        elif None not in (bounds.min, bounds.max) and bounds.min > bounds.max:
            problem = f"min {bounds.min:g} is above max {bounds.max:g}"
            yield Finding(f"select.{name}", problem, "swap them")
    refused = set(selector.tags_none)
    for name in ("tags_all", "tags_any"):
        wanted = set(getattr(selector, name))
        if wanted & refused and (name == "tags_all" or wanted <= refused):
            problem = f"tags_none refuses {', '.join(sorted(wanted & refused))}"
            yield Finding(f"select.{name}", problem, "name it in one of them only")


def _rules(s: Selector) -> dict[str, Rule]:
    """The rules that are stated, by field."""
    rules: dict[str, Rule] = {"kind": lambda m: m.kind == s.kind}
    if s.tags_all:
        rules["tags_all"] = lambda m: set(s.tags_all) <= set(m.tags)
    if s.tags_any:
        rules["tags_any"] = lambda m: bool(set(s.tags_any) & set(m.tags))
    if s.tags_none:
        rules["tags_none"] = lambda m: not set(s.tags_none) & set(m.tags)
    if s.routes:
        rules["routes"] = lambda m: m.route in s.routes
    if s.segments:
        rules["segments"] = lambda m: m.segment_id in s.segments
    for name in RANGES:
        if (bounds := getattr(s, name)) is not None:
            rules[name] = _fact(name, bounds.holds)
    for name in WORDS:
        if words := {word.casefold() for word in getattr(s, name)}:
            rules[name] = _fact(name, partial(_is_one_of, words))
    if s.intersection is not None:
        rules["intersection"] = _fact("intersection", lambda crosses: crosses is s.intersection)
    return rules


def _is_one_of(words: set[str], word: str) -> bool:
    return word.casefold() in words


def _fact(name: str, meets: Callable[[Any], bool]) -> Rule:
    def rule(meta: SegmentMeta) -> bool | None:
        value = getattr(meta.facts, name)
        return None if value is None else meets(value)

    return rule
