"""New spikes: which pairs count, and what their bet excludes."""

from dataclasses import replace

import numpy as np
import pytest

from suites.definition.suite_schema import Gate
from suites.pair_table import BASELINE, CANDIDATE, HIGH, LOW, PairTable
from suites.statistics.new_spikes import NewSpikes, log_rarity, quiet_pairs, rarer_than
from suites.vocabulary import Outcome

GATE = Gate(metric="m")


def counted(table: PairTable, gate: Gate = GATE) -> NewSpikes:
    spikes = NewSpikes((gate,), 0.0075, 0.05)
    spikes.consume(table)
    spikes.look()
    return spikes


def table(candidate: list[float], baseline: list[float]) -> PairTable:
    c, b = np.array([candidate, baseline], dtype=np.float64)[:, :, None]
    return PairTable.completed(c, b, routes=[f"r{i}" for i in range(len(c))], metrics=["m"])


def ended(rows: PairTable, pair: int, candidate: Outcome, baseline: Outcome) -> PairTable:
    outcomes = list(rows.outcomes)
    outcomes[pair] = candidate, baseline
    return replace(rows, outcomes=tuple(outcomes))


def test_reference_values() -> None:
    assert log_rarity(0, 479, 0.0075) == pytest.approx(2.993608, abs=1e-6)
    assert log_rarity(0, 480, 0.0075) == pytest.approx(3.000222, abs=1e-6)
    assert log_rarity(1, 481, 0.0075) == pytest.approx(0.893684, abs=1e-6)
    quiet = [quiet_pairs(share, 0.05) for share in (0.0075, 0.005, 0.01)]
    assert quiet == [480, 720, 359]


@pytest.mark.parametrize(("new", "pairs"), [(0, 480), (0, 20), (3, 1200), (50, 5000)])
def test_the_bound_is_where_the_bet_shows_it(new: int, pairs: int) -> None:
    bound = rarer_than(new, pairs, 0.05)
    assert log_rarity(new, pairs, bound + 1e-6) >= np.log(20) > log_rarity(new, pairs, bound - 1e-6)


def test_without_pairs_nothing_is_excluded() -> None:
    assert rarer_than(0, 0, 0.05) == 1.0
    assert rarer_than(1, 1, 0.05) == 1.0


def test_a_spike_is_twice_the_baseline_and_twice_its_median() -> None:
    spikes = counted(table([9, 5, 21, 31, 10], [10, 1, 10, 20, 10]))
    # the second is five times its own baseline and below the median; the fourth is not twice
    assert (spikes.new[0], spikes.mended[0], spikes.named[0]) == (1, 0, ["s2"])


def test_what_is_mended_earns_no_credit() -> None:
    spikes = counted(table([30, 10, 10, 10, 10], [10, 30, 30, 10, 10]))
    assert (spikes.new[0], spikes.mended[0]) == (1, 2)


def test_where_more_is_better_a_spike_is_less_than_half() -> None:
    rows = table([4, 10, 21, 10, 10], [10, 4, 10, 10, 10])
    spikes = counted(rows, Gate(metric="m", direction="higher"))
    assert (spikes.new[0], spikes.mended[0], spikes.named[0]) == (1, 1, ["s0"])


def test_failures_count_whatever_they_cost() -> None:
    rows = table([10] * 4, [10] * 4)
    rows = ended(rows, 0, Outcome.FAILED, Outcome.COMPLETED)
    rows = ended(rows, 1, Outcome.COMPLETED, Outcome.FAILED)
    rows = ended(rows, 2, Outcome.FAILED, Outcome.FAILED)
    spikes = counted(ended(rows, 3, Outcome.DATA_INVALID, Outcome.COMPLETED))
    assert (spikes.new[0], spikes.mended[0], spikes.pairs[0]) == (1, 1, 3)


def test_what_a_censored_candidate_may_have_done_counts_at_its_worst() -> None:
    rows = table([10, 10, 10], [10, 10, 10])
    rows.results[LOW, CANDIDATE, 0], rows.results[HIGH, CANDIDATE, 0] = 1, 100
    rows.results[:, CANDIDATE, 1] = np.nan
    spikes = counted(rows)
    assert spikes.new[0] == 2
    rows.results[:, BASELINE, 1] = np.nan  # nothing is known of both: no pair
    assert counted(rows).pairs[0] == 2


def test_more_routes_spiking_than_mended_is_told() -> None:
    worse = table([30.0] * 8 + [10.0] * 92, [10.0] * 100)
    assert counted(worse).rising[0]
    as_many = table([30.0] * 8 + [10.0] * 92, [10.0] * 8 + [30.0] * 8 + [10.0] * 84)
    assert not counted(as_many).rising[0]
