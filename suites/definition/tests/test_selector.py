"""Each rule of a selector: what it takes, what it leaves out, what it says of the unknown."""

from typing import Any

import pytest

from suites.definition.resolving import resolve
from suites.definition.selector import Selector, left_out, selected
from suites.definition.suite_toml import load_suite
from suites.errors import SubmitterError
from suites.segment import UNKNOWN, Facts, SegmentMeta, Vehicle

SUITE = """
name = "chosen"
kind = "overall"
{start}
[select]
{rules}
[[gates]]
metric = "lateral_error_mean_m"
"""


def meta(name: str, facts: Facts = UNKNOWN, *tags: str, kind: Any = "camera") -> SegmentMeta:
    return SegmentMeta(
        segment_id=f"{name}/0",
        route=name,
        source="test/1",
        kind=kind,
        frame_count=300,
        rate_hz=20,
        duration_s=15.0,
        camera=None,
        vehicle=Vehicle(),
        depth_source=None,
        tags=tags,
        facts=facts,
    )


TOWN = Facts(
    mean_speed_mps=9.0,
    max_speed_mps=14.0,
    max_curvature=0.01,
    time_of_day="night",
    weather="rain",
    intersection=True,
    platform="TESLA",
)
ROAD = Facts(
    mean_speed_mps=28.0,
    max_speed_mps=31.0,
    max_curvature=0.001,
    time_of_day="day",
    weather="dry",
    intersection=False,
    platform="demo",
)
METAS = [
    meta("town", TOWN, "curve", "exit"),
    meta("road", ROAD, "highway"),
    meta("dark"),
    meta("table", ROAD, kind="controls"),
]


def suite(rules: str, start: str = "") -> str:
    return SUITE.format(rules=rules, start=start)


def routes(rules: str) -> set[str]:
    return {p.route for p in resolve(load_suite(suite(rules)), METAS).planned}


@pytest.mark.parametrize(
    ("rule", "taken"),
    [
        ("mean_speed_mps = { min = 20.0 }", {"road"}),
        ("mean_speed_mps = { max = 20 }", {"town"}),
        ("mean_speed_mps = { min = 9.0, max = 28.0 }", {"town", "road"}),
        ("max_speed_mps = { min = 14.1, max = 40.0 }", {"road"}),
        ("max_curvature = { min = 0.002 }", {"town"}),
        ('time_of_day = ["night", "twilight"]', {"town"}),
        ('weather = ["dry", "fog"]', {"road"}),
        ("intersection = true", {"town"}),
        ("intersection = false", {"road"}),
        ('platform = ["Demo"]', {"road"}),
        ('tags_all = ["curve", "exit"]', {"town"}),
        ('tags_any = ["highway", "curve"]', {"town", "road"}),
        ('tags_none = ["exit"]', {"road", "dark"}),
        ('routes = ["dark"]', {"dark"}),
        ('segments = ["road/0"]', {"road"}),
        ('weather = ["dry", "rain"]\nmax_speed_mps = { max = 20.0 }', {"town"}),
    ],
)
def test_a_rule_takes_whom_it_names_and_never_the_unknown(rule: str, taken: set[str]) -> None:
    assert routes(rule) == taken


def test_what_is_left_out_is_counted_and_the_unknown_apart() -> None:
    found = {
        f.where: f for f in left_out(Selector(weather=("dry",), tags_all=("highway",)), METAS[:3])
    }
    assert (
        found["select.weather"].problem
        == "leaves out 2 of 3 segments, 1 of them because it is not known"
    )
    assert "import" in found["select.weather"].remedy
    assert found["select.tags_all"].problem == "leaves out 2 of 3 segments"
    assert left_out(Selector(), METAS[:3]) == ()


def test_a_suite_that_selects_nothing_says_which_rule_left_out_how_many() -> None:
    with pytest.raises(SubmitterError, match="selects no stored segment") as refused:
        resolve(load_suite(suite('weather = ["snow"]\nintersection = true')), METAS)
    assert {f.where: f.problem for f in refused.value.findings} == {
        "select.kind": "leaves out 1 of 4 segments",
        "select.weather": "leaves out 4 of 4 segments, 1 of them because it is not known",
        "select.intersection": "leaves out 3 of 4 segments, 1 of them because it is not known",
    }
    assert all(f.remedy for f in refused.value.findings)


def test_segments_too_short_for_the_window_are_said_to_be() -> None:
    with pytest.raises(SubmitterError) as refused:
        resolve(load_suite(suite('routes = ["road"]', "start_s = 14.5")), METAS)
    assert refused.value.findings[0].where == "start_s"


def test_a_selection_that_is_empty_is_refused_though_cases_are_given() -> None:
    case = '[[cases]]\nname = "one"\nsegment = "road/0"\n'
    assert resolve(load_suite(suite('routes = ["road"]') + case), METAS)
    with pytest.raises(SubmitterError, match="selects no stored segment"):
        resolve(load_suite(suite('routes = ["elsewhere"]') + case), METAS)


@pytest.mark.parametrize(
    ("rules", "where"),
    [
        ("mean_speed_mps = { min = 30.0, max = 20.0 }", "select.mean_speed_mps"),
        ("mean_speed_mps = {}", "select.mean_speed_mps"),
        ("max_curvature = { min = -0.1 }", "select.max_curvature.min"),
        ("max_speed_mps = { above = 3.0 }", "select.max_speed_mps.above"),
        ('weather = ["drizzle"]', "select.weather.0"),
        ('time_of_day = ["noon"]', "select.time_of_day.0"),
        ('tags_all = ["exit", "curve"]\ntags_none = ["exit"]', "select.tags_all"),
        ('tags_any = ["exit"]\ntags_none = ["exit"]', "select.tags_any"),
    ],
)
def test_rules_that_cannot_be_met_are_refused(rules: str, where: str) -> None:
    with pytest.raises(SubmitterError) as refused:
        load_suite(suite(rules))
    assert [f.where for f in refused.value.findings] == [where]


def test_one_kind_is_taken_in_an_order_that_is_not_the_store_s() -> None:
    assert [m.route for m in selected(Selector(kind="controls"), METAS)] == ["table"]
    assert selected(Selector(), METAS) == selected(Selector(), METAS[::-1])
