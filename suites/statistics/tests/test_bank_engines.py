from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from suites.definition.cost_draw import drawn_order
from suites.definition.selector import Selector
from suites.definition.suite_schema import Gate, Suite
from suites.errors import SubmitterError
from suites.metrics.registry import METRICS
from suites.pair_table import BASELINE, CANDIDATE, HIGH, LOW, PairTable
from suites.run_plan import RunPlan, StoredCosts
from suites.statistics.bank_engines import BankEngines
from suites.statistics.contrasts import BEST, WORST, evidence
from suites.statistics.engines import OTHER, OWN, estimand_of
from suites.vocabulary import Estimand, Outcome

HIGHER = next(name for name, metric in METRICS.items() if metric.direction == "higher")
B = np.tile([10.0, 20.0, 30.0, 40.0], 50)
C = np.tile([12.0, 20.0, 33.0, 100.0], 50)


def table(c: np.ndarray, b: np.ndarray, metric: str) -> PairTable:
    routes = [f"r{i}" for i in range(len(c))]
    return PairTable.completed(c[:, None], b[:, None], routes=routes, metrics=[metric])


def engines(
    rows: PairTable, thetas: Sequence[float], gate: Gate, share: float = 0.8
) -> BankEngines:
    """Judged on the whole bank `rows`, drawn by cost, its own baseline as the stored one."""
    suite = Suite(name="s", kind="overall", select=Selector(), gates=(gate,), draw="cost")
    costs = rows.results[[LOW, HIGH], BASELINE, :, 0]
    known = np.nan_to_num(costs.mean(axis=0))
    weights = share * known / known.mean() + 1 - share
    order = drawn_order(rows.case_ids, weights, seed=1)
    rows, costs, weights = rows.rows(order), costs[:, order], weights[order]
    plan = RunPlan(len(rows), stored=StoredCosts(weights=weights, costs={gate.metric: costs}))
    judged = BankEngines(suite, plan, np.broadcast_to(thetas, (2, 2, 1, len(thetas))))
    for start in range(0, len(rows), 20):
        part = rows.rows(slice(start, start + 20))
        both = [evidence(part, suite.gates, [estimand_of(suite, slot, 0)]) for slot in (OWN, OTHER)]
        judged.consume(part.routes, (both[0], both[1]))
        judged.look(start + 20 >= len(rows))
    return judged


def said(judged: BankEngines, case: int, slot: int) -> list[int]:
    return [int(side) for side in judged.shown()[0][case, slot, 0]]


def test_at_the_end_both_estimands_are_exact() -> None:
    gate = Gate(metric="cost", estimand=Estimand.MEAN, relative_cap=5.0)
    judged = engines(table(C, B, "cost"), [0.64, 0.66, 0.8], gate)
    typical = 2 * (C - B) / (C + B)
    assert judged.estimate()[:, OWN, 0] == pytest.approx([0.65] * 2)
    assert judged.estimate()[:, OTHER, 0] == pytest.approx([typical.mean()] * 2)
    assert judged.error()[:, :, 0] == pytest.approx(0.0)
    # 0.66 is above all there is, and not clearly so for drives like these
    assert said(judged, BEST, OWN) == [1, 0, -1]


def test_costs_count_up_to_their_multiple_in_not_worse_alone() -> None:
    n = 200
    b = np.linspace(1, 3, n)
    c = b.copy()
    c[::20] *= 30
    gate = Gate(metric="cost", estimand=Estimand.MEAN, relative_cap=5.0)
    judged = engines(table(c, b, "cost"), [0.05], gate, share=0.3)
    assert said(judged, BEST, OWN) == [1]  # the spike counts whole
    assert said(judged, WORST, OWN) == [1]
    judged = engines(table(c, b, "cost"), [0.6], gate, share=0.3)
    assert said(judged, WORST, OWN) == [1]  # cut it is +20 %, and yet +145 %
    assert said(engines(table(b, b, "cost"), [0.05], gate, share=0.3), WORST, OWN) == [-1]


@pytest.mark.parametrize("metric", ["cost", HIGHER])
def test_direction_censored_and_missing_enclose_the_truth(metric: str) -> None:
    """Whatever the unknown values are, what is shown at the best and at the worst is so."""
    rng = np.random.default_rng(1)
    b = rng.lognormal(0, 1, 600)
    worse = 1.3 if metric == "cost" else 0.7
    rows = table(worse * b, b, metric)
    better = 1.0 if metric == "cost" else -1.0
    rows.results[LOW, CANDIDATE, 3] -= better * 0.5
    rows.results[HIGH, CANDIDATE, 3] += better * 0.5
    rows.results[LOW, BASELINE, 4] -= better * 0.1
    rows.results[HIGH, BASELINE, 4] += better * 0.1
    rows.results[:, CANDIDATE, 5] = np.nan
    gate = Gate(metric=metric, estimand=Estimand.MEAN)
    judged = engines(rows, [0.0, 0.3, 2.0], gate, share=0.3)
    best, worst = judged.estimate()[:, OWN, 0]
    assert best < 0.3 < worst
    assert said(judged, BEST, OWN)[0] == 1
    assert said(judged, BEST, OWN)[1] <= 0
    assert said(judged, WORST, OWN)[1] >= 0
    assert said(judged, WORST, OWN)[2] == -1
    assert said(judged, BEST, OTHER)[0] == 1


def test_a_pair_that_the_baseline_has_no_value_of_counts_at_its_extremes() -> None:
    rng = np.random.default_rng(1)
    b = rng.lognormal(0, 1, 60)
    rows = table(b, b, "cost")
    rows.results[:, BASELINE, 5] = np.nan
    judged = engines(rows, [0.0], Gate(metric="cost", estimand=Estimand.MEAN), share=0.3)
    best, worst = judged.estimate()[:, OWN, 0]
    assert best < 0 < worst
    rows.results[:, CANDIDATE, 5] = np.nan  # neither has one: it leaves the bank
    judged = engines(rows, [1e-6], Gate(metric="cost", estimand=Estimand.MEAN), share=0.3)
    assert judged.estimate()[:, OWN, 0].tolist() == [0.0, 0.0]
    assert said(judged, WORST, OWN) == [-1]


def test_a_pair_that_cannot_be_driven_is_no_evidence() -> None:
    rows = table(np.append(1.1 * B, 9000.0), np.append(B, 40.0), "cost")
    gone = Outcome.DATA_INVALID, Outcome.COMPLETED
    rows = replace(rows, outcomes=(*rows.outcomes[:-1], gone))
    judged = engines(rows, [0.09, 0.11], Gate(metric="cost", estimand=Estimand.MEAN))
    assert judged.estimate()[BEST, OWN, 0] == pytest.approx(0.1)
    assert said(judged, BEST, OWN) == [1, -1]


@pytest.mark.parametrize("weights", [np.ones(3), np.zeros(4), np.full(4, np.nan)])
def test_weights_that_fit_no_plan_are_refused(weights: np.ndarray) -> None:
    suite = Suite(name="s", kind="overall", select=Selector(), gates=(Gate(metric="cost"),))
    stored = StoredCosts(weights=weights, costs={"cost": np.broadcast_to(B[:4], (2, 4))})
    for plan in (RunPlan(4, stored=stored), RunPlan(4)):
        with pytest.raises(SubmitterError, match="weights"):
            BankEngines(suite, plan, np.zeros((2, 2, 1, 1)))
