"""decide(): the verdict table, whole runs, and every kind of bad input."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from suites.definition.selector import Selector
from suites.definition.suite_schema import CaseSpec, Gate, Suite
from suites.errors import SubmitterError
from suites.judgement import CaseVerdict
from suites.pair_table import BASELINE, CANDIDATE, HIGH, LOW, VALUE, PairTable, concat
from suites.run_plan import RunPlan
from suites.statistics.sequential import Claims
from suites.verdict.gate_word import gate_word
from suites.verdict.run_judge import RunJudge, decide
from suites.vocabulary import Estimand, MetricVerdict, Outcome, RunVerdict

NOTHING = Claims(
    above_zero=False,
    above_margin=False,
    below_zero=False,
    below_margin=False,
    above_minus_margin=False,
    leaning=False,
    distance=0.0,
)


def table(candidate: np.ndarray, baseline: np.ndarray, routes: int) -> PairTable:
    n = len(candidate)
    c, b = np.atleast_2d(candidate.T).T, np.atleast_2d(baseline.T).T
    return PairTable.completed(
        c,
        b,
        case_ids=[f"s{i // 3}@{i % 3:+.2f}m#0" for i in range(n)],
        routes=[f"r{i % routes}" for i in range(n)],
        metrics=[f"m{i}" for i in range(c.shape[1])],
    )


PLAN = RunPlan(180)


def suite(*margins: float, **changes: object) -> Suite:
    gates = tuple(Gate(metric=f"m{i}", margin=margin) for i, margin in enumerate(margins))
    return replace(Suite(name="test", kind="overall", select=Selector(), gates=gates), **changes)  # type: ignore[arg-type]


def drives(
    effect: float, n: int = 180, routes: int = 20, metrics: int = 1, seed: int = 0
) -> PairTable:
    rng = np.random.default_rng(seed)
    b = np.exp(rng.normal(0, 0.4, (n, 1)) + rng.normal(0, 0.05, (n, metrics)))
    c = b * np.exp(
        effect
        + rng.normal(0, 0.03, (routes, metrics))[np.arange(n) % routes]
        + rng.normal(0, 0.05, (n, metrics))
    )
    return table(c, b, routes)


# ---- the table "From interval to verdict"


def claimed(low: float, high: float, margin: float = 1.0) -> Claims:
    return Claims(
        above_zero=low > 0,
        above_margin=low > margin,
        below_zero=high < 0,
        below_margin=high <= margin,
        above_minus_margin=low >= -margin,
        leaning=False,
        distance=9.0 if low > 0 else -9.0 if high < 0 else 0.0,
    )


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (-2, -0.5, MetricVerdict.BETTER),
        (1.5, 2, MetricVerdict.WORSE),
        (0.2, 0.9, MetricVerdict.SLIGHTLY_WORSE),
        (-0.5, 0.5, MetricVerdict.EQUIVALENT),
        (-3, 0.5, MetricVerdict.NOT_WORSE),
        (-0.5, 2, MetricVerdict.CANNOT_TELL),
        (0.5, 2, MetricVerdict.CANNOT_TELL),
    ],
)
def test_word_of_an_interval(low: float, high: float, word: MetricVerdict) -> None:
    assert gate_word(Gate(metric="m", margin=1.0), claimed(low, high), NOTHING, last=False) is word


def test_worse_of_open_size_is_worse_at_the_end_or_where_the_gate_fails_fast() -> None:
    gate, own = Gate(metric="m", margin=1.0), claimed(0.5, 2)
    assert gate_word(gate, own, NOTHING, last=True) is MetricVerdict.WORSE
    assert gate_word(replace(gate, fail_fast=True), own, NOTHING, last=False) is MetricVerdict.WORSE
    assert gate_word(gate, claimed(0.5, 0.9), NOTHING, last=True) is MetricVerdict.SLIGHTLY_WORSE


def test_opposite_directions_are_mixed() -> None:
    gate, better, worse = Gate(metric="m", margin=1.0), claimed(-2, -0.5), claimed(1.5, 2)
    assert gate_word(gate, better, worse, last=False) is MetricVerdict.MIXED
    assert gate_word(gate, worse, better, last=False) is MetricVerdict.MIXED
    assert gate_word(gate, claimed(-0.5, 0.5), worse, last=True) is MetricVerdict.MIXED
    assert gate_word(gate, claimed(-0.5, 0.5), better, last=True) is MetricVerdict.EQUIVALENT


# ---- whole runs


def test_near_twin_passes_and_the_sentence_says_on_what() -> None:
    verdict = decide(drives(0.0, metrics=5), suite(0.2, 0.2, 0.2, 0.2, 0.2), PLAN)
    assert verdict.verdict is RunVerdict.PASS
    assert verdict.sentence == (
        "PASS: not worse by 20 % on 5 of 5 gates over 60 segments of 20 routes; "
        "spikes rarer than 1.7 % not excluded."
    )
    for gate in verdict.gates:
        assert gate.verdict is MetricVerdict.EQUIVALENT
        assert gate.interval is not None
        assert -0.2 <= gate.interval.low <= gate.interval.estimate <= gate.interval.high <= 0.2
        assert gate.other_estimand is None  # the mean needs thirty routes
        assert (gate.pairs, gate.routes, gate.invalid) == (180, 20, 0)
        assert gate.smallest_visible_effect is not None
        assert gate.smallest_visible_effect < 0.2
    assert verdict.method["flips"] == 999


def test_drifting_model_fails_early() -> None:
    judge = RunJudge(suite(0.1), PLAN)
    judge.extend(drives(0.5).rows(slice(0, 60)))
    verdict = judge.verdict(final=False)
    assert verdict.verdict is judge.reached is RunVerdict.FAIL
    assert verdict.pairs_consumed <= 40
    assert verdict.gates[0].verdict is MetricVerdict.WORSE
    assert verdict.gates[0].decided_at == verdict.pairs_consumed
    assert verdict.sentence.startswith("FAIL: m0 is worse in the typical drive by 4")


@pytest.mark.parametrize("seed", range(4))
def test_six_routes_cannot_tell_of_a_near_twin_and_say_what_would(seed: int) -> None:
    verdict = decide(drives(0.0, n=54, routes=6, seed=seed), suite(0.25), RunPlan(54))
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    assert verdict.gates[0].verdict is MetricVerdict.CANNOT_TELL
    assert "more segments of other routes would tell" in verdict.sentence


def test_values_that_one_model_lacks_are_asked_for_instead_of_more_segments() -> None:
    rows = drives(0.0)
    rows.results[:, CANDIDATE, ::2] = np.nan
    verdict = decide(rows, suite(0.25), PLAN)
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    assert (
        "in 90 pairs one model has no value, which counts at its best and worst: supply it"
        in verdict.sentence
    )
    assert "more segments" not in verdict.sentence


def test_pairs_that_wait_for_the_next_look_are_not_invalid() -> None:
    judge = RunJudge(suite(0.25), PLAN)
    judge.extend(drives(1.0).rows(slice(0, 24)))
    (gate,) = judge.verdict(final=False).gates
    assert (gate.pairs, gate.invalid) == (20, 0)


def test_before_the_first_look_it_is_said_when_it_comes() -> None:
    verdict = decide(drives(1.0).rows(slice(0, 7)), suite(0.25), PLAN, final=False)
    assert verdict.gates[0].reason == "the first look is after 20 pairs"


def test_pieces_give_the_verdict_of_the_whole() -> None:
    rows, rules = drives(0.05, metrics=3), suite(0.1, 0.15, 0.02)
    judge = RunJudge(rules, PLAN)
    for start in range(0, 180, 7):
        judge.extend(rows.rows(slice(start, start + 7)))
    assert judge.verdict() == decide(rows, rules, PLAN)


def test_first_crossing_is_final() -> None:
    bad, good = drives(0.5), drives(-0.5, seed=1)
    rows = concat([bad.rows(slice(40)), good.rows(slice(40, None))])
    assert decide(rows.rows(slice(0, 40)), suite(0.1), PLAN, final=False).verdict is RunVerdict.FAIL
    verdict = decide(rows, suite(0.1), PLAN)
    assert verdict.verdict is RunVerdict.FAIL
    assert verdict.pairs_consumed <= 40


def test_prefix_is_undecided_and_says_how_far_it_is() -> None:
    verdict = decide(drives(0.0).rows(slice(0, 20)), suite(0.1), PLAN, final=False)
    assert verdict.verdict is None
    assert verdict.sentence == "Not decided yet: 0 of 1 gate after 20 of 180 pairs."


def test_smoother_but_spiking_is_mixed_and_never_passes() -> None:
    rows = drives(-0.05, n=1500, routes=1500)
    candidate, baseline = rows.results[VALUE]
    spikes = np.random.default_rng(3).random(candidate.shape) < 0.015
    spiky = table(np.where(spikes, 20 * candidate, candidate), baseline, 1500)
    rules = replace(suite(0.05), gates=(Gate(metric="m0", margin=0.05, winsor_cap=20.0),))
    verdict = decide(spiky, rules, RunPlan(1500))
    assert verdict.gates[0].verdict is MetricVerdict.MIXED
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    assert "the mean and the typical drive disagree" in verdict.sentence
    undecided = decide(
        spiky, suite(0.05), RunPlan(1500)
    )  # without a cap less is shown of the mean, yet never "better"
    assert undecided.gates[0].verdict is not MetricVerdict.BETTER
    assert (
        "leaning the other way" in undecided.sentence
        or undecided.verdict is RunVerdict.INCONCLUSIVE
    )


def test_advisory_gates_never_decide() -> None:
    rules = suite(0.1, 0.1)
    rows = drives(0.0, metrics=2)
    rows.results[:, CANDIDATE, :, 1] *= 2
    rules = replace(rules, gates=(rules.gates[0], replace(rules.gates[1], critical=False)))
    verdict = decide(rows, rules, PLAN)
    assert verdict.verdict is RunVerdict.PASS
    assert verdict.gates[1].verdict is MetricVerdict.WORSE


def test_a_mean_without_a_cap_is_never_judged() -> None:
    rules = replace(suite(0.1), gates=(Gate(metric="m0", margin=0.1, estimand=Estimand.MEAN),))
    for effect in (0.0, 1.0):
        verdict = decide(drives(effect), rules, PLAN)
        assert verdict.verdict is RunVerdict.INCONCLUSIVE
        assert "winsor_cap" in verdict.gates[0].reason
        assert "winsor_cap" in verdict.sentence
        assert "more segments" not in verdict.sentence  # however many, they would not tell


def test_a_cap_that_leaves_nothing_to_compare_shows_nothing() -> None:
    rows = drives(0.0)
    for cap, said in (
        (1e-6, "every cost of both models is cut"),
        (float(np.median(rows.results[VALUE, CANDIDATE])), "pairs where both costs"),
    ):
        rules = replace(
            suite(3.0),
            gates=(Gate(metric="m0", margin=3.0, estimand=Estimand.MEAN, winsor_cap=cap),),
        )
        verdict = decide(rows, rules, PLAN)
        assert said in verdict.gates[0].reason
        assert (verdict.verdict is RunVerdict.PASS) is (cap > 1e-3)
    rules = replace(suite(0.4), gates=(Gate(metric="m0", margin=0.4, winsor_cap=1e-6),))
    assert decide(rows, rules, PLAN).gates[0].reason == ""  # the typical drive knows no cap


def test_a_change_that_goes_with_the_length_of_a_route_is_said() -> None:
    """The first look weighs routes alike, the last pairs: 40 short routes worse, 10 long better."""
    rng = np.random.default_rng(4)
    names = [f"r{i}" for i in range(50)] + [f"r{i % 10}" for i in range(390)]
    effect = np.where(np.array([int(name[1:]) for name in names]) < 10, -0.02, 0.2)
    b = np.exp(rng.normal(0, 0.4, 440))
    rows = replace(table(b * np.exp(effect + rng.normal(0, 0.02, 440)), b, 50), routes=tuple(names))
    verdict = decide(rows, suite(0.05), RunPlan(440))
    assert verdict.verdict is RunVerdict.FAIL  # the first crossing is final
    gate = verdict.gates[0]
    assert gate.interval is not None
    assert "an earlier look showed a change of at least +" in gate.reason
    assert gate.interval.low == gate.interval.estimate < 0.02
    assert "(at least" not in verdict.sentence  # all pairs together do not bear it out
    assert gate.reason in verdict.sentence
    alike = replace(table(b * 1.2, b, 50), routes=rows.routes)
    same = decide(alike, suite(0.05), RunPlan(440))
    assert same.gates[0].reason == ""


# ---- failures, censoring, missing


def ended(rows: PairTable, outcome: Outcome, at: list[int], model: int = CANDIDATE) -> PairTable:
    outcomes = [list(pair) for pair in rows.outcomes]
    for i in at:
        outcomes[i][model] = outcome
    return replace(rows, outcomes=tuple((c, b) for c, b in outcomes))


def test_failing_on_more_routes_fails_whatever_the_gates_say() -> None:
    rows = drives(0.0)
    few, many = (
        ended(rows, Outcome.FAILED, list(range(6))),
        ended(rows, Outcome.FAILED, list(range(8))),
    )
    assert decide(few, suite(0.2), PLAN).verdict is RunVerdict.INCONCLUSIVE
    assert "6 routes failed for the candidate only" in decide(few, suite(0.2), PLAN).sentence
    verdict = decide(many, suite(0.2), PLAN)
    assert verdict.verdict is RunVerdict.FAIL
    assert "failed on 8 routes where the baseline did not" in verdict.sentence
    assert verdict.outcomes["candidate"] == {"completed": 172, "failed": 8}
    both = ended(many, Outcome.FAILED, list(range(8)), BASELINE)
    assert decide(both, suite(0.2), PLAN).verdict is RunVerdict.PASS


def test_declared_share_of_failures() -> None:
    rows = ended(
        drives(0.0), Outcome.FAILED, [0, 20, 40, 60]
    )  # one route: the label test sees one failing place
    assert decide(rows, suite(0.2, max_failed_share=0.05), PLAN).verdict is RunVerdict.PASS
    assert decide(rows, suite(0.2, max_failed_share=0.02), PLAN).verdict is RunVerdict.FAIL


def test_censored_pairs_count_at_best_and_at_worst() -> None:
    rows = drives(0.0)
    rows.results[LOW, CANDIDATE, :30] = 0.0
    rows.results[HIGH, CANDIDATE, :30] = 20.0
    verdict = decide(rows, suite(0.2), PLAN)
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    interval = verdict.gates[0].interval
    assert interval is not None
    assert interval.low < -0.2
    assert interval.high > 0.2
    slight = drives(0.0)
    slight.results[LOW, CANDIDATE] *= 0.99
    slight.results[HIGH, CANDIDATE] *= 1.01
    assert decide(slight, suite(0.2), PLAN).verdict is RunVerdict.PASS


def test_data_invalid_drops_the_pair_and_is_counted() -> None:
    rows = drives(0.0)
    rows.results[:, CANDIDATE, :9] = 1e6
    verdict = decide(ended(rows, Outcome.DATA_INVALID, list(range(9))), suite(0.2), PLAN)
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    assert (verdict.gates[0].pairs, verdict.gates[0].invalid) == (171, 9)
    assert "9 pairs of 180 without valid data, more than 0.5 %" in verdict.sentence
    assert "over 57 segments of 20 routes (9 pairs without valid data left out)" in verdict.sentence


def test_routes_without_valid_data_are_not_claimed() -> None:
    most = ended(drives(0.0), Outcome.DATA_INVALID, [i for i in range(180) if i % 20 > 0])
    verdict = decide(most, suite(0.2), PLAN)
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    assert "over 9 segments of 1 route (171 pairs without valid data left out)" in verdict.sentence
    assert "1 route cannot show it" in verdict.sentence


def test_values_of_one_route_alone_are_not_promised_more_segments() -> None:
    rows = drives(0.0)
    rows.results[:, :, np.arange(180) % 20 > 0] = np.nan
    assert "1 route cannot show it" in decide(rows, suite(0.2), PLAN).sentence


@pytest.mark.parametrize("hole", [np.nan, np.inf])
def test_a_baseline_lacking_half_gives_no_verdict_and_the_reason(hole: float) -> None:
    rows = drives(0.0)
    rows.results[:, BASELINE, ::2] = hole
    verdict = decide(rows, suite(0.2), PLAN)
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    assert verdict.gates[0].invalid == 90
    few = drives(0.0)
    few.results[:, BASELINE, 0] = hole
    assert "1 pair where one model has no value" in decide(few, suite(0.2), PLAN).gates[0].reason


def test_values_that_both_lack_are_dropped_and_nothing_left_is_said() -> None:
    rows = drives(0.0)
    rows.results[:] = np.nan
    verdict = decide(rows, suite(0.2), PLAN)
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    assert verdict.gates[0].reason == "no pair has a value of both models"


def test_negative_costs_are_refused_by_name() -> None:
    rows = drives(0.0)
    rows.results[:, CANDIDATE, 3] = -1
    verdict = decide(rows, suite(0.2), PLAN)
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    assert "negative" in verdict.sentence


@pytest.mark.parametrize("effect", [0.0, 1.0])
def test_a_negative_cost_after_the_decision_takes_it_back(effect: float) -> None:
    rows = drives(effect)
    rows.results[:, CANDIDATE, 170] = -1
    verdict = decide(rows, suite(0.4), PLAN)
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    assert (verdict.gates[0].verdict, verdict.gates[0].decided_at) == (
        MetricVerdict.CANNOT_TELL,
        None,
    )
    assert "negative" in verdict.sentence
    early = RunJudge(suite(0.4), PLAN)
    early.extend(rows.rows(slice(0, 160)))
    assert effect == 0.0 or early.reached is RunVerdict.FAIL  # as a run that stops there says


def test_planned_pairs_that_never_came_are_named() -> None:
    verdict = decide(drives(0.0), suite(0.2), RunPlan(200))
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    assert "20 planned pairs never came" in verdict.sentence


def test_duplicates_unknown_metrics_and_surplus_rows_are_refused() -> None:
    rows = drives(0.0)
    with pytest.raises(SubmitterError) as caught:
        decide(replace(rows, case_ids=("same",) * 180), suite(0.2), PLAN)
    assert "more than once" in caught.value.findings[0].problem
    judge = RunJudge(suite(0.2), RunPlan(360))
    judge.extend(rows)
    with pytest.raises(SubmitterError):
        judge.extend(rows)
    with pytest.raises(SubmitterError):
        decide(rows, suite(0.1, 0.1), PLAN)
    with pytest.raises(SubmitterError):
        decide(rows, suite(0.2), RunPlan(100))


# ---- degenerate evidence


@pytest.mark.parametrize(("n", "routes"), [(180, 20), (18, 1), (1, 1)])
def test_the_same_model_has_exactly_zero_effect(n: int, routes: int) -> None:
    rows = drives(0.3, n=n, routes=routes)
    verdict = decide(
        table(rows.results[VALUE, BASELINE], rows.results[VALUE, BASELINE], routes),
        suite(0.2),
        RunPlan(n),
    )
    assert verdict.verdict is RunVerdict.PASS
    assert "zero effect" in verdict.sentence
    assert verdict.gates[0].interval is not None
    assert verdict.gates[0].interval.high == 0


@pytest.mark.parametrize(("candidate", "baseline"), list(product([0.0, 1.0, 5.0], repeat=2)))
def test_constant_metrics_never_crash(candidate: float, baseline: float) -> None:
    rows = table(np.full(180, candidate), np.full(180, baseline), 20)
    verdict = decide(rows, suite(0.2), PLAN).verdict
    expected = RunVerdict.FAIL if candidate > baseline else RunVerdict.PASS
    assert verdict is expected


def test_one_route_cannot_tell() -> None:
    verdict = decide(drives(0.0, routes=1), suite(0.2), PLAN)
    assert verdict.verdict is RunVerdict.INCONCLUSIVE
    assert "1 route cannot show it at alpha = 0.05: at least 6 are needed" in verdict.sentence


def test_no_rows_at_all() -> None:
    verdict = decide(drives(0.0).rows(slice(0, 0)), suite(0.2), PLAN)
    assert verdict.verdict is RunVerdict.INCONCLUSIVE


# ---- must-pass cases


def test_cases_decide_beside_the_gates() -> None:
    rules = suite(
        0.2, cases=(CaseSpec(name="exit", segment="s/0"), CaseSpec(name="merge", segment="s/1"))
    )
    rows = drives(0.0)
    passed = CaseVerdict(case="exit", passed=True)
    broken = CaseVerdict(case="merge", passed=False, reason="left its lane at 4.2 s")
    assert decide(rows, rules, PLAN, [passed], final=False).verdict is None
    missing = decide(rows, rules, PLAN, [passed])
    assert missing.verdict is RunVerdict.INCONCLUSIVE
    assert "1 must-pass case without a result" in missing.sentence
    failed = decide(rows.rows(slice(0, 20)), rules, PLAN, [broken], final=False)
    assert failed.verdict is RunVerdict.FAIL
    assert "must-pass case merge failed (left its lane at 4.2 s)" in failed.sentence
    waived = decide(rows, rules, PLAN, [passed, replace(broken, waived="flaky since Monday")])
    assert waived.verdict is RunVerdict.PASS
    assert "1 must-pass case passed, 1 waived" in waived.sentence


def test_a_suite_of_cases_alone() -> None:
    rules = Suite(name="cases", kind="specific", cases=(CaseSpec(name="exit", segment="s/0"),))
    nothing = table(np.empty((0, 1)), np.empty((0, 1)), 1)
    verdict = decide(nothing, rules, RunPlan(0), [CaseVerdict(case="exit", passed=True)])
    assert verdict.verdict is RunVerdict.PASS
    assert verdict.sentence == "PASS: 1 must-pass case passed."
