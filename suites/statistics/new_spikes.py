"""How often the candidate newly spikes, and what share of pairs is excluded.

A new spike is a pair where the candidate fails and the baseline does not, or where it costs more
than twice as much as the baseline there and as the median baseline cost. It is counted gross: what
the candidate mends elsewhere earns no credit. That new spikes are rarer than a share rho is shown
when

    E = mean over lambda of prod_i (1 - lambda (s_i - rho) / (1 - rho)) >= 1 / alpha

(Ville, as for the other bets): with rho = 0.0075 after 480 pairs without one. E depends on counts
alone.
"""

from itertools import count
from math import ceil, exp, log, log1p

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import beta, binom

from suites.definition.suite_schema import Gate
from suites.pair_table import BASELINE, CANDIDATE, HIGH, LOW, PairTable
from suites.run_plan import StoredCosts
from suites.statistics.bank_spikes import BankSpikes
from suites.statistics.contrasts import sign_of
from suites.statistics.rates import label_e_value
from suites.vocabulary import FAILING, NOT_SCORED

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FACTOR = 2.0
"""A spike costs more than so many times what it is compared with."""
BETS = (0.99, 0.9, 0.7, 0.5)
TRIES = 20
"""Checkpoints of a line that are tried on the same set."""
LARGE = 6
"""From so many times the quiet pairs on equal models still pass at the level of many tries."""
SETTLED = 500
"""Baseline costs whose median, or mean where that is 0, a spike is compared with."""
NAMED = 200
"""Pairs with new spikes that are named."""


def log_rarity(new: int, pairs: int, share: float) -> float:
    """ln E that new spikes are rarer than `share`, after `new` of them in `pairs`."""
    each = [(pairs - new) * log1p(bet * share / (1 - share)) + new * log1p(-bet) for bet in BETS]
    most = max(each)
    return most + log(sum(exp(one - most) for one in each) / len(BETS))


def rarer_than(new: int, pairs: int, alpha: float) -> float:
    """The smallest share that new spikes are shown to stay below; 1 where there is none."""
    wanted = log(1 / alpha)
    if pairs == 0 or log_rarity(new, pairs, 1 - 1e-9) < wanted:
        return 1.0
    return float(brentq(lambda share: log_rarity(new, pairs, share) - wanted, 1e-9, 1 - 1e-9))


def at_most(new: int, pairs: int, alpha: float) -> float:
    """The exact upper bound of the share of new spikes in a sample that is read once.

    Clopper & Pearson (1934), Biometrika 26; 3 / n without one at alpha = .05.
    """
    return float(beta.ppf(1 - alpha, new + 1, pairs - new)) if new < pairs else 1.0


def quiet_pairs(share: float, alpha: float) -> int:
    """Pairs without a new spike that show them to be rarer than `share`: 480 for 0.75 %."""
    few = ceil(log(1 / alpha) / log1p(share / (1 - share)))
    return next(n for n in range(few, 20 * few + 20) if log_rarity(0, n, share) >= log(1 / alpha))


def allowed(pairs: int, planned: int, share: float, alpha: float) -> int:
    """Most new spikes with which a complete set passes.

    Where the set can bound them, as many as show them to be rarer than `share`, or one; in a large
    set at the level of TRIES tries. A set that is too small passes unless they are shown to be more
    than `share`.
    """
    if at_most(0, pairs, alpha) > share:
        return int(binom.isf(alpha, pairs, share))
    level = alpha / (TRIES if planned >= LARGE * quiet_pairs(share, alpha) else 1)
    return max(1, next(k for k in count(-1) if at_most(k + 1, pairs, level) > share))


