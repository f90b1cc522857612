"""What is known of a run before its first pair is driven."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suites.errors import Finding, SubmitterError
from suites.formatting import plural
from suites.pair_table import BASELINE, HIGH, LOW, PairTable

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCosts:
    """What the baseline's stored costs say of every planned pair: of a cost-weighted draw, or of
    caps that are multiples of them.

    The pairs stand in the registered order, [n].
    """

    weights: Floats
    """w = a b / mean(b) + 1 - a: how early a pair tends to be drawn; 1 in a uniform draw."""
    costs: Mapping[str, Floats]
    """Metric to the baseline's cost of each pair at its best and at its worst, [2, n]: they differ
    where it was censored. NaN where it has none."""

    def mean(self, metric: str) -> float:
        """Of the pairs that have a cost; NaN where none has."""
        known = self.costs[metric][~np.isnan(self.costs[metric])]
        return float(known.mean()) if len(known) else float("nan")

    def rows(self, chosen: Sequence[int]) -> "StoredCosts":
        """The chosen pairs, in that order."""
        at = np.array(chosen, dtype=np.int64)
        costs = {metric: costs[:, at] for metric, costs in self.costs.items()}
        return StoredCosts(weights=self.weights[at], costs=costs)

    def check(self, table: PairTable, start: int) -> None:
        """Raises SubmitterError unless the rows of `table` are the pairs from `start` on."""
        rows = slice(start, start + len(table))
        for column, metric in enumerate(table.metrics):
            if metric not in self.costs:
                continue
            came = table.results[[LOW, HIGH], BASELINE, :, column]
            same = np.isclose(came, self.costs[metric][:, rows], rtol=1e-9, equal_nan=True)
            if not (same | np.isnan(came)).all():
                others = int((~same & ~np.isnan(came)).any(axis=0).sum())
                problem = f"{plural(others, 'pair')} where the baseline's result is another"
                remedy = "the stored costs, the order and the results must be of one run"
                finding = Finding(metric, problem, remedy)
                raise SubmitterError("the weights do not belong to the order", finding)

    def document(self) -> dict[str, Any]:
        """As JSON has it: NaN is null; one row of costs where both are the same."""
        return {
            "weights": self.weights.tolist(),
            "costs": {metric: _rows(costs) for metric, costs in self.costs.items()},
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "StoredCosts":
        """The inverse of `document`."""
        weights = np.array(document["weights"], dtype=np.float64)
        return cls(
            weights=weights,
            costs={
                metric: np.broadcast_to(np.array(rows, dtype=np.float64), (2, len(weights)))
                for metric, rows in document["costs"].items()
            },
        )


def _rows(costs: Floats) -> list[list[float | None]]:
    low, high = costs
    rows = [low] if np.array_equal(low, high, equal_nan=True) else [low, high]
    return [[None if np.isnan(cost) else cost for cost in row.tolist()] for row in rows]


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The pairs that a run will judge, must-pass cases left out."""

    pairs: int
    route_pairs: Mapping[str, int] = field(default_factory=dict)
    """Route to its planned pairs; without it a route has as many as came (a growing file)."""
    slices: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Declared slice to the segments in it: each has a minimum of pairs before a pass."""
    baseline_events: Mapping[str, int] = field(default_factory=dict)
    """Metric that is judged as a rate to the baseline's events on all planned pairs, where its
    results are stored."""
    stored: StoredCosts | None = None
    """Where the suite draws by cost, or caps at multiples of it."""
