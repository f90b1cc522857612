"""The cost-weighted draw: what the baseline finds hard comes earlier, with a known weight.

w_i = a b_i / mean(b) + 1 - a, b the baseline's stored costs. The order is ascending -ln(u_i) / w_i
(exponential keys: at each place, what remains is drawn in proportion to w; Efraimidis & Spirakis
2006), with u from the run's own seed. Anyone who has costs and seed can draw it again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suites.definition.suite_schema import Gate, Suite
from suites.errors import Finding, SubmitterError
from suites.formatting import plural
from suites.metrics.registry import METRICS
from suites.run_plan import RunPlan, StoredCosts
from suites.vocabulary import Estimand

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


def draw_contradictions(suite: Suite) -> Iterator[Finding]:
    """What the fields of a draw by cost, and of caps by cost, may not be together."""
    if suite.draw == "cost":
        yield from _of_cost_draw(suite)
    else:
        yield from _of_uniform_draw(suite)
    for i, gate in enumerate(suite.gates):
        falls_back = needs_stored_costs(suite) and suite.draw_else_uniform
        capped = gate.winsor_cap is not None
        if capped and not falls_back and (suite.draw == "cost" or gate.relative_cap is not None):
            problem = "costs are cut at a multiple of what is expected of their segment instead"
            remedy = "drop it; relative_cap is the multiple"
            yield Finding(f"gates.{i}.winsor_cap", problem, remedy)
        if gate.estimand is Estimand.MEAN and falls_back and not capped:
            problem = "without stored costs its mean has no cap, and can never be shown"
            remedy = "declare winsor_cap for that case, or drop draw_else_uniform"
            yield Finding(f"gates.{i}.winsor_cap", problem, remedy)


def _of_cost_draw(suite: Suite) -> Iterator[Finding]:
    if suite.select is None or not suite.gates:
        remedy = "add [select] and [[gates]], or drop draw"
        yield Finding("draw", "there is nothing to draw, or no gate to judge it", remedy)
        return
    if suite.enriched is not None:
        problem = "an enriched suite draws by its own factors"
        yield Finding("draw", problem, "drop one of the two")
    metric = draw_metric(suite)
    if not _is_cost(suite, metric):
        problem = f"{metric} is no cost, of which less is better"
        yield Finding("draw_metric", problem, "name the metric whose costs weigh the draw")
    for i, gate in enumerate(suite.gates):
        if gate.fail_fast:
            problem = "half of all models that are as good as the baseline are worse on this bank"
            remedy = "drop it: a draw by cost fails beyond the margin"
            yield Finding(f"gates.{i}.fail_fast", problem, remedy)


def _is_cost(suite: Suite, metric: str) -> bool:
    """By the registry; of a column that is judged by hand, as its gate declares it."""
    if metric in METRICS:
        return METRICS[metric].kind == "cost"
    gates = [gate for gate in suite.gates if gate.metric == metric]
    return any(g.direction == "lower" and g.estimand is not Estimand.RATE for g in gates)


def _of_uniform_draw(suite: Suite) -> Iterator[Finding]:
    standard = Suite(name="standard", kind=suite.kind)
    for name in ("draw_metric", "draw_share"):
        if getattr(suite, name) != getattr(standard, name):
            yield Finding(name, "the draw is uniform", 'draw = "cost", or drop it')
    if suite.draw_else_uniform and not needs_stored_costs(suite):
        problem = "the draw is uniform, and no cap is relative"
        yield Finding("draw_else_uniform", problem, 'draw = "cost", or drop it')


def draw_weights(costs: Floats, share: float, metric: str) -> Floats:
    """w of each pair [n] from the baseline's costs; NaN, where it has none, weighs as 0.

    Raises SubmitterError for costs that weigh nothing: negative, infinite or all the same.
    """
    known = _known(costs, metric, "weigh the draw")
    if known.min() == known.max():
        problem = f"all stored costs of it are {known[0]:g}: none is harder than another"
        raise _useless(metric, problem, "weigh the draw")
    return np.asarray(share * np.nan_to_num(costs) / known.mean() + 1 - share)


def check_capped(costs: Floats, metric: str) -> None:
    """Raises SubmitterError unless a multiple of these costs is a cap."""
    if not _known(costs, metric, "be a cap").any():
        raise _useless(metric, "all stored costs of it are 0", "be a cap")


def _known(costs: Floats, metric: str, use: str) -> Floats:
    """Those that are no NaN. Raises SubmitterError for none, negative and infinite ones."""
    known = costs[~np.isnan(costs)]
    problems = {
        f"the baseline has no value of it on {plural(len(costs), 'pair')}": not len(known),
        "some stored costs of it are infinite": np.isinf(known).any(),
        "some stored costs of it are negative": (known < 0).any(),
    }
    for problem, found in problems.items():
        if found:
            raise _useless(metric, problem, use)
    return known


def _useless(metric: str, problem: str, use: str) -> SubmitterError:
    remedy = "take another metric, or do without (uniform draw, winsor_cap)"
    return SubmitterError(f"stored costs cannot {use}", Finding(metric, problem, remedy))


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


def by_stored_costs(suite: Suite, plan: RunPlan) -> tuple[Suite, RunPlan]:
    """Suite and plan as they are judged: the plan has stored costs where the draw was by cost.

    Then no gate has a winsor_cap, which is for a uniform draw alone. In a uniform draw every pair
    expects the mean, and relative caps become winsor_caps.
    """
    stored = plan.stored
    if stored is None:
        return suite, plan
    if suite.draw == "cost":
        return replace(suite, gates=tuple(replace(g, winsor_cap=None) for g in suite.gates)), plan
    gates = tuple(
        gate
        if gate.relative_cap is None
        else replace(gate, winsor_cap=gate.relative_cap * stored.mean(gate.metric))
        for gate in suite.gates
    )
    return replace(suite, gates=gates), replace(plan, stored=None)


def relative_cap(gate: Gate) -> float:
    """Times its expected cost that a pair of a draw by cost counts up to."""
    return gate.relative_cap or USUAL_CAP


def pair_caps(gate: Gate, stored: StoredCosts) -> Floats:
    """C = kappa w mean(b) of each pair [n]: so many times the cost that is expected of it."""
    return np.asarray(relative_cap(gate) * stored.weights * np.nan_to_num(stored.mean(gate.metric)))