class NewSpikes:
    """Counts over the pairs consumed, for each of G gates."""

    def __init__(
        self, gates: tuple[Gate, ...], share: float, alpha: float, stored: StoredCosts | None = None
    ) -> None:
        """`stored`: of a draw by cost, where counts of what came first are bets on the bank."""
        self._gates = gates
        self._stored = stored
        self._bank = stored and BankSpikes(stored.weights, len(gates), share, alpha)
        self._alpha = alpha
        self.share = share
        self._costs: list[list[float]] = [[] for _ in gates]
        """The baseline's first ones, for their median."""
        self._median = [0.0] * len(gates)
        self.pairs = np.zeros(len(gates), dtype=np.int64)
        self.new = np.zeros(len(gates), dtype=np.int64)
        """At the candidate's worst: what a pass must bound."""
        self.mended = np.zeros(len(gates), dtype=np.int64)
        self.named: list[list[str]] = [[] for _ in gates]
        self.shown = np.zeros(len(gates), dtype=np.bool_)
        """New spikes were rarer than the share at some look."""
        self.rising = np.zeros(len(gates), dtype=np.bool_)
        """Routes that newly spike outweighed those that are mended at some look."""
        self._labels: list[tuple[set[str], set[str]]] = [(set(), set()) for _ in gates]

    def consume(self, table: PairTable) -> None:
        """Takes the pairs up to the next look, which reads them."""
        failed = np.array([[o in FAILING for o in pair] for pair in table.outcomes]).reshape(-1, 2)
        dropped = np.array([bool(NOT_SCORED & {*pair}) for pair in table.outcomes], dtype=np.bool_)
        counted = []
        for g, gate in enumerate(self._gates):
            values = table.results[..., table.metrics.index(gate.metric)]
            values = np.where(np.isfinite(values), values, np.nan)
            lacks: Bools = np.asarray(np.isnan(values[LOW:]).any(axis=0))
            valid = ~dropped & ~lacks.all(axis=0)
            if len(self._costs[g]) < SETTLED:
                self._costs[g] += values[LOW, BASELINE][~lacks[BASELINE]].tolist()
                self._median[g] = self._middle(g)
            at = self._median[g], sign_of(gate.metric, gate.direction)
            bad, good = (np.inf, 0.0) if at[1] > 0 else (0.0, np.inf)
            c, b = values[:, CANDIDATE], values[:, BASELINE]
            worst = _spikes(_filled(c[HIGH], bad), _filled(b[LOW], good), failed, at)
            best = _spikes(_filled(c[LOW], good), _filled(b[HIGH], bad), failed, at)
            self._count(g, table, worst[0] & valid, best, valid)
            counted.append([worst[0] & valid, valid])
        if self._bank and counted:
            self._bank.consume(*np.array(counted).transpose(1, 2, 0))

    def _middle(self, g: int) -> float:
        costs = np.array(self._costs[g])
        if self._stored is not None:
            costs = self._stored.costs[self._gates[g].metric].ravel()
            costs = costs[~np.isnan(costs)]
        return float(np.median(costs) or costs.mean()) if costs.size else 0.0

    def _count(
        self, g: int, table: PairTable, new: Bools, best: tuple[Bools, Bools], valid: Bools
    ) -> None:
        self.pairs[g] += valid.sum()
        self.new[g] += new.sum()
        sure, mended = (where & valid for where in best)
        self.mended[g] += mended.sum()
        room = NAMED - len(self.named[g])
        self.named[g] += [table.case_ids[i] for i in np.flatnonzero(new)[:room]]
        for routes, where in zip(self._labels[g], (sure, mended), strict=True):
            routes.update(table.routes[i] for i in np.flatnonzero(where))

    def look(self) -> None:
        """Reads the bets."""
        for g, (new, mended) in enumerate(self._labels):
            self.shown[g] = self.shown[g] or self.rare(g)
            k, m = len(new - mended), len(mended - new)
            self.rising[g] |= k > m and label_e_value(k, m) >= 1 / self._alpha

    def rare(self, g: int) -> bool:
        """Whether all pairs so far show new spikes to be rarer than the share."""
        if self._bank:
            return self._bank.rare(g)
        wealth = log_rarity(int(self.new[g]), int(self.pairs[g]), self.share)
        return wealth >= log(1 / self._alpha)

    def below(self, g: int, complete: bool) -> float | None:
        """The share that they are shown to stay below; None without a pair.

        `complete`: the set has ended, and is read once.
        """
        new, pairs = int(self.new[g]), int(self.pairs[g])
        if not pairs:
            return None
        if self._bank and not complete:
            return self._bank.below(g)
        return (at_most if complete else rarer_than)(new, pairs, self._alpha)


def _filled(values: Floats, missing: float) -> Floats:
    return np.where(np.isnan(values), missing, values)


def _spikes(c: Floats, b: Floats, failed: Bools, at: tuple[float, float]) -> tuple[Bools, Bools]:
    """Where the candidate newly spikes, and where it mends a spike; `at`: median cost and sign."""
    median, sign = at
    if sign > 0:
        above_c, above_b = c > FACTOR * np.fmax(b, median), b > FACTOR * np.fmax(c, median)
    else:  # more is better: less than half is what a spike is
        above_c, above_b = FACTOR * c < np.fmin(b, median), FACTOR * b < np.fmin(c, median)
    fails_c, fails_b = failed[:, CANDIDATE], failed[:, BASELINE]
    either = fails_c | fails_b
    return np.where(either, fails_c & ~fails_b, above_c), np.where(either, ~fails_c, above_b)
