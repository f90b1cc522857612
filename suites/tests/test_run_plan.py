import json

import numpy as np
import pytest

from suites.errors import SubmitterError
from suites.pair_table import PairTable
from suites.run_plan import StoredCosts

LOW_HIGH = np.array([[1.0, 2.0, np.nan, 4.0], [1.0, 3.0, np.nan, 4.0]])


def _stored() -> StoredCosts:
    costs = {"cost": LOW_HIGH, "other": np.broadcast_to(np.arange(4.0), (2, 4))}
    return StoredCosts(weights=np.array([0.7, 0.9, 0.7, 1.7]), costs=costs)


def _table(baseline: list[float]) -> PairTable:
    b = np.array(baseline)[:, None]
    return PairTable.completed(2 * b, b, routes=["r"] * len(b), metrics=["other"])


def test_the_document_says_it_all() -> None:
    back = StoredCosts.of_document(json.loads(json.dumps(_stored().document())))
    assert np.array_equal(back.weights, _stored().weights)
    for metric, costs in _stored().costs.items():
        assert np.array_equal(back.costs[metric], costs, equal_nan=True)
    assert len(_stored().document()["costs"]["other"]) == 1


def test_the_mean_is_of_pairs_with_a_cost() -> None:
    assert _stored().mean("cost") == pytest.approx(2.5)


def test_weights_of_another_order_are_refused() -> None:
    _stored().check(_table([1.0, 2.0]), 1)
    _stored().check(_table([1.0, np.nan]), 1)
    with pytest.raises(SubmitterError, match="do not belong") as refused:
        _stored().check(_table([2.0, 1.0]), 1)
    assert "2 pairs" in refused.value.findings[0].problem
