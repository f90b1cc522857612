"""Bets on the direction of a change: reference values, and skew that fools sign flips."""

import numpy as np
import pytest

from suites.statistics.direction_bets import DirectionBetting


def bet(theta: float, r: np.ndarray, side: int = 1) -> DirectionBetting:
    betting = DirectionBetting(np.array([[theta]]), side, alpha=0.05, joint_alpha=0.05)
    betting.consume(r[:, None], np.ones((len(r), 1), dtype=np.bool_))
    betting.look()
    return betting


@pytest.mark.parametrize(
    ("theta", "r", "expected"),
    [
        (0.0, [0.05] * 80, 3.652978),
        (0.0, [0.05] * 80 + [-1.5], -0.368692),
        (0.02, [0.2] * 60, 9.438274),
    ],
)
def test_reference_values(theta: float, r: list[float], expected: float) -> None:
    stakes = np.array([0.8, *[0.025] * 8])  # of the published figures
    assert bet(theta, np.array(r)).wealth(stakes)[0, 0] == pytest.approx(expected, abs=1e-6)


def test_below_is_the_mirror_image() -> None:
    r = np.random.default_rng(0).normal(0.05, 0.2, 200)
    assert bet(0.02, r).wealth() == pytest.approx(bet(-0.02, -r, side=-1).wealth())


def test_it_is_latched_and_invalid_pairs_are_no_bets() -> None:
    betting = DirectionBetting(np.zeros((1, 1)), 1, alpha=0.05, joint_alpha=0.005)
    for r, valid in ((np.full(80, 0.05), True), (np.full(80, -1.0), False), (np.full(9, -1), True)):
        betting.consume(r[:, None], np.full((len(r), 1), valid))
        betting.look()
    assert betting.alone[0, 0]
    assert not betting.joint[0, 0]


def test_rare_very_good_pairs_do_not_make_the_others_worse() -> None:
    """The mean is zero: 2 % of pairs at -1, the others at 0.0204."""
    shown = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        r = np.where(rng.random(1000) < 0.02, -1.0, 0.02 / 0.98)
        shown.append(bool(bet(0.0, r).alone[0, 0]))
    assert np.mean(shown) <= 0.05
