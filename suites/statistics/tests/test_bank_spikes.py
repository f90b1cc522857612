import numpy as np
import pytest

from suites.statistics.bank_spikes import BankSpikes

N = 4000


def _judged(new: np.ndarray, a: float, pairs: int) -> BankSpikes:
    weights = a * np.random.default_rng(1).exponential(size=N) + 1 - a
    at = np.argsort(np.random.default_rng(2).exponential(size=N) / weights)
    spikes = BankSpikes(weights[at], 1, share=0.0075, alpha=0.05)
    for start in range(0, pairs, 20):
        rows = at[start : start + 20, None]
        spikes.consume(new[rows], np.ones(rows.shape, dtype=bool))
    return spikes


QUIET = np.zeros(N, dtype=bool)


@pytest.mark.parametrize(("a", "pairs"), [(0.0, 460), (0.3, 700)])
def test_quiet_pairs_bound_new_spikes_the_later_the_less_an_easy_one_weighs(
    a: float, pairs: int
) -> None:
    assert not _judged(QUIET, a, pairs - 120).rare(0)
    spikes = _judged(QUIET, a, pairs)
    assert spikes.rare(0)
    assert spikes.below(0) == pytest.approx(0.0075, rel=0.15)


def test_the_share_on_the_whole_bank_is_exact() -> None:
    spikes = _judged(np.arange(N) % 50 == 0, 0.3, N)
    assert not spikes.rare(0)
    assert 0.02 <= spikes.below(0) < 0.022
