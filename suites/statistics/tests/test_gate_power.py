from dataclasses import replace

import numpy as np
import pytest

from suites.definition.selector import Selector
from suites.definition.suite_schema import Gate, PlannedRollout, Slice, Suite, SuiteVersion
from suites.pair_table import BASELINE, CANDIDATE, PairTable
from suites.rollout import Scenario
from suites.statistics.gate_power import (
    BankSize,
    EventPower,
    GatePower,
    Seen,
    SliceCount,
    SuitePower,
    spread_of,
    suite_power,
)
from suites.vocabulary import Estimand

GATE = Gate(metric="jerk_cost", margin=0.25)


def version(*gates: Gate, routes: int = 20, segments: int = 2, offsets: int = 3) -> SuiteVersion:
    """Each of `routes` with so many segments, each from so many offsets."""
    planned = []
    for i in range(routes * segments * offsets):
        name = f"r{i % routes}/{i // routes % segments}"
        scenario = Scenario(segment_id=name, segment_digest="", start_s=0.0, end_s=1.0)
        case = PlannedRollout(
            case_id=f"{name}@{i}", route=f"r{i % routes}", scenario=scenario, repeat=0
        )
        planned.append(case)
    suite = Suite(name="a", kind="overall", select=Selector(), gates=gates)
    return SuiteVersion(suite=suite, metric_versions={}, planned=tuple(planned))


def table(routes: int, each: int, between: float, within: float) -> PairTable:
    rng = np.random.default_rng(0)
    ratio = np.tile(rng.normal(0, between, routes), each) + rng.normal(0, within, routes * each)
    names = [f"r{i}" for i in range(routes)] * each
    costs = np.exp(ratio)[:, None]
    return PairTable.completed(costs, np.ones_like(costs), routes=names, metrics=["jerk_cost"])


def power(*gates: Gate, seen: PairTable | None = None, **shape: int) -> SuitePower:
    whose = {"jerk_cost": Seen(seen, "a and b in run 1")} if seen is not None else {}
    told = suite_power(version(*gates, **shape), whose)
    assert told is not None
    return told


def only(*gates: Gate, seen: PairTable | None = None, **shape: int) -> GatePower:
    return power(*gates, seen=seen, **shape).gates[0]


@pytest.mark.parametrize(("rho", "pairs"), [(0.005, 720), (0.0075, 480), (0.01, 359)])
def test_quiet_pairs_bound_new_spikes(rho: float, pairs: int) -> None:
    whole = version(GATE, routes=pairs, segments=1, offsets=1)
    told = suite_power(replace(whole, suite=replace(whole.suite, new_spikes=rho)), {})
    assert told is not None
    assert (told.new_spikes, told.quiet_pairs) == (rho, pairs)
    assert told.spikes_below == pytest.approx(3 / pairs, rel=0.01), "read once, at the end"


def test_without_results_the_spread_is_assumed_and_said_to_be() -> None:
    gate = only(GATE)
    assert (gate.seen, [told.spread for told in gate.told]) == ("", [0.1, 0.2])
    even, wide = gate.told
    assert even.found
    assert wide.found
    assert even.fails
    assert even.found < GATE.margin / 2 < even.fails < GATE.margin
    assert even.found < wide.found
    assert even.shown
    assert wide.shown
    assert gate.never_below
    assert gate.never_below < even.shown < wide.shown
    narrow = only(replace(GATE, margin=even.shown)).told[0]
    assert narrow.needed == pytest.approx(40, abs=1), "the bank's own size shows that margin"


def test_results_of_two_models_give_the_spread() -> None:
    gate = only(GATE, seen=table(20, 6, 0.1, 0.2))
    (told,) = gate.told
    assert gate.seen == "a and b in run 1"
    assert told.spread == pytest.approx(np.sqrt(0.1**2 + 0.2**2 / 6), rel=0.3)
    assert only(GATE, seen=table(20, 6, 0.0, 0.0)).seen == "", "two models that do not differ"


def test_spread_is_told_apart_between_and_inside_routes() -> None:
    between, within = spread_of(GATE, table(400, 5, 0.1, 0.2)) or (0, 0)
    assert (between, within) == pytest.approx((0.1, 0.2), rel=0.1)
    assert spread_of(GATE, table(400, 1, 0.0, 0.2)) == pytest.approx((0.2, 0.0), rel=0.1)
    assert spread_of(GATE, table(1, 50, 0.1, 0.2)) is None, "one route"
    sample = BankSize(4, (1, 3)).sample(0.1, 0.2)
    assert sample.error == pytest.approx(np.sqrt(0.1 + 4 * 0.04) / 4)


