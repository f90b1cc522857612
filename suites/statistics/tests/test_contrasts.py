import numpy as np
import pytest

from suites.definition.selector import Selector
from suites.definition.suite_schema import Gate, Suite
from suites.metrics.registry import METRICS
from suites.pair_table import CANDIDATE, HIGH, LOW, PairTable
from suites.run_plan import RunPlan
from suites.statistics.contrasts import BEST, WORST, evidence
from suites.statistics.engines import OWN
from suites.statistics.sequential import SequentialJudge
from suites.vocabulary import Estimand

HIGHER = next(name for name, metric in METRICS.items() if metric.direction == "higher")
TYPICAL, MEAN = [Estimand.TYPICAL], [Estimand.MEAN]


def table(
    candidate: list[float], baseline: list[float], metric: str = "cost", spread: float = 0.0
) -> PairTable:
    """Costs that may be `spread` better or worse; better is more where the metric says so."""
    c, b = (np.array(values, dtype=np.float64)[:, None] for values in (candidate, baseline))
    rows = PairTable.completed(c, b, routes=[f"r{i}" for i in range(len(c))], metrics=[metric])
    worse = -spread if metric == HIGHER else spread
    rows.results[LOW, CANDIDATE] -= worse
    rows.results[HIGH, CANDIDATE] += worse
    return rows


def test_positive_is_worse_in_either_direction() -> None:
    lower = evidence(table([3.0], [1.0]), [Gate(metric="cost")], TYPICAL)
    higher = evidence(table([3.0], [1.0], HIGHER), [Gate(metric=HIGHER)], TYPICAL)
    assert lower.p[BEST, 0, 0] == 1.0
    assert higher.p[BEST, 0, 0] == -1.0
    assert evidence(table([3.0], [1.0], HIGHER), [Gate(metric=HIGHER)], MEAN).p[BEST, 0, 0] == -2.0


@pytest.mark.parametrize("metric", ["cost", HIGHER])
def test_best_and_worst_enclose_the_censored(metric: str) -> None:
    for estimand in (TYPICAL, MEAN):
        rows = evidence(table([3.0], [2.0], metric, spread=1.0), [Gate(metric=metric)], estimand)
        assert rows.p[BEST, 0, 0] < rows.p[WORST, 0, 0]


@pytest.mark.parametrize("metric", ["cost", HIGHER])
def test_a_value_that_one_model_lacks_counts_at_its_extremes(metric: str) -> None:
    gate = Gate(metric=metric, winsor_cap=10.0)
    for c, b in (([np.nan], [2.0]), ([2.0], [np.nan])):
        typical, mean = (
            evidence(table(c, b, metric), [gate], estimand) for estimand in (TYPICAL, MEAN)
        )
        assert typical.lopsided.all()
        assert (typical.p[BEST, 0, 0], typical.p[WORST, 0, 0]) == (-2.0, 2.0)
        assert mean.p[BEST, 0, 0] < 0 < mean.p[WORST, 0, 0]
        assert abs(mean.p).max() <= 10


def test_costs_are_cut_at_the_cap_in_the_mean_only() -> None:
    gate = Gate(metric="cost", winsor_cap=10.0)
    assert evidence(table([30.0], [1.0]), [gate], MEAN).p[BEST, 0, 0] == 9.0
    assert evidence(table([30.0], [1.0]), [gate], TYPICAL).p[BEST, 0, 0] == pytest.approx(
        2 * 29 / 31
    )


def test_zero_against_zero_is_no_difference() -> None:
    rows = evidence(table([0.0, 1.0], [0.0, 0.0]), [Gate(metric="cost")], TYPICAL)
    assert rows.p[BEST, :, 0].tolist() == [0.0, 2.0]
    assert rows.valid.all()


def test_rare_spikes_that_make_up_the_margin_are_not_passed() -> None:
    rng, n, margin = np.random.default_rng(11), 300, 0.1
    wrong = quiet = 0
    for seed in range(60):
        b = rng.lognormal(0, 0.5, n)
        c = b * rng.lognormal(0, 0.02, n)
        spiky = np.where(rng.random(n) < margin / 1.556, 8 * c, c)
        suite = Suite(
            name="spikes",
            kind="overall",
            select=Selector(),
            gates=(Gate(metric="cost", margin=margin),),
            order_seed=seed,
        )
        for values in (c, spiky):
            judge, rows = SequentialJudge(suite, RunPlan(n)), table(values.tolist(), b.tolist())
            while judge.consumed < n:
                judge.consume(rows.rows(slice(judge.consumed, judge.consumed + judge.room)))
                judge.look()
            shown = judge.claims()[0][OWN].below_margin
            wrong, quiet = wrong + (shown and values is spiky), quiet + (shown and values is c)
    assert wrong <= 0.025 * 60 + 3
    assert quiet == 60
