"""Suites: what is refused, what is chosen, in which order, under which digest."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from suites.definition.suite_schema import load_suite, on_routes, resolve, suite_version
from suites.errors import SubmitterError
from suites.identity import canonical_json, digest, seed_for
from suites.manifest import Manifest, load_manifest
from suites.segment import SegmentMeta, Vehicle
from suites.simulators import simulator_spec

SUITE = """
name = "overall"
kind = "overall"
offsets = [{}, { lateral_m = 0.5 }]
order_seed = 7

[select]
tags_none = ["night"]

[[gates]]
metric = "lateral_error_mean_m"
margin = 0.1
"""
CASE = """
name = "specific"
kind = "specific"

[[cases]]
name = "hugging"
segment = "r0/0"
start_s = 2.0
end_s = 8.0
repeats = 2
noise = { pose_m = 0.05 }
[[cases.conditions]]
always = { signal = "lateral_offset_m", absolute = true, below = 0.5 }
"""


def meta(route: int, number: int, *tags: str, duration_s: float = 15.0) -> SegmentMeta:
    return SegmentMeta(
        segment_id=f"r{route}/{number}",
        route=f"r{route}",
        source="test/1",
        kind="camera",
        frame_count=300,
        rate_hz=20,
        duration_s=duration_s,
        camera=None,
        vehicle=Vehicle(),
        depth_source=None,
        tags=tags,
    )


METAS = [meta(r, n) for r in range(5) for n in range(3)] + [meta(9, 0, "night")]


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


def test_seeds_never_depend_on_the_model_and_are_stable() -> None:
    assert seed_for("0" * 64, 0) == seed_for("0" * 64, 0)
    assert 0 <= seed_for("0" * 64, 1) < 2**63


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (("lateral_error_mean_m", "lateral_eror"), "gates.0.metric"),
        (("margin = 0.1", "margin = -0.1"), "gates.0.margin"),
        (("margin = 0.1", "margn = 0.1"), "gates.0.margn"),
        (('kind = "overall"', 'kind = "specific"'), "cases"),
        (("[[gates]]", "[[gates]]\nmetric='lateral_error_mean_m'\n[[gates]]"), "gates"),
        (("[select]", "[selekt]"), "selekt"),
        (("[select]", '[select]\nkind = "controls"'), "select.kind"),
        (("order_seed = 7", "end_s = 0.5"), "end_s"),
        (("order_seed = 7", "end_s = inf"), "end_s"),
        (("offsets = [{}, { lateral_m = 0.5 }]", "offsets = []"), "offsets"),
        (("lateral_m = 0.5", "lateral_m = nan"), "offsets.1.lateral_m"),
        (("lateral_m = 0.5", "lateral_m = 500.0"), "offsets.1.lateral_m"),
        (("order_seed = 7", "noise = { pose_m = -1.0 }"), "noise.pose_m"),
    ],
)
def test_a_wrong_suite_names_the_field(change: tuple[str, str], where: str) -> None:
    with pytest.raises(SubmitterError) as caught:
        load_suite(SUITE.replace(*change))
    assert where in [f.where for f in caught.value.findings]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (("repeats = 2", "repeats = 2\nmust_pass_repeats = 3"), "must_pass_repeats"),
        (("always = {", "from_s = -1.0\nalways = {"), "conditions.0.from_s"),
        (("always = {", "to_s = inf\nalways = {"), "conditions.0.to_s"),
        (
            ("always = {", "eventually = { signal = 'speed_mps', above = 1 }\nalways = {"),
            "conditions.0",
        ),
    ],
)
def test_a_wrong_case_names_the_field_and_what_to_do(change: tuple[str, str], where: str) -> None:
    with pytest.raises(SubmitterError) as refused:
        load_suite(CASE.replace(*change))
    (finding,) = refused.value.findings
    assert finding.where == f"cases.hugging.{where}"
    assert finding.remedy


def test_text_that_is_not_toml_names_the_line() -> None:
    with pytest.raises(SubmitterError, match="line 2"):
        load_suite('name = "x"\nkind = ,\n')


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


def test_a_manifest_has_one_identity_and_names_its_errors() -> None:
    manifest = Manifest(name="m", kind="controller")
    assert load_manifest(canonical_json(manifest)) == manifest
    assert load_manifest(canonical_json(manifest)).digest == digest(manifest)
    with pytest.raises(SubmitterError) as caught:
        load_manifest('{"name": "", "kind": "controller", "rate": 3}')
    assert {f.where for f in caught.value.findings} == {"name", "rate"}
    with pytest.raises(SubmitterError):
        load_manifest(b"\xff not json")


def test_canonical_json_refuses_what_has_no_one_form() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json({"x": float("nan")})
    with pytest.raises(TypeError):
        canonical_json({"x": object()})
    assert canonical_json({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()


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
    ("name", "parameters", "where"),
    [
        ("reprojection", {"lateral_bond_m": 4.0}, "simulator.parameters.lateral_bond_m"),
        ("rendered", {"feedback": "open"}, "simulator.parameters.feedback"),
        ("tinyphysics", {"dynamics": "0" * 64, "full": 1}, "simulator.parameters.full"),
        ("tinyphysics", {"dynamics": "0" * 64, "warp": "plane"}, "simulator.parameters.warp"),
        ("tinyphysics", {}, "simulator.parameters.dynamics"),
    ],
)
def test_a_simulator_is_asked_only_for_what_it_has(
    name: str, parameters: dict[str, Any], where: str
) -> None:
    with pytest.raises(SubmitterError) as refused:
        simulator_spec(name, parameters)
    assert [f.where for f in refused.value.findings] == [where]


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


def test_a_model_too_slow_for_one_step_of_a_window_is_refused() -> None:
    slow = Manifest(name="slow", kind="controller", rate_hz=0.01)
    with pytest.raises(SubmitterError) as refused:
        load_manifest(canonical_json(slow))
    assert "rate_hz" in {finding.where for finding in refused.value.findings}
