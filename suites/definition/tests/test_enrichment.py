"""Enriched suites: what is drawn, how it weighs, what is refused."""

import json

import numpy as np
import pytest

from suites.definition.resolving import on_routes, resolve
from suites.definition.suite_schema import suite_version
from suites.definition.suite_toml import load_suite
from suites.enriched_rates import poisson_sample
from suites.errors import SubmitterError
from suites.identity import canonical_json
from suites.segment import SegmentMeta, Vehicle
from suites.statistics.incident_rates import DrivenTwice, enriched_sample

SUITE = """
name = "rare"
kind = "overall"
order_seed = 7
offsets = [{}, { lateral_m = 0.5 }, { lateral_m = 1.0 }]
offset_weights = [0.9, 0.1, 0.0]

[select]

[enriched]
share = 0.1
natural_share = 0.2
offset_factors = [1, 9, 9]
tag_factors = { curve = 2, near_vehicle = 4 }
"""
GATE = """
[[gates]]
metric = "lateral_error_mean_m"
critical = false
"""


def metas(count: int = 200) -> list[SegmentMeta]:
    """Every tenth in a curve, every twentieth with a vehicle near as well."""
    return [
        SegmentMeta(
            segment_id=f"r{i // 4:03}/{i % 4}",
            route=f"r{i // 4:03}",
            source="test/1",
            kind="camera",
            frame_count=300,
            rate_hz=20,
            duration_s=15.0,
            camera=None,
            vehicle=Vehicle(),
            depth_source=None,
            tags=(*["curve"] * (i % 10 == 0), *["near_vehicle"] * (i % 20 == 0)),
        )
        for i in range(count)
    ]


def test_a_share_of_the_grid_is_drawn_the_hard_more_often_and_is_the_same_for_everyone() -> None:
    version = resolve(load_suite(SUITE), metas())
    assert version == resolve(load_suite(SUITE), metas()[::-1])
    assert suite_version(json.loads(canonical_json(version))) == version
    assert (
        len(version.natural_weights)
        == len(version.planned)
        == len({p.case_id for p in version.planned})
    )
    assert 30 <= len(version.planned) <= 80, "a tenth of 600"
    beside = [p.scenario.offset.lateral_m for p in version.planned]
    assert beside.count(0.5) / len(beside) > 0.25, "one in ten naturally"
    assert 1.0 not in beside, "what never occurs cannot be weighted back"
    other = resolve(load_suite(SUITE.replace("order_seed = 7", "order_seed = 8")), metas())
    assert {p.case_id for p in other.planned} != {p.case_id for p in version.planned}
    assert other.digest != version.digest


def test_the_weights_are_those_of_the_formula() -> None:
    version = resolve(load_suite(SUITE), metas())
    # E_p[h]: offsets .9 * 1 + .1 * 9; segments 5 % with factor 8, 5 % with 2
    mean = (0.9 + 0.9) * (0.05 * 8 + 0.05 * 2 + 0.9)
    by_id = {meta.segment_id: meta for meta in metas()}
    for planned, weight in zip(version.planned, version.natural_weights, strict=True):
        tags = by_id[planned.scenario.segment_id].tags
        harder = {0: 1, 1: 2, 2: 8}[len(tags)] * (9 if planned.scenario.offset.lateral_m else 1)
        p = (0.1 if planned.scenario.offset.lateral_m else 0.9) / 200
        chance = min(1.0, 60 * p * (0.2 + 0.8 * harder / mean))
        assert weight == pytest.approx(60 * p / chance)
        assert weight <= 1 / 0.2


def test_repeats_of_a_drawn_scenario_share_its_weight_and_cases_come_after() -> None:
    text = (
        SUITE.replace("order_seed = 7", "order_seed = 7\nrepeats = 2")
        + '\n[[cases]]\nname = "always"\nsegment = "r000/0"\n'
    )
    version = resolve(load_suite(text), metas())
    assert len(version.natural_weights) == len(version.planned) - 1
    assert version.planned[-1].case == "always"
    weights: dict[str, set[float]] = {}
    for planned, weight in zip(version.planned, version.natural_weights, strict=False):
        weights.setdefault(planned.scenario.digest, set()).add(weight)
    assert all(len(same) == 1 for same in weights.values())
    assert 2 * len(weights) == len(version.natural_weights)


