"""What was counted for each gate of a run."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from suites.definition.cost_draw import pair_caps
from suites.definition.suite_schema import Gate
from suites.pair_table import VALUE, PairTable
from suites.run_plan import StoredCosts
from suites.statistics.contrasts import GateEvidence
from suites.statistics.inclusion import inclusion

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class GateTotals:
    """Arrays over the gates, [G]."""

    def __init__(self, gates: Sequence[Gate], stored: StoredCosts | None = None) -> None:
        """`stored`: of a draw by cost, whose means are weighted back to the bank."""
        self._metrics = [gate.metric for gate in gates]
        self._stored = stored
        self._values: list[Floats] = []
        """[2, k, G] of a draw by cost; NaN where one model has none."""
        self._caps = np.array(
            [np.inf if gate.winsor_cap is None else gate.winsor_cap for gate in gates]
        )
        if stored is not None:
            self._caps = np.stack([pair_caps(gate, stored) for gate in gates], axis=1)
        self._seen = 0
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
        self._two_valued = np.ones(len(gates), dtype=np.bool_)
        self._sums = np.zeros((2, len(gates)))

    def consume(self, table: PairTable, rows: GateEvidence) -> None:
        """Takes the next pairs with their evidence by the gates' own estimands."""
        self.valid += rows.valid.sum(axis=0)
        self.lopsided += rows.lopsided.sum(axis=0)
        self.negative |= rows.negative
        columns = [table.metrics.index(metric) for metric in self._metrics]
        values = table.results[VALUE][..., columns]
        both = np.isfinite(values).all(axis=0) & rows.valid
        caps = self._caps
        if self._stored is not None:
            caps = caps[self._seen : self._seen + len(table)]
            self._values.append(np.where(both, values, np.nan))
        self._seen += len(table)
        self.cut += (both & (values >= caps).all(axis=0)).sum(axis=0)
        self._two_valued &= ((values == 0) | (values == 1) | ~both).all(axis=(0, 1))
        self._both += both.sum(axis=0)
        self._sums += np.where(both, values, 0.0).sum(axis=1)
        for known, valid in zip(self.routes, rows.valid.T, strict=True):
            known.update(route for route, ok in zip(table.routes, valid, strict=True) if ok)

    def events(self, g: int) -> tuple[int, int] | None:
        """Ones of candidate and baseline over the same pairs; None where a value is no 0 or 1,
        and of a draw by cost, where they are no count of the bank's."""
        if not self._two_valued[g] or self._stored is not None:
            return None
        candidate, baseline = self._sums[:, g]
        return int(candidate), int(baseline)

    def means(self, g: int) -> tuple[float, float]:
        """Means of candidate and baseline over pairs where both have a value; NaN without."""
        if not self._both[g]:
            return float("nan"), float("nan")
        if self._stored is not None:
            values = np.concatenate(self._values, axis=1)[:, :, g]
            chance = inclusion(self._stored.weights, self._seen)[: self._seen]
            known = ~np.isnan(values[0])
            candidate, baseline = np.average(values[:, known], axis=1, weights=1 / chance[known])
        else:
            candidate, baseline = self._sums[:, g] / self._both[g]
        return float(candidate), float(baseline)
