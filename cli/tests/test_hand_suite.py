import numpy as np

from cli.hand_suite import hand_plan, hand_suite
from cli.judged_columns import Kind
from suites.pair_table import PairTable
from suites.vocabulary import Estimand


def test_each_kind_has_its_gate() -> None:
    kinds = {"a": Kind(), "b": Kind("higher"), "c": Kind(rate=True), "total_cost": Kind()}
    suite = hand_suite(kinds, margin=0.1, rate_margin=0.01, estimand=Estimand.MEAN, caps={"a": 5.0})
    assert [(g.metric, g.estimand, g.margin, g.direction, g.winsor_cap) for g in suite.gates] == [
        ("a", Estimand.MEAN, 0.1, "lower", 5.0),
        ("b", Estimand.MEAN, 0.1, "higher", None),
        ("c", Estimand.RATE, 0.01, "lower", None),
        ("total_cost", Estimand.MEAN, 0.1, None, None),
    ]


def test_what_is_planned_of_a_complete_file_and_of_a_growing_one() -> None:
    baseline = np.array([[1, 0, 1], [2, 1, np.nan], [3, 1, 0]])
    table = PairTable.completed(
        baseline * 2, baseline, routes=["r", "q", "r"], metrics=["a", "b", "c"]
    )
    plan = hand_plan(table, None)
    assert (plan.pairs, plan.route_pairs) == (3, {"r": 2, "q": 1})
    assert plan.baseline_events == {"b": 2}, "0 or 1 on every pair"
    growing = hand_plan(table, 10)
    assert (growing.pairs, growing.route_pairs, growing.baseline_events) == (10, {}, {})
