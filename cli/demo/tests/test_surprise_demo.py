"""The synthetic fleet: where its driver takes over, and one drive a route."""

import numpy as np
import pytest

from cli.demo.surprise_demo import TAKEOVER_M, _one_a_route, _takeover
from suites.metrics.tests.test_metrics import moved
from suites.rollout import DriveKey, ExecutionClass, Rollout, Scenario, SimulatorSpec
from suites.vocabulary import Outcome
from workers.segments.tests.segment_parts import camera_meta

KEY = DriveKey(
    model="m",
    scenario=Scenario(segment_id="r/0", segment_digest="d", start_s=1.0, end_s=21.0),
    simulator=SimulatorSpec(name="rendered", version="1"),
    execution=ExecutionClass(runtime="builtin", version="1"),
)


@pytest.mark.parametrize(("side", "word"), [(1.0, "left"), (-1.0, "right")])
def test_the_driver_takes_over_where_the_car_is_too_far_out(side: float, word: str) -> None:
    offset = side * np.clip(0.01 * np.arange(400), 0.0, 3.0)
    found = _takeover(
        Rollout(key=KEY, outcome=Outcome.COMPLETED, ended_s=20.0, trace=moved(offset))
    )
    assert found is not None
    assert word in found.text
    assert found.time_s == pytest.approx(1.0 + (TAKEOVER_M / 0.01 + 1) / 20, abs=0.051), (
        "from the segment's start"
    )


def test_a_good_drive_is_not_reported() -> None:
    assert (
        _takeover(Rollout(key=KEY, outcome=Outcome.COMPLETED, ended_s=20.0, trace=moved(0.5)))
        is None
    )


def test_the_fleet_drives_the_first_segment_of_each_route() -> None:
    metas = [camera_meta(name) for name in ("a/0", "a/1", "b/0", "b/2")]
    assert {meta.segment_id for meta in _one_a_route(metas)} == {"a/0", "b/0"}
