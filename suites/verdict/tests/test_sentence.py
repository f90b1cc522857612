"""What a verdict says is what a plan says: one way to count segments."""

from math import ceil

import pytest

from suites.judgement import GateVerdict, Interval
from suites.statistics.chances import Sample
from suites.statistics.sample_size import deciding_segments, segments_needed
from suites.verdict.sentence import more_segments
from suites.vocabulary import Estimand, MetricVerdict


def open_gate(estimand: Estimand, estimate: float) -> GateVerdict:
    return GateVerdict(
        metric="lateral_error_mean_m",
        estimand=estimand,
        margin=0.02,
        critical=True,
        verdict=MetricVerdict.CANNOT_TELL,
        interval=Interval(estimate=estimate, low=estimate - 0.05, high=estimate + 0.05),
        pairs=300,
        routes=20,
    )


@pytest.mark.parametrize("error", [0.003, 0.02])
def test_equal_models_need_as_many_more_as_the_plan_says(error: float) -> None:
    typical = deciding_segments(Sample(300, 20, error), 100, 0.02, 0.05)
    assert more_segments(open_gate(Estimand.TYPICAL, 0.0), error, 100, 0.05) == ceil(typical) - 100
    mean = segments_needed(error, 0.02, 100, 20, 0.05)
    assert more_segments(open_gate(Estimand.MEAN, 0.0), error, 100, 0.05) == max(
        ceil(mean) - 100, 50
    )


def test_the_nearer_a_mean_to_the_margin_the_more_and_beyond_reach_no_number() -> None:
    def more(change: float) -> int | None:
        return more_segments(open_gate(Estimand.MEAN, change), 0.003, 100, 0.05)

    near, nearer = more(0.01), more(0.016)
    assert near is not None
    assert nearer is not None
    assert near < nearer
    assert more(0.03) == pytest.approx(near, abs=1), "as far beyond it"
    assert more(0.02) is None


def test_a_typical_drive_is_told_from_the_margin_or_from_none_whichever_is_sooner() -> None:
    equal, between, beyond = (
        more_segments(open_gate(Estimand.TYPICAL, change), 0.01, 100, 0.05)
        for change in (0.0, 0.01, 0.04)
    )
    assert equal is not None
    assert between is not None
    assert beyond is not None
    assert beyond < equal < between
