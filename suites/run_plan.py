"""What is known of a run before its first pair is driven."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCosts:
    """A cost-weighted draw: what the baseline's stored costs say of every planned pair.

    The pairs stand in the registered order, [pairs].
    """

    weights: Floats
    """w = a b / mean(b) + 1 - a: how early a pair tends to be drawn."""
    costs: Mapping[str, Floats]
    """Metric to the baseline's cost of each pair."""


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
    """Where the suite draws by cost."""
