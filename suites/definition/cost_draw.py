"""The cost-weighted draw: what the baseline finds hard comes earlier, with a known weight.

w_i = a b_i / mean(b) + 1 - a, b the baseline's stored costs. The order is ascending -ln(u_i) / w_i
(exponential keys: at each place, what remains is drawn in proportion to w; Efraimidis & Spirakis
2006), with u from the run's own seed. Anyone who has costs and seed can draw it again.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suites.definition.suite_schema import Suite
from suites.errors import Finding, SubmitterError
from suites.formatting import plural
from suites.run_plan import StoredCosts

Floats = NDArray[np.float64]

USUAL_CAP = 10.0
"""Times its expected cost that a segment counts up to, where a gate names no relative_cap."""

STREAM = 2
"""Of the seed: the order of the routes and enriched draws have others."""


def needs_stored_costs(suite: Suite) -> bool:
    """Whether the baseline's costs must be stored before a run of this suite."""
    relative = any(gate.relative_cap is not None for gate in suite.gates)
    return suite.draw == "cost" or relative


def draw_metric(suite: Suite) -> str:
    """Whose costs weigh the draw."""
    return suite.draw_metric or suite.gates[0].metric


def draw_weights(costs: Floats, share: float, metric: str) -> Floats:
    """w of each pair [n] from the baseline's costs; NaN, where it has none, weighs as 0.

    Raises SubmitterError for costs that weigh nothing: negative, infinite or all the same.
    """
    known = costs[~np.isnan(costs)]
    problem = ""
    if not len(known):
        problem = f"the baseline has no value of it on {plural(len(costs), 'pair')}"
    elif np.isinf(known).any():
        problem = f"{plural(int(np.isinf(known).sum()), 'stored cost')} of it are infinite"
    elif known.min() < 0:
        problem = f"{plural(int((known < 0).sum()), 'stored cost')} of it are negative"
    elif known.min() == known.max():
        problem = f"all stored costs of it are {known[0]:g}: none is harder than another"
    if problem:
        remedy = 'name another draw_metric, or draw = "uniform"'
        raise SubmitterError("costs cannot weigh the draw", Finding(metric, problem, remedy))
    return np.asarray(share * np.nan_to_num(costs) / known.mean() + 1 - share)


def draw_keys(case_ids: Sequence[str], weights: Floats, seed: int) -> Floats:
    """-ln(u) / w of each pair; u belongs to the pair's place among the sorted ids."""
    uniform = np.empty(len(case_ids))
    places = np.argsort(np.array(case_ids), kind="stable")
    uniform[places] = 1.0 - np.random.default_rng([seed, STREAM]).random(len(case_ids))
    return exponential_keys(uniform, weights)


def exponential_keys(uniform: Floats, weights: Floats) -> Floats:
    return np.asarray(-np.log(uniform) / weights)


def drawn_order(case_ids: Sequence[str], weights: Floats, seed: int) -> NDArray[np.int64]:
    """The registered order: index of the pair at each place."""
    return np.argsort(draw_keys(case_ids, weights, seed), kind="stable")


def with_relative_caps(suite: Suite, stored: StoredCosts) -> Suite:
    """A suite with a uniform draw whose relative caps are costs: every pair expects the mean."""
    gates = tuple(
        gate
        if gate.relative_cap is None
        else replace(gate, winsor_cap=gate.relative_cap * stored.mean(gate.metric))
        for gate in suite.gates
    )
    return replace(suite, gates=gates)