def test_the_sum_over_the_drawn_is_unbiased_and_uncertain_draws_have_bounded_weights() -> None:
    generator = np.random.default_rng(0)
    natural = generator.dirichlet(np.full(500, 0.3))
    hard = natural * generator.lognormal(0, 2, 500)
    values = generator.random(500) < 0.1
    probability, weight = poisson_sample(natural, hard, 0.1, 50.0)
    assert (probability <= 1).all()
    assert probability.sum() <= 50
    assert (probability == 1).any(), "some are certain"
    assert weight[probability < 1].max() <= 10
    assert (probability * weight * values).sum() / 50 == pytest.approx(
        natural @ values
    )  # the expectation, exactly
    drawn = generator.random((4000, 500)) < probability
    estimates = drawn @ (weight * values) / 50
    assert abs(estimates.mean() - natural @ values) < 3 * estimates.std() / np.sqrt(4000)
    probability, weight = poisson_sample(np.array([1.0, 0.0]), np.array([1.0, 0.0]), 0.5, 1.0)
    assert (probability.tolist(), weight.tolist()) == ([1.0, 0.0], [1.0, 0.0])


@pytest.mark.parametrize(
    ("old", "new", "where", "problem"),
    [
        ("offset_weights = [0.9, 0.1, 0.0]", "", "enriched", "how often natural driving begins"),
        (
            "natural_share = 0.2",
            "natural_share = 0.05",
            "enriched.natural_share",
            "greater than or equal to 0.1",
        ),
        ("share = 0.1\n", "share = 0.0\n", "enriched.share", "greater than 0"),
        ("[1, 9, 9]", "[1, 9]", "enriched.offset_factors", "2 factors for 3 offsets"),
        ("curve = 2", "curve = 0", "enriched.tag_factors.curve", "greater than 0"),
        (
            "order_seed = 7",
            "max_failed_share = 0.1",
            "max_failed_share",
            "chosen because they are hard",
        ),
        ("[select]", "", "enriched", "selects nothing"),
        ("[enriched]", GATE + "\n[enriched]", "gates", "chosen because they are hard"),
    ],
)
def test_what_is_refused(old: str, new: str, where: str, problem: str) -> None:
    with pytest.raises(SubmitterError) as caught:
        load_suite(SUITE.replace(old, new, 1))
    assert [
        f for f in caught.value.findings if f.where == where and problem in f.problem and f.remedy
    ], caught.value.findings


def test_tags_that_no_segment_has_an_empty_draw_and_a_cut_are_refused() -> None:
    with pytest.raises(SubmitterError, match="tag kurve"):
        resolve(load_suite(SUITE.replace("curve", "kurve")), metas())
    with pytest.raises(SubmitterError, match="drives nothing"):
        resolve(load_suite(SUITE.replace("share = 0.1\n", "share = 0.00001\n")), metas())
    with pytest.raises(SubmitterError, match="cannot be cut"):
        on_routes(load_suite(SUITE), 3)


def test_a_small_effective_sample_is_said() -> None:
    drives = [
        DrivenTwice(
            route=f"r{i}",
            segment=f"r{i}",
            offset="",
            weight=10.0 if i < 2 else 0.1,
            hours=(1, 1),
            happened=({}, {}),
        )
        for i in range(100)
    ]
    found = enriched_sample(drives)
    assert (found.drives, found.segments, found.largest_weight) == (100, 100, 10.0)
    assert found.effective_segments == pytest.approx((20 + 9.8) ** 2 / (200 + 0.98))
    assert "fewer than 30 effective segments" in found.warning
    assert "before all that was drawn is driven" in enriched_sample([]).warning
