import numpy as np
import pytest

from suites.statistics.betting import BETS, WEIGHTS
from suites.statistics.chances import (
    Sample,
    bets_tell,
    cleared,
    flips_tell,
    found,
    least_routes,
    smallest,
)


def alike(routes: int, deviation: float) -> Sample:
    return Sample(routes, routes, deviation / np.sqrt(routes))


@pytest.mark.parametrize(("routes", "effect"), [(20, 0.07), (38, 0.048), (60, 0.041), (100, 0.03)])
def test_flips_tell_in_small_banks_what_was_measured_with_them(routes: int, effect: float) -> None:
    seen = smallest(lambda size: flips_tell(size, alike(routes, 0.1), 0.05), 0.8)
    assert seen == pytest.approx(effect, rel=0.06)
    beside = smallest(lambda size: found(size, alike(routes, 0.1), 0.05), 0.8)
    assert beside is not None
    assert beside > effect, "the bet on the direction needs more"


@pytest.mark.parametrize(
    ("routes", "margin"), [(20, 0.335), (38, 0.189), (60, 0.125), (100, 0.079)]
)
def test_small_banks_show_what_was_measured_with_the_judge(routes: int, margin: float) -> None:
    shown = smallest(lambda size: cleared(size, alike(routes, 0.1), 0.05), 0.8)
    assert shown == pytest.approx(margin, rel=0.03)


def test_bets_tell_as_often_as_they_do_in_simulated_runs() -> None:
    rng, units, target = np.random.default_rng(0), 300, float(np.log(40))
    for drift, deviation in ((0.02, 0.1), (0.06, 0.4), (0.2, 1e-9)):
        x = drift + deviation * rng.standard_normal((2000, units))
        log = np.log1p(BETS * x.clip(-0.99, None)[..., None]).sum(axis=1)
        hits = (np.logaddexp.reduce(log + np.log(WEIGHTS), axis=1) >= target).mean()
        assert bets_tell(units, drift, deviation, target) == pytest.approx(hits, abs=0.06)
    assert bets_tell(units, 0.0, 0.1, target) == 0


def test_fewer_routes_than_sign_patterns_tell_nothing() -> None:
    assert least_routes(0.05) == 6
    assert found(1.0, alike(5, 0.01), 0.05) == 0 < found(1.0, alike(6, 0.01), 0.05)
    assert cleared(0.45, Sample(500, 5, 0.001), 0.05) == 0
    assert flips_tell(0.0, alike(50, 0.1), 0.05) == 0


def test_more_of_the_same_tells_more() -> None:
    sample = alike(40, 0.2)
    chances = [cleared(0.2, sample.times(factor), 0.05) for factor in (0.5, 1, 2, 4)]
    assert chances == sorted(chances)
    assert chances[0] < 0.3 < 0.95 < chances[-1]
    assert cleared(0.2, sample, 0.05, change=0.1) < cleared(0.2, sample, 0.05)
    assert found(0.08, sample, 0.05, gates=4) < found(0.08, sample, 0.05)


def test_the_smallest_size_has_the_chance_that_was_asked_for() -> None:
    assert smallest(lambda size: size, 0.8) == pytest.approx(0.8, rel=1e-3)
    assert smallest(lambda size: 0.0, 0.8) is None
