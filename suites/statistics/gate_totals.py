"""What was counted for each gate of a run."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from suites.definition.suite_schema import Gate
from suites.pair_table import VALUE, PairTable
from suites.statistics.contrasts import GateEvidence

Counts = NDArray[np.int64]


class GateTotals:
    """Arrays over the gates, [G]."""

    def __init__(self, gates: Sequence[Gate]) -> None:
        self._metrics = [gate.metric for gate in gates]
        self._caps = np.array(
            [np.inf if gate.winsor_cap is None else gate.winsor_cap for gate in gates]
        )
        self.valid: Counts = np.zeros(len(gates), dtype=np.int64)
        """Pairs that count."""
        self.lopsided: Counts = np.zeros(len(gates), dtype=np.int64)
        """Pairs among them where one model lacks the value."""
        self.cut: Counts = np.zeros(len(gates), dtype=np.int64)
        """Pairs among them where both costs reach the cap: the mean sees no difference."""
        self.negative: NDArray[np.bool_] = np.zeros(len(gates), dtype=np.bool_)
        """Some cost was below zero."""
        self.routes: list[set[str]] = [set() for _ in gates]
        """Routes with a pair that counts."""
        self._both: Counts = np.zeros(len(gates), dtype=np.int64)
        self._sums = np.zeros((2, len(gates)))

    def consume(self, table: PairTable, rows: GateEvidence) -> None:
        """Takes the next pairs with their evidence by the gates' own estimands."""
        self.valid += rows.valid.sum(axis=0)
        self.lopsided += rows.lopsided.sum(axis=0)
        self.negative |= rows.negative
        columns = [table.metrics.index(metric) for metric in self._metrics]
        values = table.results[VALUE][..., columns]
        both = np.isfinite(values).all(axis=0) & rows.valid
        self.cut += (both & (values >= self._caps).all(axis=0)).sum(axis=0)
        self._both += both.sum(axis=0)
        self._sums += np.where(both, values, 0.0).sum(axis=1)
        for known, valid in zip(self.routes, rows.valid.T, strict=True):
            known.update(route for route, ok in zip(table.routes, valid, strict=True) if ok)

    def means(self, g: int) -> tuple[float, float]:
        """Means of candidate and baseline over pairs where both have a value; NaN without."""
        if not self._both[g]:
            return float("nan"), float("nan")
        candidate, baseline = self._sums[:, g] / self._both[g]
        return float(candidate), float(baseline)
