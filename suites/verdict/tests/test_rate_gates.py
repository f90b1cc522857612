"""Rates through the judge of runs: counts, words, and what is refused."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from suites.definition.selector import Selector
from suites.definition.suite_schema import Gate, Suite
from suites.errors import SubmitterError
from suites.judgement import Verdict
from suites.pair_table import BASELINE, CANDIDATE, PairTable
from suites.run_plan import RunPlan
from suites.verdict.run_judge import decide
from suites.vocabulary import Estimand, MetricVerdict, Outcome, RunVerdict

N = 5000
RATE = Gate(metric="collided", estimand=Estimand.RATE, margin=0.005)

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def suite(*gates: Gate) -> Suite:
    return Suite(name="test", kind="overall", select=Selector(), gates=gates or (RATE,))


def values(c: Floats, b: Floats, *, metric: str = "collided", routes: int = 0) -> PairTable:
    names = [f"r{i % routes if routes else i}" for i in range(len(c))]
    return PairTable.completed(c[:, None], b[:, None], routes=names, metrics=[metric])


def events(only: int, others: int, both: int, seed: int = 1, n: int = N) -> PairTable:
    """Events of the candidate only, of the baseline only and of both, among n pairs at random."""
    parts = [n - only - others - both, only, others, both]
    kinds = np.random.default_rng(seed).permutation(np.repeat([0, 1, 2, 3], parts))
    return values(np.isin(kinds, [1, 3]).astype(float), np.isin(kinds, [2, 3]).astype(float))


def judged(
    table: PairTable,
    judged_by: Suite | None = None,
    pairs: int | None = None,
    known: int | None = None,
) -> Verdict:
    """After `pairs` of the table, which is all that was planned."""
    events = {} if known is None else {"collided": known}
    plan = RunPlan(len(table), route_pairs=Counter(table.routes), baseline_events=events)
    return decide(table.rows(slice(pairs)), judged_by or suite(), plan)


def test_a_doubling_of_collisions_fails_and_is_said_in_counts() -> None:
    verdict = judged(events(30, 5, 15, seed=3), known=20)
    assert verdict.verdict is RunVerdict.FAIL
    assert verdict.pairs_consumed < 2000
    assert verdict.sentence.startswith(
        "FAIL: collided 45 against 20 of 5,000: worse by 0.5 pp (at least "
    )
    assert "not shown to be within the margin of 0.5 pp)" in verdict.sentence
    (gate,) = verdict.gates
    assert (gate.verdict, gate.candidate_events, gate.baseline_events) == (
        MetricVerdict.WORSE,
        45,
        20,
    )
    assert gate.interval is not None
    assert gate.interval.estimate == pytest.approx(0.005)
    assert 0 < gate.interval.low <= 0.005 < gate.interval.high < 0.02
    assert (gate.other_estimand, gate.other_t, gate.spikes_below) == (None, None, None)


def test_a_verdict_that_rests_on_the_bank_says_so_until_the_events_themselves_tell() -> None:
    table = events(45, 20, 0, seed=4)
    early, late = (judged(table, pairs=pairs, known=20) for pairs in (800, N))
    assert (early.verdict, late.verdict) == (RunVerdict.FAIL, RunVerdict.FAIL)
    assert early.gates[0].reason == "a statement on this bank, where the baseline has 20 in all"
    assert late.gates[0].reason == ""


def test_equal_rates_pass_early_on_their_own_bet() -> None:
    verdict = judged(events(2, 2, 10))
    assert verdict.verdict is RunVerdict.PASS
    assert verdict.pairs_consumed < 1500
    assert "not worse by 0.5 pp in collided (12 against 12 of 5,000)" in verdict.sentence
    assert "spikes" not in verdict.sentence
    assert verdict.gates[0].verdict in (MetricVerdict.EQUIVALENT, MetricVerdict.NOT_WORSE)


def test_fewer_events_are_better() -> None:
    verdict = judged(events(5, 45, 15))
    assert (verdict.verdict, verdict.gates[0].verdict) == (RunVerdict.PASS, MetricVerdict.BETTER)


def test_where_more_is_better_ones_are_counted_as_they_stand() -> None:
    table = events(30, 5, 15)
    arrived = values(1 - table.results[0, CANDIDATE, :, 0], 1 - table.results[0, BASELINE, :, 0])
    higher = replace(RATE, direction="higher")
    verdict = judged(arrived, suite(higher), known=4980)
    assert verdict.verdict is RunVerdict.FAIL
    assert "collided 4,955 against 4,980 of 5,000: worse by 0.5 pp" in verdict.sentence
    assert verdict.pairs_consumed == judged(table).pairs_consumed


def test_an_open_rate_says_its_counts() -> None:
    verdict = judged(events(3, 2, 0, n=300))
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    assert "cannot tell for collided (rate): 3 against 2 of 300, +0.33 pp [" in verdict.sentence
    assert "against a margin of 0.5 pp" in verdict.sentence
    assert "more segments of other routes would tell" in verdict.sentence


def test_a_rate_beside_a_cost_shares_the_error_and_each_is_said() -> None:
    rng = np.random.default_rng(3)
    b = rng.lognormal(4, 0.6, (3000, 1))
    cost = PairTable.completed(
        b * np.exp(0.05 * rng.normal(size=(3000, 1))),
        b,
        routes=[f"r{i}" for i in range(3000)],
        metrics=["cost"],
    )
    happened = events(1, 1, 10, n=3000).results
    table = replace(
        cost, metrics=("cost", "collided"), results=np.concatenate([cost.results, happened], axis=3)
    )
    verdict = judged(table, suite(Gate(metric="cost", margin=0.05), RATE))
    assert verdict.verdict is RunVerdict.PASS
    assert (
        "not worse by 5 % on 1 of 1 gate and by 0.5 pp in collided (11 against 11 of 3,000)"
        in verdict.sentence
    )


def test_a_share_is_judged_by_the_difference_of_the_means() -> None:
    rng = np.random.default_rng(4)
    b = rng.uniform(0.1, 0.3, 2000)
    c = np.clip(b + 0.03 + rng.normal(0, 0.05, 2000), 0, 1)
    share = Gate(metric="saturation_share", estimand=Estimand.RATE, margin=0.01)
    verdict = judged(values(c, b, metric="saturation_share"), suite(share))
    assert verdict.verdict is RunVerdict.FAIL
    assert "saturation_share 23.1 % against 20.1 %: worse by 3 pp (at least" in verdict.sentence


def test_a_share_a_little_worse_is_no_failure_before_its_size_is_known() -> None:
    rng = np.random.default_rng(5)
    b = rng.uniform(0.1, 0.3, 2000)
    share = Gate(metric="saturation_share", estimand=Estimand.RATE, margin=0.01)
    table = values(b + 0.004 + rng.normal(0, 0.002, 2000), b, metric="saturation_share")
    verdict = judged(table, suite(share))
    assert verdict.gates[0].verdict is MetricVerdict.SLIGHTLY_WORSE


@pytest.mark.parametrize(
    ("metric", "value", "told"),
    [
        ("collided", 1.5, "1 pair outside [0, 1], first 1.5 of s7"),
        ("collided", -0.5, "1 pair outside [0, 1], first -0.5 of s7"),
        ("incident_hard_brake", 0.5, "1 pair neither 0 nor 1, first 0.5 of s7"),
    ],
)
def test_values_that_are_no_rate_are_refused(metric: str, value: float, told: str) -> None:
    c = np.zeros(20)
    c[7] = value
    gate = replace(RATE, metric=metric)
    with pytest.raises(SubmitterError) as refused:
        judged(values(c, np.zeros(20), metric=metric), suite(gate))
    (finding,) = refused.value.findings
    assert (finding.where, finding.problem) == (f"gates.{metric}", told)
    assert finding.remedy


def test_what_one_model_lacks_counts_at_its_best_and_at_its_worst() -> None:
    table = events(0, 0, 0, n=1500)
    table.results[:, CANDIDATE, ::40] = np.nan
    verdict = judged(table)
    assert verdict.gates[0].verdict is MetricVerdict.CANNOT_TELL
    assert "38 pairs where one model has no value" in verdict.gates[0].reason
    lost = replace(table, outcomes=((Outcome.DATA_INVALID, Outcome.COMPLETED),) * len(table))
    assert judged(lost).gates[0].reason == "no pair has a value of both models"
