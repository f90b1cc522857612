"""Conditions on traces whose story is known."""

from typing import Any

import numpy as np
import pytest

from suites.conditions import judge, load_condition
from suites.conditions.evaluation import evaluate
from suites.metrics.tests.test_metrics import T, drive, moved
from suites.rollout import Trace
from suites.vocabulary import FAILING, Outcome

AWAY = {"signal": "lateral_offset_m", "absolute": True, "above": 0.5}


def held(
    document: dict[str, Any], trace: Trace, outcome: Outcome = Outcome.COMPLETED
) -> tuple[bool | None, float | None]:
    answer = judge(load_condition(document), trace, outcome)
    return answer.held, None if answer.instant_s is None else round(answer.instant_s, 6)


def drifting(steps: int = 400, planned: int = 400) -> Trace:
    """Moves left at 0.1 m/s: past 0.5 m just after 5 s."""
    return moved(0.1 * T[:steps], steps, planned)


def test_must_always_points_at_the_first_broken_step() -> None:
    assert held({"always": {"not": AWAY}}, drifting()) == (False, 5.05)
    assert held({"always": {"not": AWAY}, "to_s": 4.0}, drifting()) == (True, None)
    assert held({"always": {"not": AWAY}, "from_s": 8.0}, drifting()) == (False, 8.0)


def test_eventually_and_its_opposite() -> None:
    assert held({"eventually": AWAY}, drifting()) == (True, 5.05)
    assert held({"judge": "must_not", "eventually": AWAY}, drifting()) == (False, 5.05)
    assert held({"judge": "must_not", "eventually": AWAY}, moved(0.2)) == (True, None)
    assert held({"eventually": AWAY}, moved(0.2)) == (False, None)


def test_duration_needs_an_unbroken_stretch() -> None:
    blinks = moved(np.where(np.arange(400) % 10 < 5, 1.0, 0.0))
    assert held({"judge": "must_not", "eventually": AWAY | {"for_s": 0.2}}, blinks) == (False, 0.15)
    assert held({"judge": "must_not", "eventually": AWAY | {"for_s": 0.3}}, blinks) == (True, None)


def test_a_duration_beyond_the_drive_never_happens_and_costs_nothing() -> None:
    away = moved(1.0)
    assert held({"judge": "must_not", "eventually": AWAY | {"for_s": 1e8}}, away) == (True, None)


def test_all_any_not_with_unknown_steps() -> None:
    trace = drive(lane_left_m=np.nan)
    unknown = {"signal": "lane_left_m", "above": 0.0}
    true = {"signal": "speed_mps", "above": 1.0}
    assert np.isnan(evaluate(unknown, trace)).all()
    assert np.isnan(evaluate({"all": [unknown, true]}, trace)).all()
    assert (evaluate({"any": [unknown, true]}, trace) == 1).all()
    assert (evaluate({"all": [unknown, {"not": true}]}, trace) == 0).all()
    assert held({"always": unknown}, trace) == (None, None)


def test_areas_choose_the_steps_that_are_judged() -> None:
    t = T
    trace = drive(x_m=20 * t, y_m=np.zeros(400), lateral_offset_m=np.where(t > 10, 1.0, 0.0))
    near = {"x_m": 100, "y_m": 0, "radius_m": 50}
    far = {"polygon": [[250, -5], [400, -5], [400, 5], [250, 5]]}
    assert held({"when": near, "always": {"not": AWAY}}, trace) == (True, None)
    assert held({"when": far, "always": {"not": AWAY}}, trace) == (False, 12.5)
    answer = judge(
        load_condition({"when": {"x_m": 0, "y_m": 999, "radius_m": 5}, "always": AWAY}),
        trace,
        Outcome.COMPLETED,
    )
    assert (answer.held, answer.reason) == (None, "the situation was never reached")


def test_time_to_line_crossing() -> None:
    trace = moved(0.0)
    trace.columns["heading_error_rad"][:] = np.arcsin(0.5 / 20)
    assert evaluate({"signal": "line_crossing_s", "above": 1.74, "below": 1.76}, trace).all(), (
        "0.875 m at 0.5 m/s"
    )
    assert held(
        {"judge": "must_not", "eventually": {"signal": "line_crossing_s", "below": 1.0}}, trace
    ) == (True, None)
    assert held(
        {"judge": "must_not", "eventually": {"signal": "line_crossing_s", "below": 1.0}}, moved(1.0)
    ) == (False, 0.0)


@pytest.mark.parametrize("outcome", sorted(FAILING))
def test_a_failed_rollout_breaks_what_it_did_not_finish(outcome: Outcome) -> None:
    short = drifting(60)
    assert held({"always": {"not": AWAY}}, short, outcome) == (False, 3.0)
    assert held({"always": {"not": AWAY}, "to_s": 2.0}, short, outcome) == (True, None), (
        "the window was driven"
    )


def test_a_censored_rollout_cannot_be_told_unless_it_was_broken_before() -> None:
    assert held({"always": {"not": AWAY}}, drifting(60), Outcome.LEFT_TRUST_REGION) == (None, None)
    assert held({"always": {"not": AWAY}}, drifting(200), Outcome.LEFT_TRUST_REGION) == (
        False,
        5.05,
    )


def test_a_share_forgives_so_many_steps_and_points_at_the_one_too_many() -> None:
    slow = {"always": {"signal": "policy_time_s", "below": 0.05}, "share": 0.95}
    times = np.full(400, 0.01)
    times[100:120] = 0.2
    assert held(slow, drive(policy_time_s=times)) == (True, None), "20 of 400 steps are 5 %"
    times[130] = 0.2
    assert held(slow, drive(policy_time_s=times)) == (False, 6.5)
    assert held(slow | {"from_s": 10.0}, drive(policy_time_s=times)) == (True, None)
