import numpy as np
import pytest

from suites.definition.cost_draw import (
    by_stored_costs,
    check_capped,
    draw_metric,
    draw_weights,
    drawn_order,
    exponential_keys,
    needs_stored_costs,
)
from suites.definition.selector import Selector
from suites.definition.suite_schema import Gate, Suite
from suites.definition.suite_toml import load_suite
from suites.definition.tests.documents import SUITE
from suites.errors import SubmitterError
from suites.run_plan import RunPlan, StoredCosts

B = np.array([10.0, 20.0, 30.0, 40.0])
NAMES = ["d", "a", "c", "b"]


def test_reference_values() -> None:
    weights = draw_weights(B, 0.8, "cost")
    assert weights.tolist() == pytest.approx([0.52, 0.84, 1.16, 1.48])
    keys = exponential_keys(np.array([0.1, 0.5, 0.9, 0.7]), weights)
    assert keys == pytest.approx([4.428048, 0.825175, 0.090828, 0.240997], abs=1e-6)


def test_the_order_is_the_seed_s_and_not_that_of_the_list() -> None:
    weights = draw_weights(B, 0.8, "cost")
    order = [NAMES[i] for i in drawn_order(NAMES, weights, 7)]
    turned = drawn_order(NAMES[::-1], weights[::-1], 7)
    assert [NAMES[::-1][i] for i in turned] == order
    assert len({tuple(drawn_order(NAMES, weights, seed)) for seed in range(30)}) > 5


def test_what_is_hard_comes_first_in_proportion_to_its_weight() -> None:
    weights = draw_weights(B, 0.8, "cost")
    first = np.bincount([drawn_order(NAMES, weights, seed)[0] for seed in range(4000)])
    assert first / 4000 == pytest.approx(weights / weights.sum(), abs=0.03)


def test_a_pair_without_a_cost_weighs_least() -> None:
    assert draw_weights(np.array([np.nan, 1.0, 3.0]), 0.5, "cost") == pytest.approx(
        [0.5, 0.75, 1.25]
    )


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        ([1.0, -2.0], "negative"),
        ([1.0, np.inf], "infinite"),
        ([np.nan, np.nan], "no value of it on 2 pairs"),
        ([3.0, 3.0], "all stored costs of it are 3"),
        ([0.0, 0.0], "all stored costs of it are 0"),
    ],
)
def test_costs_that_cannot_weigh_are_refused(costs: list[float], said: str) -> None:
    with pytest.raises(SubmitterError, match="cannot weigh") as refused:
        draw_weights(np.array(costs), 0.3, "cost")
    assert said in refused.value.findings[0].problem


def _suite(**fields: object) -> Suite:
    gates = (Gate(metric="cost", relative_cap=4.0), Gate(metric="other"))
    return Suite(name="s", kind="overall", select=Selector(), gates=gates, **fields)  # type: ignore[arg-type]


def test_what_a_suite_asks_of_the_baseline() -> None:
    assert draw_metric(_suite()) == "cost"
    assert draw_metric(_suite(draw_metric="other")) == "other"
    assert needs_stored_costs(_suite())
    assert not needs_stored_costs(Suite(name="s", kind="overall", gates=(Gate(metric="cost"),)))


def test_relative_caps_of_a_uniform_draw_are_multiples_of_the_mean() -> None:
    costs = {"cost": np.broadcast_to(B, (2, 4)), "other": np.broadcast_to(B, (2, 4))}
    plan = RunPlan(4, stored=StoredCosts(weights=np.ones(4), costs=costs))
    suite, judged = by_stored_costs(_suite(), plan)
    assert [gate.winsor_cap for gate in suite.gates] == [100.0, None]
    assert judged.stored is None
    check_capped(np.full(4, 3.0), "cost")
    with pytest.raises(SubmitterError, match="cannot be a cap"):
        check_capped(np.zeros(4), "cost")


DRAW = 'order_seed = 7\ndraw = "cost"'
MEAN = 'margin = 0.1\nestimand = "mean"'


@pytest.mark.parametrize(
    "changes",
    [
        (("order_seed = 7", DRAW), ("margin = 0.1", MEAN)),
        (
            ("order_seed = 7", f"{DRAW}\ndraw_else_uniform = true"),
            ("margin = 0.1", f"{MEAN}\nwinsor_cap = 2.0"),
        ),
        (("margin = 0.1", f"{MEAN}\nrelative_cap = 8.0"),),
        (("order_seed = 7", f'{DRAW}\ndraw_metric = "total_cost"'),),
    ],
)
def test_draws_that_make_sense(changes: tuple[tuple[str, str], ...]) -> None:
    text = SUITE
    for change in changes:
        text = text.replace(*change)
    load_suite(text)


@pytest.mark.parametrize(
    ("seed", "margin", "where"),
    [
        (f'{DRAW}\ndraw_metric = "time_to_failure_s"', "margin = 0.1", "draw_metric"),
        (f'{DRAW}\ndraw_metric = "wall_s"', "margin = 0.1", "draw_metric"),
        (DRAW, "margin = 0.1\nfail_fast = true", "gates.0.fail_fast"),
        (DRAW, f"{MEAN}\nwinsor_cap = 2.0", "gates.0.winsor_cap"),
        (f"{DRAW}\ndraw_else_uniform = true", MEAN, "gates.0.winsor_cap"),
        (f"{DRAW}\noffset_weights = [0.9, 0.1]\nenriched = {{ share = 0.5 }}", "", "draw"),
        ('order_seed = 7\ndraw_metric = "total_cost"', "margin = 0.1", "draw_metric"),
        ("order_seed = 7\ndraw_share = 0.8", "margin = 0.1", "draw_share"),
        ("order_seed = 7\ndraw_else_uniform = true", "margin = 0.1", "draw_else_uniform"),
        ("order_seed = 7", f"{MEAN}\nrelative_cap = 8.0\nwinsor_cap = 2.0", "gates.0.winsor_cap"),
        ("order_seed = 7", MEAN, "gates.0.winsor_cap"),
    ],
)
def test_draws_that_make_no_sense_name_the_field(seed: str, margin: str, where: str) -> None:
    with pytest.raises(SubmitterError) as refused:
        load_suite(SUITE.replace("order_seed = 7", seed).replace("margin = 0.1", margin))
    assert where in [finding.where for finding in refused.value.findings]
