"""Runs that draw by cost, from first pair to sentence: early both ways, on this bank."""

from dataclasses import replace

import numpy as np
import pytest

from suites.definition.cost_draw import draw_weights, drawn_order
from suites.definition.selector import Selector
from suites.definition.suite_schema import Gate, Suite
from suites.errors import SubmitterError
from suites.judgement import Verdict
from suites.pair_table import BASELINE, CANDIDATE, VALUE, PairTable
from suites.run_plan import RunPlan, StoredCosts
from suites.verdict.run_judge import RunJudge, decide
from suites.vocabulary import Estimand, MetricVerdict, RunVerdict

N = 3000
MEAN = Gate(metric="m0", estimand=Estimand.MEAN, margin=0.05)
TYPICAL = Gate(metric="m0", margin=0.05)
SUITE = Suite(
    name="test", kind="overall", select=Selector(), gates=(MEAN,), draw="cost", order_seed=4
)
HARD = np.random.default_rng(1).lognormal(0, 1.2, N)


def drives(c: np.ndarray, b: np.ndarray = HARD) -> PairTable:
    routes = [f"r{i:04}" for i in range(len(b))]
    return PairTable.completed(
        c[:, None], b[:, None], routes=routes, metrics=["m0"], case_ids=routes
    )


def noisy(change: float, seed: int = 0) -> np.ndarray:
    return np.asarray(HARD * np.exp(change + 0.1 * np.random.default_rng(seed).normal(size=N)))


def drawn(table: PairTable, suite: Suite = SUITE) -> tuple[PairTable, RunPlan]:
    b = table.results[VALUE, BASELINE, :, 0]
    weights = draw_weights(b, suite.draw_share, "m0")
    order = drawn_order(table.case_ids, weights, suite.order_seed or 0)
    costs = {"m0": np.stack([b[order], b[order]])}
    plan = RunPlan(len(table), stored=StoredCosts(weights=weights[order], costs=costs))
    return table.rows(order), plan


def judged(c: np.ndarray, suite: Suite = SUITE, pairs: int | None = None) -> tuple[RunJudge, int]:
    """Up to the decision or so many pairs, and how many that were."""
    table, plan = drawn(drives(c), suite)
    judge = RunJudge(suite, plan)
    while judge.consumed < (pairs or N) and (pairs or not judge.reached):
        judge.extend(table.rows(slice(judge.consumed, judge.consumed + judge.room)))
    return judge, judge.consumed


def whole(c: np.ndarray, suite: Suite = SUITE) -> Verdict:
    table, plan = drawn(drives(c), suite)
    return decide(table, suite, plan)


def test_equal_means_pass_early_and_it_says_on_which_bank() -> None:
    judge, pairs = judged(noisy(0.0))
    assert judge.reached is RunVerdict.PASS
    assert pairs <= 800
    sentence = judge.verdict(final=False).sentence
    assert f"PASS, provisional after {pairs:,} of 3,000 pairs" in sentence
    assert ", drawn by cost, on this bank; costs counted up to 10 x expected" in sentence


def test_a_worse_mean_fails_without_any_cap_declared() -> None:
    judge, pairs = judged(noisy(0.2))
    assert (judge.reached, judge.words) == (RunVerdict.FAIL, (MetricVerdict.WORSE,))
    assert pairs <= 200
    assert "worse in the mean" in judge.verdict().sentence


@pytest.mark.parametrize("gate", [MEAN, TYPICAL])
def test_what_is_certainly_above_zero_and_inside_the_margin_never_fails(gate: Gate) -> None:
    """On a known bank the end is certain: equal models are above zero in half of all banks."""
    verdict = whole(HARD * 1.01, replace(SUITE, gates=(gate,)))
    assert (verdict.verdict, verdict.complete) == (RunVerdict.PASS, True)
    assert verdict.gates[0].verdict is MetricVerdict.SLIGHTLY_WORSE
    assert verdict.gates[0].interval is not None
    assert verdict.gates[0].interval.estimate == pytest.approx(0.01, rel=0.01)


def test_better_on_the_bank_is_not_said_of_a_change_that_is_chance_elsewhere() -> None:
    rng = np.random.default_rng(3)
    c = HARD * np.exp(0.3 * rng.normal(size=N))
    c *= 0.998 * HARD.sum() / c.sum()
    assert whole(c).gates[0].verdict is MetricVerdict.EQUIVALENT
    assert whole(HARD * np.exp(-0.05)).gates[0].verdict is MetricVerdict.BETTER


def test_means_and_estimates_are_those_of_the_bank() -> None:
    judge, _ = judged(noisy(0.03), pairs=400)
    gate = judge.verdict(final=False).gates[0]
    assert gate.baseline_mean == pytest.approx(HARD.mean(), rel=0.1)
    assert gate.interval is not None
    assert gate.interval.estimate == pytest.approx(0.03, abs=0.02)
    assert whole(noisy(0.03)).gates[0].baseline_mean == pytest.approx(HARD.mean())


