"""What is planted is of the size and of the shape that it says."""

from dataclasses import replace

import numpy as np
import pytest

from suites.definition.suite_schema import Gate
from suites.pair_table import BASELINE, CANDIDATE, VALUE, PairTable
from suites.verdict.planted_shapes import (
    FAR_BETTER,
    FEW,
    HARM_SHARE,
    PlantedChange,
    PlantedSizes,
    mended_harm,
    plant,
    skew,
)
from suites.verdict.tests.test_planted_effects import SUITE, twins
from suites.vocabulary import Estimand

MANY = 20_000
SUITE_OF_ONE = replace(SUITE, gates=SUITE.gates[:1])


def long_bank() -> PairTable:
    """Near-equal costs on many routes of one pair."""
    generator = np.random.default_rng(3)
    difficulty = np.exp(generator.normal(0, 0.6, (MANY, 1)))
    c, b = (difficulty * np.exp(generator.normal(0, 0.1, (MANY, 1))) for _ in range(2))
    return PairTable.completed(c, b, routes=[f"r{i}" for i in range(MANY)], metrics=("a",))


def of(table: PairTable, model: int) -> np.ndarray:
    return np.asarray(table.results[VALUE, model, :, 0])


@pytest.mark.parametrize("estimand", [Estimand.MEAN, Estimand.TYPICAL])
def test_a_planted_factor_changes_the_mean_over_all_swaps_by_what_was_asked(
    estimand: Estimand,
) -> None:
    table = twins()
    factor = PlantedChange(table, Gate(metric="a", estimand=estimand, winsor_cap=1e9)).factor(0.25)
    assert factor is not None
    c, b = table.results[VALUE, :, :, 0]
    swapped = [(factor * c, b), (factor * b, c)]
    if estimand is Estimand.TYPICAL:
        found = np.mean([2 * (x - y) / (x + y) for x, y in swapped])
    else:
        found = sum(x.sum() for x, _ in swapped) / sum(y.sum() for _, y in swapped) - 1
    assert found == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize("estimand", [Estimand.MEAN, Estimand.TYPICAL])
def test_a_skew_changes_nothing_on_average(estimand: Estimand) -> None:
    gate = Gate(metric="a", estimand=estimand, winsor_cap=1e9)
    table = twins()
    change = PlantedChange(table, gate)
    factor = change.factor(-FEW * change.of(FAR_BETTER) / (1 - FEW))
    assert factor is not None
    assert FEW * change.of(FAR_BETTER) + (1 - FEW) * change.of(factor) == pytest.approx(0, abs=1e-6)
    bank = long_bank()
    ratio = of(skew(bank, gate, factor, np.random.default_rng(0)), CANDIDATE) / of(bank, CANDIDATE)
    assert np.mean(ratio < 1) == pytest.approx(FEW, abs=0.005)
    assert set(np.unique(ratio.round(6))) == {round(FAR_BETTER, 6), round(factor, 6)}


def test_a_harm_spikes_newly_on_its_share_and_mends_as_many() -> None:
    table, gate = long_bank(), Gate(metric="a")
    part = PlantedSizes(table, SUITE_OF_ONE).shapes["mended harm", 0]
    harmed = mended_harm(table, gate, part, np.random.default_rng(1))
    usual = np.median(of(table, BASELINE))
    c, b = of(harmed, CANDIDATE), of(harmed, BASELINE)
    new, mended = c > 2 * np.maximum(b, usual), b > 2 * np.maximum(c, usual)
    assert new.mean() == pytest.approx(HARM_SHARE * SUITE_OF_ONE.new_spikes, abs=0.003)
    assert mended.mean() == pytest.approx(new.mean(), abs=0.003)
    assert not (new & mended).any()


def test_events_are_added_by_what_was_asked_and_never_where_there_is_no_room() -> None:
    generator = np.random.default_rng(4)
    c, b = (np.asarray(generator.random((MANY, 1)) < 0.5, dtype=np.float64) for _ in range(2))
    table = PairTable.completed(c, b, routes=[f"r{i}" for i in range(MANY)], metrics=("a",))
    gate = Gate(metric="a", estimand=Estimand.RATE, margin=0.1)
    sizes = PlantedSizes(table, replace(SUITE, gates=(gate,)))
    assert {shape for shape, _ in sizes.shapes} == {"drawn by cost"}
    assert {kind for kind, _, _ in sizes.worse} == {"events"}
    more = plant(table, gate, "events", sizes.worse["events", 1.0, 0], generator)
    assert of(more, CANDIDATE).mean() - of(table, CANDIDATE).mean() == pytest.approx(0.1, abs=0.01)
    full = replace(SUITE, gates=(replace(gate, margin=0.3),))
    assert len(PlantedSizes(table, full).refused) == 1
