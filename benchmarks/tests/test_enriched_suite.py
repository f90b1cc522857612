"""What an enriched suite draws: its incident rates agree with brute force."""

import numpy as np
import pytest

from benchmarks.enriched import OFFSETS_M, SPREAD_M, offset_weights, stored
from suites.definition.enrichment import Enrichment, draw
from suites.rollout import Offset, Scenario
from suites.segment import SegmentMeta, Vehicle
from suites.statistics.incident_rates import DrivenTwice, compare_incidents, enriched_sample

NATURAL = dict(zip((Offset(lateral_m=m) for m in OFFSETS_M), offset_weights(SPREAD_M), strict=True))
SEEDS = 200
ENRICHED = Enrichment(
    share=0.1,
    natural_share=0.1,
    offset_factors=tuple(1.0 if abs(m) < 0.5 else 3.0 for m in OFFSETS_M),
    tag_factors={"pilot_off_by_1m": 8.0},
)


def meta(segment: str, pilot_m: float) -> SegmentMeta:
    return SegmentMeta(
        segment_id=segment,
        route=segment,
        source="test/1",
        kind="camera",
        frame_count=300,
        rate_hz=20,
        duration_s=15.0,
        camera=None,
        vehicle=Vehicle(),
        depth_source=None,
        tags=("pilot_off_by_1m",) if pilot_m > 1 else (),
    )


def test_a_tenth_of_the_grid_agrees_with_brute_force_over_it() -> None:
    rows = stored()
    failed = {
        Scenario(
            segment_id=row["segment"],
            segment_digest="",
            start_s=1.0,
            end_s=15.0,
            offset=Offset(lateral_m=float(row["offset_m"])),
        ): row["outcome"] == "failed"
        for row in rows
    }
    metas = {row["segment"]: meta(row["segment"], float(row["pilot_m"])) for row in rows}
    weight_of_all = sum(NATURAL[s.offset] for s in failed)
    truth = sum(NATURAL[s.offset] for s, it_failed in failed.items() if it_failed) / weight_of_all
    expected = ENRICHED.share * len(failed)
    totals, rates, sizes, covered = [], [], [], 0
    for seed in range(SEEDS):
        weights = draw(ENRICHED, list(failed), NATURAL, metas, seed)
        assert max(weights.values()) <= 1 / ENRICHED.natural_share
        drives = [
            DrivenTwice(
                route=s.segment_id,
                segment=s.segment_id,
                offset="",
                weight=weight,
                hours=(1.0, 1.0),
                happened=({"failure": failed[s]}, {"failure": False}),
            )
            for s, weight in weights.items()
        ]
        (found,) = compare_incidents(drives, ["failure"])
        rate = found.candidate
        assert rate.per_1000_h is not None
        assert rate.low is not None
        assert rate.high is not None
        totals.append(sum(d.weight * d.happened[0]["failure"] for d in drives) / expected)
        rates.append(rate.per_1000_h / 1000)
        covered += rate.low <= 1000 * truth <= rate.high
        sizes.append(len(drives))
        assert "effective segments" in enriched_sample(drives).warning, "38 segments are few"
    assert np.mean(sizes) == pytest.approx(expected, rel=0.03)
    error = np.std(totals) / np.sqrt(SEEDS)
    assert abs(np.mean(totals) - truth) < 3 * error
    assert error < 0.04 * truth, "the check above could see a bias of 12 %"
    assert np.mean(rates) == pytest.approx(truth, rel=0.15), (
        "a ratio: its bias falls as one over the drives"
    )
    assert covered >= 0.95 * SEEDS
    assert np.std(totals) < 0.5 * np.sqrt(truth / expected), (
        "less than half the spread of as many natural drives"
    )