def test_costs_beyond_their_cap_take_a_pass_back() -> None:
    """Of the segments that are drawn last a few cost as much as a tenth of the bank."""
    c = noisy(0.0)
    late = [int(case[1:]) for case in drawn(drives(c))[0].case_ids[-9:]]
    c[late] += 0.012 * HARD.sum()
    judge, _ = judged(c)
    assert judge.reached is RunVerdict.PASS
    verdict = whole(c)
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    assert "is withdrawn: " in verdict.sentence
    assert "all pairs together change m0 by +10" in verdict.sentence


def test_equal_models_stay_passed_to_the_end_of_the_bank() -> None:
    """There each change is certainly above or below 0 on the bank, and neither says anything."""
    gates = (MEAN, replace(TYPICAL, margin=0.03))
    for seed in range(10, 14):
        verdict = whole(noisy(-0.005, seed), replace(SUITE, gates=gates, order_seed=seed))
        assert (verdict.verdict, verdict.withdrawn) == (RunVerdict.PASS, "")


def test_few_pairs_that_happen_to_be_worse_on_a_small_bank_fail_nobody() -> None:
    rng = np.random.default_rng(8)
    small = HARD[:60]
    failed = 0
    for seed in range(40):
        table = drives(small * np.exp(rng.normal(-0.125, 0.5, 60)), small)
        suite = replace(SUITE, order_seed=seed, gates=(replace(MEAN, margin=0.02),))
        rows, plan = drawn(table, suite)
        failed += decide(rows, suite, plan).verdict is RunVerdict.FAIL
    assert failed <= 5


def test_new_spikes_on_what_was_easy_keep_it_from_passing() -> None:
    c = noisy(0.0)
    easy = np.argsort(HARD)[: N // 2]
    c[easy[::40]] = 2.5 * np.median(HARD)  # 1.25 % of all pairs, nothing in the mean
    verdict = whole(c)
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    assert "newly spikes or fails on 38 pairs of 3,000" in verdict.sentence


@pytest.mark.parametrize(
    ("more", "verdict"), [(60, RunVerdict.FAIL), (2, RunVerdict.INCONCLUSIVE), (0, RunVerdict.PASS)]
)
def test_rates_are_bet_on_the_same_bank(more: int, verdict: RunVerdict) -> None:
    """A few more events on a bank come by chance, and neither fail nor pass anybody."""
    at = np.random.default_rng(6).permutation(N)
    happened = np.isin(np.arange(N), at[:20]).astype(float)
    after = np.isin(np.arange(N), at[: 20 + more]).astype(float)
    gates = (MEAN, Gate(metric="m1", estimand=Estimand.RATE, margin=0.0007))
    table = PairTable.completed(
        np.stack([noisy(0.0), after], axis=1),
        np.stack([HARD, happened], axis=1),
        routes=[f"r{i:04}" for i in range(N)],
        metrics=["m0", "m1"],
    )
    suite = replace(SUITE, gates=gates)
    weights = draw_weights(HARD, suite.draw_share, "m0")
    order = drawn_order(table.case_ids, weights, 4)
    costs = {m: table.results[:2, BASELINE, order, i] for i, m in enumerate(table.metrics)}
    plan = RunPlan(N, stored=StoredCosts(weights=weights[order], costs=costs))
    judged = decide(table.rows(order), suite, plan)
    assert judged.verdict is verdict
    assert judged.gates[1].candidate_events is None
    interval = judged.gates[1].interval
    assert interval is not None
    assert interval.estimate == pytest.approx(more / N)


def test_rows_of_another_order_are_refused() -> None:
    table, plan = drawn(drives(noisy(0.0)))
    judge = RunJudge(SUITE, plan)
    with pytest.raises(SubmitterError, match="weights do not belong to the order"):
        judge.extend(table.rows(slice(20, 40)))


def test_without_stored_costs_it_is_judged_as_a_uniform_draw() -> None:
    suite = replace(SUITE, draw_else_uniform=True, gates=(replace(MEAN, winsor_cap=20.0),))
    table, plan = drawn(drives(noisy(0.0)))
    uniform = decide(table, suite, RunPlan(N))
    assert uniform.method["draw"] == "uniform"
    assert uniform.method["engine"].startswith("redrive.sign-flip/")
    by_cost = decide(table, suite, plan)
    assert by_cost.method["draw"] == {"metric": "m0", "share": 0.3}
    assert by_cost.method["engine"] == "redrive.bank-bets/1"
    assert "on this bank" not in uniform.sentence


def test_relative_caps_of_a_uniform_draw_are_declared_ones() -> None:
    table, plan = drawn(drives(noisy(0.0)))
    relative = replace(SUITE, draw="uniform", gates=(replace(MEAN, relative_cap=10.0),))
    stored = StoredCosts(weights=np.ones(N), costs=plan.stored.costs if plan.stored else {})
    cap = 10 * float(HARD.mean())
    plain = replace(relative, gates=(replace(MEAN, winsor_cap=cap),))
    by_cost = decide(table, relative, replace(plan, stored=stored))
    assert by_cost.gates == decide(table, plain, RunPlan(N)).gates


def test_a_pair_that_one_model_lacks_keeps_the_claims_honest() -> None:
    table, plan = drawn(drives(HARD * 0.9))
    table.results[:, CANDIDATE, 3] = np.nan
    verdict = decide(table, SUITE, plan)
    assert "1 pair where one model has no value" in verdict.gates[0].reason
    assert verdict.gates[0].verdict is MetricVerdict.BETTER
