"""The self-check finds a sound judge sound and a broken one broken, and plants what it says."""

from dataclasses import replace

import numpy as np
import pytest

from suites.definition.selector import Selector
from suites.definition.suite_schema import Gate, Slice, Suite
from suites.errors import SubmitterError
from suites.pair_table import BASELINE, CANDIDATE, PairTable
from suites.run_plan import RunPlan
from suites.verdict import planted_effects as selfcheck
from suites.verdict.null_bank import EndedRun, judged, known_plan
from suites.verdict.planted_effects import self_check
from suites.vocabulary import Outcome

ROUTES, EACH = 20, 6
SUITE = Suite(
    name="checked",
    kind="overall",
    select=Selector(),
    gates=(Gate(metric="a", margin=0.25), Gate(metric="b", margin=0.25)),
    flips=199,
)


def twins(seed: int = 0, route_spread: float = 0.1) -> PairTable:
    """Two distinct, near-equal models whose differences are alike on the same route."""
    generator = np.random.default_rng(seed)
    difficulty = np.exp(generator.normal(0, 0.6, (ROUTES * EACH, 2)))

    def model() -> np.ndarray:
        return (
            difficulty
            * np.exp(generator.normal(0, route_spread, (ROUTES, 2))).repeat(EACH, axis=0)
            * np.exp(generator.normal(0, 0.05, difficulty.shape))
        )

    c, b = model(), model()
    routes = [f"r{i // EACH}" for i in range(len(c))]
    return PairTable.completed(c, b, routes=routes, metrics=("a", "b"))


def many_twins() -> PairTable:
    """On 1,000 routes of one pair."""
    generator = np.random.default_rng(5)
    c, b = np.exp(generator.normal(0, 0.1, (2, 1000, 2)))
    return PairTable.completed(c, b, routes=[f"r{i}" for i in range(1000)], metrics=("a", "b"))


def test_a_sound_judge_passes_and_finds_what_is_planted() -> None:
    report = self_check(twins(), SUITE, runs=40)
    assert report.faults == ()
    assert report.nulls.alarms.low <= SUITE.alpha < report.nulls.naive.low, (
        "the control shows that there was something to see"
    )
    beyond = {p.kind: p for p in report.planted if p.multiple == 2.0}
    assert beyond["even"].failed.share > 0.9
    assert beyond["spikes"].failed.share > 0.5
    assert beyond["even"].median_pairs is not None
    assert (report.pairs, report.routes, report.runs) == (ROUTES * EACH, ROUTES, 40)


def test_a_judge_that_ignores_routes_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(table: PairTable, suite: Suite, _: RunPlan) -> EndedRun:
        table = replace(table, routes=table.case_ids)
        return judged(table, suite, known_plan(table, suite))

    monkeypatch.setattr(selfcheck, "judged", blind)
    report = self_check(twins(), SUITE, runs=25)
    assert any(fault.startswith("false alarms") for fault in report.faults)


def test_equal_seeds_give_equal_reports() -> None:
    first, again, other = (self_check(twins(), SUITE, runs=5, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_what_can_not_be_planted_is_said() -> None:
    table = twins()
    table.results[..., 1] = 0.0
    report = self_check(table, SUITE, runs=2)
    assert [text.split()[0] for text in report.not_planted] == ["b"] * 6


def test_checks_that_would_show_nothing_are_refused() -> None:
    table = twins()
    same = replace(table, results=table.results[:, [BASELINE, BASELINE]])
    with pytest.raises(SubmitterError) as refused:
        self_check(same, SUITE, runs=2)
    assert "zero by construction" in refused.value.findings[0].problem
    with pytest.raises(SubmitterError) as refused:
        self_check(replace(table, routes=("r",) * len(table.routes)), SUITE, runs=2)
    assert refused.value.findings[0].where == "routes"
    for hole, said in ((np.nan, "no pair has a value"), (-1.0, "negative")):
        gone = replace(table, results=table.results.copy())
        gone.results[:, CANDIDATE, :, 0] = hole
        with pytest.raises(SubmitterError) as refused:
            self_check(gone, SUITE, runs=2)
        assert [f.where for f in refused.value.findings] == ["a"]
        assert said in refused.value.findings[0].problem


def test_pairs_on_which_a_model_crashed_are_left_out() -> None:
    table = twins()
    crashed = (Outcome.POLICY_FAILED, Outcome.COMPLETED)
    report = self_check(replace(table, outcomes=(crashed, *table.outcomes[1:])), SUITE, runs=2)
    assert report.pairs == ROUTES * EACH - 1
    assert report.nulls.failed.hits == 0


def test_a_slice_with_too_few_pairs_keeps_equal_models_from_passing_early() -> None:
    """An easy suite passes its equal models before the end, unless a slice has not been seen."""
    table = many_twins()
    suite = replace(SUITE, gates=SUITE.gates[:1])
    early = self_check(table, suite, runs=2).nulls.passed_pairs
    sliced = replace(suite, slices=(Slice(name="night", tags=("night",), minimum=900),))
    night = {"night": frozenset(table.case_ids)}
    late = self_check(table, sliced, runs=2, slices=night).nulls.passed_pairs
    assert early is not None
    assert late is not None
    assert early < 900 <= late


def test_costs_that_weigh_nothing_are_not_drawn_by() -> None:
    """Two pairs whose costs are mirrored: a coin makes the baseline's all the same."""
    c, b = np.array([[1.0], [2.0]]), np.array([[2.0], [1.0]])
    table = PairTable.completed(c, b, routes=("r0", "r1"), metrics=("a",))
    suite = replace(SUITE, gates=SUITE.gates[:1])
    report = self_check(table, suite, runs=4)
    assert "drawn by cost" in {check.shape for check in report.shapes}
    flat = replace(
        table, results=np.where(table.results > 1, 1.0, 0.5) * [[[[1], [1]], [[0], [0]]]]
    )
    assert any("no draw by cost" in why for why in self_check(flat, suite, runs=1).not_planted)
