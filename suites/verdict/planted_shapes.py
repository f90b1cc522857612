"""What a self-check plants on runs in which nothing changed, and how much of it.

- even, spikes: one gate's metric of the candidate is worse, on every pair by one factor or on a few
  pairs by a large one. The expected change over the swaps is what was asked for;
- events: of a metric that is judged as a rate the candidate has more;
- skew: the candidate is far better on 2 % of the pairs and a little worse on all others, so that
  the expected change is zero: no run may fail for it;
- mended harm: the candidate newly spikes on a few pairs, and mends as many old spikes: no pass may
  say that new spikes are rarer than that;
- drawn by cost: nothing is planted, and the pairs are drawn by the baseline's costs.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from suites.definition.suite_schema import Gate, Suite
from suites.errors import SubmitterError, error_text
from suites.formatting import share
from suites.pair_table import BASELINE, CANDIDATE, VALUE, PairTable, concat
from suites.statistics.contrasts import sign_of
from suites.statistics.new_spikes import FACTOR
from suites.statistics.sequential import tolerated
from suites.verdict.null_bank import check_drawable
from suites.vocabulary import Estimand

Floats = NDArray[np.float64]
Plant = Literal["even", "spikes", "events"]
Shape = Literal["skew", "mended harm", "drawn by cost"]

SPIKE = 20.0
"""Factor of a planted spike."""
HARM = 10.0
"""Factor of a newly planted spike, and of an old one that is mended."""
HARM_SHARE = 4 / 3
"""Share of pairs with a harm, in shares of new spikes that a pass leaves possible."""
MOST_SPIKES = 0.5
"""Where more pairs than this would have to spike, it is no spike any more."""
FAR_BETTER, FEW = 1 / 3, 0.02
"""Factor, and share of the pairs, of the shape that is far better on a few."""
LARGEST_FACTOR = 1e4
MULTIPLES = (1.0, 2.0)
"""Planted sizes, in margins of the gate: at the margin, and beyond it."""


def with_values(table: PairTable, gate: Gate, model: int, changed: Floats) -> PairTable:
    """One metric of one model replaced, best and worst case too: [field, pair]."""
    results = table.results.copy()
    results[:, model, :, table.metrics.index(gate.metric)] = changed
    return replace(table, results=results)


def values(table: PairTable, gate: Gate, model: int) -> Floats:
    """[field, pair] of one metric."""
    return np.asarray(table.results[:, model, :, table.metrics.index(gate.metric)])


def worsened(table: PairTable, gate: Gate, model: int, factors: Floats) -> PairTable:
    """One metric of one model worse by a factor on each pair; positive is worse."""
    changed = values(table, gate, model) * factors ** sign_of(gate.metric, gate.direction)
    return with_values(table, gate, model, changed)


def plant(
    table: PairTable, gate: Gate, kind: Plant, size: float, generator: np.random.Generator
) -> PairTable:
    """One metric of the candidate worse: by the factor `size`, or on such a share of the pairs."""
    if kind == "even":
        return worsened(table, gate, CANDIDATE, np.full(len(table), size))
    chosen = generator.random(len(table)) < size
    if kind == "spikes":
        return worsened(table, gate, CANDIDATE, np.where(chosen, SPIKE, 1.0))
    event = 1.0 if sign_of(gate.metric, gate.direction) > 0 else 0.0
    before = values(table, gate, CANDIDATE)
    happened = np.where(chosen & np.isfinite(before), event, before)
    return with_values(table, gate, CANDIDATE, happened)


def skew(table: PairTable, gate: Gate, factor: float, generator: np.random.Generator) -> PairTable:
    """Far better on 2 % of the pairs, worse by `factor` on all others."""
    few = generator.random(len(table)) < FEW
    return worsened(table, gate, CANDIDATE, np.where(few, FAR_BETTER, factor))


def mended_harm(
    table: PairTable, gate: Gate, part: float, generator: np.random.Generator
) -> PairTable:
    """New spikes on such a part of the pairs that can spike, and as many old ones mended."""
    places = generator.random(len(table))
    new = can_spike(table, gate) & (places < part)
    old = can_spike(table.swap(), gate) & (places > 1 - part)
    harmed = worsened(table, gate, CANDIDATE, np.where(new, HARM, 1.0))
    return worsened(harmed, gate, BASELINE, np.where(old, HARM, 1.0))


def unchanged(
    table: PairTable, gate: Gate, size: float, generator: np.random.Generator
) -> PairTable:
    """Nothing is planted."""
    return table


PLANTING: dict[Shape, Callable[[PairTable, Gate, float, np.random.Generator], PairTable]] = {
    "skew": skew,
    "mended harm": mended_harm,
    "drawn by cost": unchanged,
}


def drawn_by_cost(suite: Suite) -> Suite:
    """The same suite with a draw by the baseline's costs."""
    gates = tuple(replace(gate, winsor_cap=None, fail_fast=False) for gate in suite.gates)
    return replace(suite, draw="cost", gates=gates)


