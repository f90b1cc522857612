"""What a suite chooses, in which order, under which digest, and what it is refused for."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from suites.definition.resolving import on_routes, resolve, run_order
from suites.definition.suite_schema import suite_version
from suites.definition.suite_toml import load_suite
from suites.definition.tests.documents import CASE, METAS, SUITE, meta
from suites.errors import SubmitterError
from suites.identity import canonical_json


def test_breadth_first_from_the_registered_seed() -> None:
    version = resolve(load_suite(SUITE), METAS)
    routes = [p.route for p in version.planned]
    assert len(routes) == 30
    assert all(set(routes[i : i + 5]) == {f"r{n}" for n in range(5)} for i in range(0, 30, 5)), (
        "every route once a round"
    )
    assert version == resolve(load_suite(SUITE), METAS[::-1]), (
        "the order of the store does not matter"
    )
    other = resolve(load_suite(SUITE.replace("order_seed = 7", "order_seed = 8")), METAS)
    assert [p.case_id for p in other.planned] != [p.case_id for p in version.planned]
    assert other.digest != version.digest


def test_a_smaller_run_is_another_suite_version_on_a_prefix_of_the_routes() -> None:
    suite = load_suite(SUITE)
    whole, cut = resolve(suite, METAS), resolve(on_routes(suite, 2), METAS)
    assert [p.route for p in cut.planned[:2]] == [p.route for p in whole.planned[:2]]
    assert Counter(p.route for p in cut.planned).total() == 12
    assert cut.digest != whole.digest


def test_a_run_has_the_versions_rollouts_in_an_order_of_its_own() -> None:
    version = resolve(load_suite(SUITE + CASE[CASE.index("[[cases]]") :]), METAS)
    own = run_order(version, 123)
    assert own != version.planned
    assert own == run_order(version, 123) != run_order(version, 124)
    assert Counter(p.case_id for p in own) == Counter(p.case_id for p in version.planned)
    routes = [p.route for p in own[:30]]
    assert all(set(routes[i : i + 5]) == {f"r{n}" for n in range(5)} for i in range(0, 30, 5))
    assert [p.case_id for p in own[30:]] == ["hugging#0", "hugging#1"], "must-pass cases come last"
    assert run_order(version, 7) == version.planned, "the seed that the suite fixes"


SLICES = """
[[slices]]
name = "wet_night"
tags = ["rain", "dusk"]
[[slices]]
name = "rain"
tags = ["rain"]
minimum = 5
"""
WET = [*METAS, meta(5, 0, "rain"), meta(5, 1, "rain", "dusk"), meta(9, 1, "rain", "night")]


def test_a_slice_is_the_selected_segments_with_all_its_tags() -> None:
    version = resolve(load_suite(SUITE + SLICES), WET)
    assert version.slices == {"wet_night": ("r5/1",), "rain": ("r5/0", "r5/1")}
    assert suite_version(json.loads(canonical_json(version))) == version


def test_a_slice_of_nothing_is_refused_with_what_to_do() -> None:
    with pytest.raises(SubmitterError, match="slices without a segment") as refused:
        resolve(load_suite(SUITE + SLICES), [*METAS, meta(5, 0, "rain")])
    (finding,) = refused.value.findings
    assert (finding.where, "rain and dusk" in finding.problem) == ("slices.0.tags", True)
    assert finding.remedy


def test_the_version_survives_storage() -> None:
    version = resolve(load_suite(SUITE), METAS)
    again = suite_version(json.loads(canonical_json(version)))
    assert again == version
    assert again.digest == version.digest


def test_another_segment_content_is_another_digest() -> None:
    changed = [replace(m, origin={"seed": 1}) if m.segment_id == "r0/0" else m for m in METAS]
    assert resolve(load_suite(SUITE), changed).digest != resolve(load_suite(SUITE), METAS).digest


def test_cases_are_resolved_with_their_repeats_and_seeds() -> None:
    version = resolve(load_suite(CASE), METAS)
    assert [p.case_id for p in version.planned] == ["hugging#0", "hugging#1"]
    first, second = version.planned
    assert first.scenario == second.scenario
    assert first.scenario.seed(0) != first.scenario.seed(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("end_s = 8.0", "end_s = 2.0"), "contradicts itself"),
        (("pose_m = 0.05", "pose_m = 0.0"), "contradicts itself"),
        (("lateral_offset_m", "lateral_offset"), "contradicts itself"),
        (("end_s = 8.0", "end_s = 80.0"), "lasts 15 s"),
        (("r0/0", "r0/7"), "not stored"),
    ],
)
def test_a_case_that_cannot_be_driven_is_refused(change: tuple[str, str], message: str) -> None:
    with pytest.raises(SubmitterError, match=message):
        resolve(load_suite(CASE.replace(*change)), METAS)


def test_selecting_nothing_is_refused() -> None:
    with pytest.raises(SubmitterError, match="selects no stored segment"):
        resolve(load_suite(SUITE), [])


@pytest.mark.parametrize(
    ("before", "after", "where"),
    [
        ("start_s = 2.0\nend_s = 8.0", "start_s = 16.0", "cases.hugging.start_s"),
        ("always = {", "from_s = 6.0\nalways = {", "cases.hugging.conditions.0.from_s"),
    ],
)
def test_a_window_that_is_never_driven_is_refused(before: str, after: str, where: str) -> None:
    assert before in CASE
    with pytest.raises(SubmitterError, match="can never be judged") as refused:
        resolve(load_suite(CASE.replace(before, after)), METAS)
    assert refused.value.findings[0].where == where
    assert refused.value.findings[0].remedy


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (("end_s = 8.0", "end_s = 2.01"), "lasts 0.01 s"),
        (("r0/0", "controls/0"), "drives camera segments"),
        (("[[cases]]", '[simulator]\nname = "rendered"\n[[cases]]'), "procedural world"),
    ],
)
def test_a_case_that_no_simulator_can_drive_is_refused_before_it_costs_a_segment(
    edit: tuple[str, str], problem: str
) -> None:
    """Driven, it would end as damaged data, and its segment would be kept out of every suite."""
    text = CASE.replace(*edit)
    assert text != CASE
    controls = replace(meta(7, 0), segment_id="controls/0", kind="controls")
    with pytest.raises(SubmitterError) as refused:
        resolve(load_suite(text), [*METAS, controls])
    assert problem in refused.value.findings[0].problem
    assert refused.value.findings[0].remedy


def test_a_rendered_suite_selects_rendered_worlds_only() -> None:
    with pytest.raises(SubmitterError, match="simulator can't drive"):
        resolve(load_suite(SUITE + '[simulator]\nname = "rendered"\n'), METAS)
