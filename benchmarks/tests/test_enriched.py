"""Enriched replay in the procedural world: unbiased, and a tenth of the replays is enough."""

from dataclasses import replace

import pytest

from benchmarks.enriched import NATURAL_SHARE, Bank, load, repeat


@pytest.fixture(scope="module")
def bank() -> Bank:
    return load()


def test_a_tenth_of_the_replays_agrees_with_brute_force(bank: Bank) -> None:
    shown = repeat(bank, bank.failed, len(bank.failed) // 10, 2000, NATURAL_SHARE)
    assert abs(shown.mean - shown.truth) < 4 * shown.mean_error
    assert shown.mean_error < 0.02 * shown.truth, "the check above could see a bias of 8 %"
    assert shown.spread < 1.1 * shown.natural_spread, (
        "natural sampling has ten times as many replays"
    )
    assert shown.largest_weight <= 1 / NATURAL_SHARE
    assert shown.coverage > 0.9
    assert shown.effective < len(bank.failed) / 10


def test_the_check_would_see_a_natural_distribution_that_is_not_the_stated_one(bank: Bank) -> None:
    shown = repeat(bank, bank.failed, 41, 2000, NATURAL_SHARE)
    other = replace(bank, natural=bank.hard)
    assert abs(shown.mean - float(other.natural @ bank.failed)) > 4 * shown.mean_error
