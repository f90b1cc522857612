"""A run is judged piece by piece as in one piece, up to what decides and beyond it."""

from dataclasses import replace

import numpy as np
import pytest

from suites.definition.selector import Selector
from suites.definition.suite_schema import CaseSpec, Gate, Suite
from suites.judgement import CaseVerdict
from suites.pair_table import PairTable
from suites.run_plan import RunPlan
from suites.verdict.judged_run import JudgedRun
from suites.vocabulary import Outcome, RunVerdict

PAIRS = 200
SUITE = Suite(
    name="s",
    kind="overall",
    select=Selector(),
    gates=(Gate(metric="cost", margin=0.1),),
    look_every=10,
    flips=199,
    order_seed=1,
)
CASES = (CaseSpec(name="bend", segment="r/0"), CaseSpec(name="exit", segment="r/1"))


def table(effect: float) -> PairTable:
    random = np.random.default_rng(0)
    costs = random.lognormal(0, 0.5, (PAIRS, 1))
    noise = random.lognormal(0, 0.02, (2, PAIRS, 1))
    routes = [f"r{i % 50}" for i in range(PAIRS)]
    worse = costs * (1 + effect) * noise[0]
    return PairTable.completed(worse, costs * noise[1], routes=routes, metrics=["cost"])


def whole(suite: Suite = SUITE, waivers: dict[str, str] | None = None) -> JudgedRun:
    return JudgedRun(suite, RunPlan(PAIRS), "digest", waivers or {})


def test_it_stops_at_the_look_that_decides_and_goes_on_when_asked() -> None:
    costs = table(0.5)
    run = whole()
    run.take(costs)
    assert run.gates_decided
    assert 0 < run.consumed < PAIRS
    assert run.consumed % SUITE.look_every == 0
    early = run.verdict()
    assert (early.verdict, early.pairs_judged) == (RunVerdict.FAIL, run.consumed)
    assert run.settled(whole=False)
    assert not run.settled(whole=True)
    pieces = whole()
    for start in range(0, run.consumed, 7):
        pieces.take(costs.rows(slice(start, min(start + 7, run.consumed))))
    assert pieces.verdict() == early, "however the pairs came"
    run.take(costs.rows(slice(run.consumed, None)))
    assert run.consumed == PAIRS
    assert run.settled(whole=True)
    assert run.verdict().pairs_consumed == early.pairs_consumed


def test_whoever_asks_in_between_changes_no_word() -> None:
    random = np.random.default_rng(92)
    costs = random.lognormal(0, 0.5, (PAIRS, 1))
    noise = random.lognormal(0, 0.05, (2, PAIRS, 1))
    levels = np.array([1.28, 1.0, 2.35, 1.15]).repeat([16, 3, 59, 122])[:, None]
    routes = [f"r{i % 50}" for i in range(PAIRS)]
    turning = PairTable.completed(
        costs * noise[0] * levels, costs * noise[1], routes=routes, metrics=["cost"]
    )
    asked, silent = (whole(replace(SUITE, gates=(Gate(metric="cost", margin=0.9),))) for _ in "ab")
    contradicted = 0
    while silent.consumed < PAIRS:
        piece = turning.rows(slice(silent.consumed, silent.consumed + SUITE.look_every))
        asked.take(piece)
        silent.take(piece)
        contradicted += "an earlier look" in asked.verdict().gates[0].reason
    assert contradicted, "it was otherwise for a while"
    assert asked.verdict() == silent.verdict()


def test_a_crash_before_any_decision_ends_it() -> None:
    costs = table(0.0)
    outcomes = list(costs.outcomes)
    outcomes[4] = (Outcome.POLICY_FAILED, Outcome.COMPLETED)
    run = whole()
    run.take(replace(costs, outcomes=tuple(outcomes), reasons=("it crashed",) * PAIRS))
    assert (run.broken, run.ended, run.consumed) == (True, True, 5)
    assert "it crashed" in run.verdict().sentence


def test_an_undecided_run_says_what_it_shows() -> None:
    run = whole()
    run.take(table(0.0).rows(slice(15)))
    verdict = run.verdict()
    assert verdict.verdict is None
    assert verdict.method["suite_digest"] == "digest"
    assert verdict.method["evidence"]["threshold"] == 20
    assert len(verdict.method["evidence"]["e_values"]) == 1
    assert "evidence" not in run.verdict(over=True).method


@pytest.mark.parametrize(
    ("case", "passed", "waived"),
    [("bend", False, "by bo"), ("bend", None, "by bo"), ("bend", True, ""), ("exit", False, "")],
)
def test_only_what_did_not_pass_is_waived(case: str, passed: bool | None, waived: str) -> None:
    run = whole(replace(SUITE, gates=(), select=None, cases=CASES), {"bend": "by bo"})
    run.cases[case] = CaseVerdict(case=case, passed=passed, reason="away")
    (found,) = run.verdict(over=True).cases
    assert found.waived == waived
