"""One bad worker is found, good ones are left alone, and who can't be judged is not."""

import numpy as np
import pytest

from suites.statistics.worker_residuals import DrivenPair, worker_residuals

ALPHA = 0.01
ROUTES, EACH, SHARD = 40, 10, 4


def pairs(
    generator: np.random.Generator, workers: int = 4, bad: float = 0.0, population: str = "a"
) -> list[DrivenPair]:
    """Pairs that are alike on a route, driven in shards of a breadth-first order by whoever comes.

    Worker w0 adds `bad` to what it drives.
    """
    route_effects = generator.normal(0, 0.2, ROUTES)
    changes = 0.05 + np.tile(route_effects, EACH) + generator.standard_t(4, ROUTES * EACH) * 0.1
    sides = [
        np.repeat(generator.integers(workers, size=ROUTES * EACH // SHARD), SHARD) for _ in range(2)
    ]
    return [
        DrivenPair(population, float(change + bad * (int(c == 0) - int(b == 0))), f"w{c}", f"w{b}")
        for change, c, b in zip(changes, *sides, strict=True)
    ]


def test_a_bad_worker_is_named() -> None:
    found = worker_residuals(pairs(np.random.default_rng(1), bad=0.3))
    assert found[0].worker == "w0"
    assert found[0].p < 1e-6
    assert found[0].shift > 0.1
    assert all(
        residual.p > ALPHA or abs(residual.shift) < found[0].shift
        for residual in found
        if residual.worker != "w0"
    )


def test_good_workers_are_called_bad_at_most_at_alpha() -> None:
    runs = 200
    alarms = sum(
        worker_residuals(pairs(np.random.default_rng([2, i])))[0].p < 0.05 for i in range(runs)
    )
    assert alarms <= 0.05 * runs + 2 * np.sqrt(0.05 * 0.95 * runs)


def test_bonferroni_counts_every_worker_and_population() -> None:
    one = pairs(np.random.default_rng(3), bad=0.1)
    alone = {(r.worker, r.population): r for r in worker_residuals(one)}
    beside = {
        (r.worker, r.population): r
        for r in worker_residuals(one + pairs(np.random.default_rng(4), population="b"))
    }
    assert (len(alone), len(beside)) == (8, 16), "4 workers, 2 roles, 1 or 2 populations"
    small = min(alone.values(), key=lambda r: r.p)
    again = beside[small.worker, small.population]
    assert again.p == pytest.approx(2 * small.p)
    assert again.chi_square == small.chi_square


def test_pairs_of_one_worker_and_equal_models_say_nothing() -> None:
    alone = [DrivenPair("a", 0.1 * i, "w0", "w0") for i in range(100)]
    equal = [DrivenPair("a", 0.0, f"w{i % 3}", f"w{(i + 1) % 3}") for i in range(100)]
    assert worker_residuals(alone) == worker_residuals(equal) == []


def test_a_worker_with_a_few_rollouts_is_not_judged() -> None:
    many = pairs(np.random.default_rng(5))
    few = [DrivenPair("a", 1.5, "new", "w1") for _ in range(10)]
    assert "new" not in {r.worker for r in worker_residuals(many + few)}


def test_missing_values_are_left_out() -> None:
    many = pairs(np.random.default_rng(6))
    assert worker_residuals([*many, DrivenPair("a", float("nan"), "w0", "w1")]) == worker_residuals(
        many
    )