def test_new_spikes_of_the_results_keep_equal_models_from_passing() -> None:
    seen = table(20, 6, 0.02, 0.05)
    quiet = only(GATE, seen=seen)
    results = seen.results.copy()
    results[:, CANDIDATE, :6] = 5.0
    results[:, BASELINE, 6:12] = 5.0
    spiky = only(GATE, seen=replace(seen, results=results))
    assert (quiet.spiking, spiky.spiking) == (0.0, 6 / 120)
    (passes, fewer) = (gate.told[0].passes for gate in (quiet, spiky))
    assert passes is not None
    assert fewer is not None
    assert fewer < passes * 0.45, "six in 120 are expected and three are allowed"


def test_a_bank_that_is_too_small_passes_nothing() -> None:
    gate = only(GATE, routes=4)
    assert gate.never_below is None
    assert {(told.found, told.fails, told.shown, told.passes) for told in gate.told} == {
        (None, None, None, 0.0)
    }
    passes = only(GATE, routes=6).told[0].passes
    assert passes is not None
    assert passes < 0.05, "29 % is the least that six routes show"


def test_what_is_judged_leaves_must_pass_cases_out() -> None:
    whole = version(GATE)
    case = replace(whole.planned[0], case="kept", case_id="kept#0")
    told = suite_power(replace(whole, planned=(*whole.planned, case)), {})
    assert told is not None
    assert (told.pairs, told.segments, told.routes) == (120, 40, 20)
    assert suite_power(version(), {}) is None


def test_a_slice_that_the_bank_cannot_fill_is_named() -> None:
    whole = version(GATE)
    night = Slice(name="night", tags=("night",), minimum=20)
    whole = replace(whole, suite=replace(whole.suite, slices=(night,)))
    few = suite_power(replace(whole, slices={"night": ("r0/0", "r1/0")}), {})
    enough = suite_power(replace(whole, slices={"night": tuple(f"r{i}/0" for i in range(9))}), {})
    assert few is not None
    assert few.thin_slices == (SliceCount(name="night", pairs=6, minimum=20),)
    assert enough is not None
    assert enough.thin_slices == ()


def test_a_mean_needs_results_and_a_cap() -> None:
    capped = replace(GATE, estimand=Estimand.MEAN, winsor_cap=3.0)
    seen = table(400, 1, 0.0, 0.2)
    (told,) = only(capped, seen=seen, routes=400, segments=1, offsets=1).told
    assert told.found
    assert told.shown
    assert told.passes is None
    (fewer,) = only(capped, seen=seen, routes=100, segments=1, offsets=1).told
    assert fewer.found
    assert fewer.found > told.found
    assert only(capped).told == only(replace(capped, winsor_cap=None), seen=seen).told == ()


INCIDENT = replace(GATE, metric="incident_hard_brake", estimand=Estimand.RATE, margin=0.005)


def test_a_rate_says_how_many_events_fail_and_what_a_bank_without_them_excludes() -> None:
    gate = only(INCIDENT, routes=940, segments=1, offsets=1)
    assert gate.never_below is not None
    assert gate.never_below == pytest.approx(0.005, rel=0.02), "940 quiet pairs for .5 %"
    assert gate.events == EventPower(baseline=0, failing=6, found=8, shown=gate.never_below)


def test_a_rate_counts_the_events_of_the_results() -> None:
    values = np.zeros((2, 1000, 1))
    values[CANDIDATE, :4] = values[BASELINE, 2:6] = 1.0
    names = [f"r{i}" for i in range(1000)]
    seen = PairTable.completed(*values, routes=names, metrics=[INCIDENT.metric])
    told = suite_power(
        version(INCIDENT, routes=5000, segments=1, offsets=1),
        {INCIDENT.metric: Seen(seen, "a and b in run 1")},
    )
    assert told is not None
    (gate,) = told.gates
    assert gate.events is not None
    assert (gate.seen, gate.events.baseline) == ("a and b in run 1", 20)
    assert gate.events.failing == pytest.approx(39, abs=2), "20 against 45 of 5,000 are found"
    assert gate.events.shown is not None
    assert gate.never_below is not None
    assert gate.events.shown > gate.never_below, "ten routes differ either way"


def test_a_suite_that_draws_by_cost_promises_no_figures() -> None:
    whole = version(GATE)
    drawn = suite_power(replace(whole, suite=replace(whole.suite, draw="cost")), {})
    assert drawn is not None
    (gate,) = drawn.gates
    assert (gate.by_cost, gate.told, gate.never_below) == (True, (), None)