def can_spike(table: PairTable, gate: Gate) -> NDArray[np.bool_]:
    """[pair] where a harm is a new spike (suites.statistics.new_spikes)."""
    c, b = values(table, gate, CANDIDATE)[VALUE], values(table, gate, BASELINE)[VALUE]
    if sign_of(gate.metric, gate.direction) > 0:
        return np.asarray(HARM * c > FACTOR * np.fmax(b, np.nanmedian(b)))
    return np.asarray(FACTOR * c / HARM < np.fmin(b, np.nanmedian(b)))


class PlantedSizes:
    """How much is planted by each critical gate, and what can't be planted, with the reason."""

    def __init__(self, table: PairTable, suite: Suite) -> None:
        self.worse: dict[tuple[Plant, float, int], float] = {}
        """(kind, margins, gate) to the factor, or to the share of pairs."""
        self.shapes: dict[tuple[Shape, int], float] = {}
        """(shape, gate) to the factor of all others, or to the part of the pairs that can spike."""
        self.refused: list[str] = []
        for g, gate in enumerate(suite.gates):
            if not gate.critical:
                continue
            change = PlantedChange(table, gate)
            if gate.estimand is Estimand.RATE:
                self._events(g, gate, change)
            else:
                self._costs(g, gate, change)
                self._shapes(g, gate, change, HARM_SHARE * tolerated(suite))
            if suite.draw != "cost":
                self._draw(g, gate, table, suite)

    def _refuse(self, gate: Gate, why: str) -> None:
        self.refused.append(f"{gate.metric} ({gate.estimand}): {why}")

    def _draw(self, g: int, gate: Gate, table: PairTable, suite: Suite) -> None:
        try:
            check_drawable(table, suite)
        except SubmitterError as error:
            self._refuse(gate, f"no draw by cost: {error_text(error)}")
        else:
            self.shapes["drawn by cost", g] = 1.0

    def _events(self, g: int, gate: Gate, change: "PlantedChange") -> None:
        for multiple in MULTIPLES:
            size = multiple * gate.margin / max(change.quiet, 1e-9)
            if size > 1:
                by = f"{share(multiple * gate.margin, 6)} more"
                self._refuse(gate, f"there is no room for events on {by} of the pairs")
            else:
                self.worse["events", multiple, g] = size

    def _costs(self, g: int, gate: Gate, change: "PlantedChange") -> None:
        by_spike = change.of(SPIKE)
        for multiple in MULTIPLES:
            size = multiple * gate.margin
            by = f"worse by {share(size, 6)}"
            factor = change.factor(size)
            spikes = size / by_spike if by_spike > 0 else np.inf
            if factor is None:
                self._refuse(gate, f"no factor makes it {by} on these results")
            else:
                self.worse["even", multiple, g] = factor
            if spikes > MOST_SPIKES:
                self._refuse(gate, f"rare spikes can't make it {by}")
            else:
                self.worse["spikes", multiple, g] = float(spikes)

    def _shapes(self, g: int, gate: Gate, change: "PlantedChange", harmed: float) -> None:
        factor = change.factor(-FEW * change.of(FAR_BETTER) / (1 - FEW))
        if factor is None or change.of(FAR_BETTER) >= 0:
            self._refuse(gate, "rare pairs that are far better can't be made up for")
        else:
            self.shapes["skew", g] = factor
        if harmed > MOST_SPIKES * change.spiking:
            self._refuse(gate, f"new spikes on {share(harmed, 6)} of the pairs can't be planted")
        else:
            self.shapes["mended harm", g] = harmed / change.spiking


class PlantedChange:
    """Mean change of one gate's estimand over all swaps, the candidate's values multiplied."""

    def __init__(self, table: PairTable, gate: Gate) -> None:
        both = concat([table, table.swap()])  # either model may be the candidate
        pairs = np.stack([values(both, gate, m)[VALUE] for m in (CANDIDATE, BASELINE)])
        self._c, self._b = pairs[:, np.isfinite(pairs).all(axis=0)]
        cap = gate.winsor_cap if gate.estimand is Estimand.MEAN else None
        self._sign = sign_of(gate.metric, gate.direction)
        self._mean = gate.estimand is Estimand.MEAN
        self._cap = np.inf if cap is None else cap
        room = 1 - self._c if self._sign > 0 else self._c
        self.quiet = float(room.mean()) if len(room) else 0.0
        """Of a rate: the share of pairs where an event can be planted."""
        self.spiking = float(can_spike(both, gate).mean()) if len(self._c) else 0.0
        """Share of pairs where a harm is a new spike."""

    def of(self, factor: float) -> float:
        """The change that multiplying every pair brings; positive is worse."""
        if not len(self._c):
            return 0.0
        c = np.minimum(self._c * factor**self._sign, self._cap)
        b = np.minimum(self._b, self._cap)
        if self._mean:
            return float(self._sign * (c.sum() - b.sum()) / b.sum()) if b.sum() > 0 else 0.0
        relative = np.divide(c - b, c + b, out=np.zeros_like(c), where=c + b > 0)
        return float(2 * self._sign * relative.mean())

    def factor(self, size: float) -> float | None:
        """The factor that brings a change of `size`; None where none does."""
        low = 1.0
        high = LARGEST_FACTOR
        if self.of(high) < size:
            return None
        while high / low > 1 + 1e-9:
            middle = float(np.sqrt(low * high))
            low, high = (low, middle) if self.of(middle) >= size else (middle, high)
        return high
