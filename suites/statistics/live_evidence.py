"""Evidence while a run goes on: a number that moves with every route, and no verdict.

For each gate: the self-normalised e-process of "no change in either direction" on the first pair
that counts of each route. Routes are independent; later pairs of the same routes would be no new
bets. The first few routes give only the scale. The null is that of the sign flips: differences are
symmetric about zero. It may be read at any time (Ville).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from suites.definition.suite_schema import Gate
from suites.pair_table import PairTable
from suites.statistics.contrasts import evidence
from suites.statistics.sequences import self_normalised_e

PILOT = 5
"""Routes whose mean square is the scale of the mixture."""

SCALES = (0.1, 0.3, 1.0, 3.0, 10.0)
"""The mixture's rho, in pilot variances."""


class LiveEvidence:
    """Incremental over the gates of a run; rows come in the registered order."""

    def __init__(self, gates: Sequence[Gate]) -> None:
        self._gates = gates
        self._seen: dict[str, NDArray[np.bool_]] = {}
        self._first: list[list[float]] = [[] for _ in gates]
        """Of each gate, the difference of each route's first pair: positive is worse."""

    def consume(self, table: PairTable) -> None:
        """Takes the next rows. A censored pair counts midway between its best and its worst."""
        rows = evidence(table, self._gates, [gate.estimand for gate in self._gates])
        differences = rows.p.mean(axis=0)
        for route, row, valid in zip(table.routes, differences, rows.valid, strict=True):
            seen = self._seen.setdefault(route, np.zeros(len(self._gates), dtype=np.bool_))
            for g in np.nonzero(valid & ~seen)[0]:
                self._first[g].append(float(row[g]))
            seen |= valid

    def e_values(self) -> list[float]:
        """Of each gate; 1 (nothing is shown) until more routes than the pilot's are driven."""
        return [_e_value(np.array(first)) for first in self._first]


def _e_value(differences: NDArray[np.float64]) -> float:
    pilot = differences[:PILOT]
    rest = differences[PILOT:]
    variance = float((pilot**2).mean()) if rest.size else 0.0
    return self_normalised_e(rest, [variance * scale for scale in SCALES]) if variance > 0 else 1.0
