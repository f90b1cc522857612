from typing import Any

import numpy as np
import pytest

from cli.hand_draw import HandDraw, by_own_costs
from cli.hand_suite import hand_plan, hand_suite
from cli.judged_columns import Kind
from suites.definition.suite_schema import Suite
from suites.errors import SubmitterError
from suites.pair_table import BASELINE, VALUE, PairTable
from suites.vocabulary import Estimand

BASE = np.array([[1.0, 0], [2, 1], [3, 0], [9, 1]])
KINDS = {"cost": Kind(), "hit": Kind(rate=True)}
NOTHING: dict[str, Any] = dict.fromkeys(("draw_metric", "draw_share", "relative_cap"))


def table(base: np.ndarray = BASE) -> PairTable:
    return PairTable.completed(base * 2, base, routes=list("abcd"), metrics=["cost", "hit"])


def suite(caps: dict[str, float] | None = None) -> Suite:
    return hand_suite(KINDS, estimand=Estimand.MEAN, caps=caps)


def test_a_file_is_its_own_baseline() -> None:
    drawn = HandDraw(draw="cost", **NOTHING | {"draw_share": 0.8}).of(suite(), growing=False)
    rows, plan = by_own_costs(drawn, table(), hand_plan(table(), None))
    b = rows.results[VALUE, BASELINE, :, 0]
    assert plan.stored is not None
    assert plan.stored.weights == pytest.approx(0.8 * b / 3.75 + 0.2)
    assert (plan.stored.costs["cost"] == b).all()
    assert sorted(rows.case_ids) == sorted(table().case_ids)


def test_relative_caps_leave_the_order_and_rates_alone() -> None:
    drawn = HandDraw(draw="uniform", **NOTHING | {"relative_cap": 4.0}).of(suite(), growing=False)
    assert [gate.relative_cap for gate in drawn.gates] == [4.0, None]
    rows, plan = by_own_costs(drawn, table(), hand_plan(table(), None))
    assert rows.case_ids == table().case_ids
    assert plan.stored is not None
    with pytest.raises(SubmitterError, match="cannot be a cap"):
        by_own_costs(drawn, table(0 * BASE), hand_plan(table(), None))


def test_without_an_option_nothing_is_stored() -> None:
    plain = HandDraw(draw="uniform", **NOTHING).of(suite(), growing=True)
    assert plain == suite()
    assert by_own_costs(plain, table(), hand_plan(table(), None))[1].stored is None


@pytest.mark.parametrize(
    ("options", "growing", "caps", "where"),
    [
        ({"draw": "uniform", "draw_share": 0.8}, False, None, "--draw-share"),
        ({"draw": "uniform", "draw_metric": "cost"}, False, None, "--draw-metric"),
        ({"draw": "cost", "draw_metric": "hit"}, False, None, "--draw-metric"),
        ({"draw": "cost"}, False, {"cost": 5.0}, "--cap"),
        ({"draw": "cost"}, True, None, "--planned"),
        ({"draw": "uniform", "relative_cap": 3.0}, True, None, "--planned"),
    ],
)
def test_options_that_make_no_sense_together_are_named(
    options: dict[str, Any], growing: bool, caps: dict[str, float] | None, where: str
) -> None:
    with pytest.raises(SubmitterError) as refused:
        HandDraw(**NOTHING | options).of(suite(caps), growing=growing)
    assert [finding.where for finding in refused.value.findings] == [where]
