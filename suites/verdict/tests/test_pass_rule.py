"""When a run passes early, what keeps it from passing, and what takes a pass back."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from suites.definition.selector import Selector
from suites.definition.suite_schema import Gate, Slice, Suite
from suites.pair_table import CANDIDATE, PairTable
from suites.run_plan import RunPlan
from suites.verdict.run_judge import RunJudge, decide
from suites.vocabulary import MetricVerdict, Outcome, RunVerdict

N = 3000
SUITE = Suite(
    name="test", kind="overall", select=Selector(), gates=(Gate(metric="m0", margin=0.05),)
)


def drives(change: float = 0.0, seed: int = 0, n: int = N) -> PairTable:
    rng = np.random.default_rng(seed)
    b = rng.lognormal(4, 0.6, (n, 1))
    c = b * np.exp(change + 0.05 * rng.normal(size=(n, 1)))
    return PairTable.completed(c, b, routes=[f"r{i}" for i in range(n)], metrics=["m0"])


def spiking(table: PairTable, pairs: slice, factor: float = 10.0) -> PairTable:
    table.results[:, CANDIDATE, pairs] *= factor
    return table


def ended(table: PairTable, pairs: range, outcome: Outcome) -> PairTable:
    outcomes = list(table.outcomes)
    for pair in pairs:
        outcomes[pair] = outcome, Outcome.COMPLETED
    return replace(table, outcomes=tuple(outcomes))


def plan(table: PairTable, **slices: frozenset[str]) -> RunPlan:
    return RunPlan(len(table), route_pairs=Counter(table.routes), slices=slices)


def early(table: PairTable, pairs: int, suite: Suite = SUITE, **slices: frozenset[str]) -> RunJudge:
    judge = RunJudge(suite, plan(table, **slices))
    judge.extend(table.rows(slice(pairs)))
    return judge


def test_equal_models_pass_early_and_the_sentence_says_what_is_not_excluded() -> None:
    table = drives()
    judge = early(table, 480)
    assert judge.reached is RunVerdict.PASS
    verdict = judge.verdict(final=False)
    assert (verdict.verdict, verdict.complete) == (RunVerdict.PASS, False)
    assert verdict.sentence.startswith("PASS, provisional after 480 of 3,000 pairs: ")
    assert "spikes rarer than 0.75 % not excluded" in verdict.sentence
    assert early(table, 460).reached is None
    judge.extend(table.rows(slice(480, None)))
    complete = judge.verdict()
    assert (complete.verdict, complete.complete, complete.withdrawn) == (RunVerdict.PASS, True, "")
    assert (complete.pairs_consumed, complete.pairs_judged) == (480, N)
    assert complete.sentence.startswith("PASS: not worse by 5 % on 1 of 1 gate over 3,000 segments")
    assert "spikes rarer than 0.1 % not excluded" in complete.sentence


def test_while_spikes_are_open_the_run_waits_and_says_so() -> None:
    verdict = early(drives(), 400).verdict(final=False)
    assert verdict.verdict is None
    assert "new spikes are open: 480 quiet pairs show them rarer than 0.75 %" in verdict.sentence


def test_new_spikes_earn_no_credit_by_what_is_mended() -> None:
    table = spiking(drives(), slice(0, N, 100))
    table.results[:, 1, 50::100] *= 10.0
    verdict = decide(table, SUITE, plan(table))
    assert verdict.gates[0].verdict in (MetricVerdict.EQUIVALENT, MetricVerdict.NOT_WORSE)
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    assert verdict.withdrawn == ""
    assert "m0 newly spikes or fails on 30 pairs of 3,000, more than 0.75 %" in verdict.sentence
    assert verdict.gates[0].spiking[:2] == ("s0", "s100")


def test_spikes_that_come_later_withdraw_a_pass() -> None:
    table = spiking(drives(), slice(600, 660))
    judge = early(table, 640)
    assert judge.verdict(final=False).verdict is RunVerdict.INCONCLUSIVE
    judge.extend(table.rows(slice(640, None)))
    verdict = judge.verdict()
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    assert (
        "m0 newly spikes or fails on 20 pairs of 620, more than are mended (0)" in verdict.withdrawn
    )
    assert "the PASS after 480 of 3,000 pairs is withdrawn: m0 newly" in verdict.sentence


def test_failures_that_come_later_fail_the_run() -> None:
    table = ended(drives(), range(600, 640), Outcome.FAILED)
    verdict = decide(table, SUITE, plan(table))
    assert verdict.verdict is RunVerdict.FAIL
    assert "failed on 20 routes where the baseline did not" in verdict.withdrawn


def test_a_change_of_all_pairs_beyond_the_margin_withdraws_a_pass() -> None:
    table = drives()
    table.results[:, CANDIDATE, 600:] *= 1.067
    capped = replace(SUITE, gates=(Gate(metric="m0", margin=0.05, winsor_cap=1e4),))
    verdict = decide(table, capped, plan(table))
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    assert "all pairs together change m0 by +5" in verdict.withdrawn


def test_a_set_too_small_to_bound_spikes_passes_with_one_and_says_it() -> None:
    one = spiking(drives(n=100, change=-0.05), slice(7, 8))
    wide = replace(SUITE, gates=(Gate(metric="m0", margin=0.2),))
    verdict = decide(one, wide, plan(one))
    assert verdict.verdict is RunVerdict.PASS
    assert "m0 newly spikes or fails on 1 pair (s7); spikes rarer than" in verdict.sentence
    many = spiking(drives(n=100, change=-0.05), slice(0, 4))
    assert decide(many, wide, plan(many)).verdict is RunVerdict.INCONCLUSIVE


def test_a_slice_has_its_minimum_before_a_pass() -> None:
    table = drives()
    night = frozenset(f"s{i}" for i in range(470, N, 2))
    suite = replace(SUITE, slices=(Slice(name="night", tags=("night",), minimum=20),))
    waiting = early(table, 480, suite, night=night)
    assert waiting.reached is None
    assert "slice night has 5 of 20 pairs" in waiting.verdict(final=False).sentence
    assert early(table, 520, suite, night=night).reached is RunVerdict.PASS


@pytest.mark.parametrize(("invalid", "passes"), [(2, True), (3, False)])
def test_more_invalid_pairs_than_half_a_percent_pass_nothing(invalid: int, passes: bool) -> None:
    table = ended(drives(n=500), range(invalid), Outcome.DATA_INVALID)
    verdict = decide(table, SUITE, plan(table))
    assert (verdict.verdict is RunVerdict.PASS) == passes
    assert ("without valid data, more than 0.5 %" in verdict.sentence) != passes


def test_invalid_pairs_may_not_cluster_in_a_slice() -> None:
    table = ended(drives(), range(8), Outcome.DATA_INVALID)
    suite = replace(SUITE, slices=(Slice(name="night", tags=("night",)),))
    spread = frozenset(f"s{i}" for i in range(7, N))
    assert decide(table, suite, plan(table, night=spread)).verdict is RunVerdict.PASS
    clustered = frozenset(f"s{i}" for i in range(200))
    verdict = decide(table, suite, plan(table, night=clustered))
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    assert "cluster in slice night (8)" in verdict.sentence


def test_the_first_crash_ends_the_run() -> None:
    table = ended(drives(), range(30, 60), Outcome.POLICY_FAILED)
    table = replace(table, reasons=("",) * 30 + ("answered NaN.",) * (N - 30))
    judge = early(table, 100)
    assert judge.broken == ("s30", "answered NaN.")
    assert judge.consumed == 31
    verdict = judge.verdict(final=False)
    assert verdict.verdict is RunVerdict.FAIL
    assert verdict.sentence == "FAIL: the model itself failed on s30: answered NaN."
    assert not verdict.complete


def test_a_mean_that_is_worse_is_waited_for() -> None:
    """Smoother on most pairs, 1.8 times as costly on the hardest: no spike, a worse mean."""
    table = drives(change=-0.06)
    hard = table.results[0, 1, :, 0] > np.quantile(table.results[0, 1, :, 0], 0.9)
    table.results[:, CANDIDATE, hard] *= 1.8
    assert early(table, 520).reached is None
    verdict = decide(table, SUITE, plan(table))
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    assert "the mean and the typical drive disagree" in verdict.sentence
