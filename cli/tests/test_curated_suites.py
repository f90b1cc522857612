"""The suites in the repository: valid, explained, and their cases lie where the demo world has what they name."""

from pathlib import Path

import pytest

from suites.conditions import judge, load_condition
from suites.metrics.tests.test_metrics import drive, moved
from suites.schema import Suite, load_suite
from suites.words import Outcome
from workers.segments.world import route_name
from workers.simulation.parameters import parse
from workers.simulation.world.drive import drive_spec
from workers.simulation.world.route import route_spec

FILES = sorted((Path(__file__).parents[2] / "suites").glob("*.toml"))
CURATED = {
    "smoke", "overall", "lane_centre_convergence", "lane_change", "exit_splitting", "comfort", "night", "latency", "hard_brake",
}  # fmt: skip
SUITES: dict[str, Suite] = {path.stem: load_suite(path) for path in FILES}


def test_all_are_there_and_say_what_it_means_to_pass() -> None:
    assert set(SUITES) >= CURATED
    for stem, suite in SUITES.items():
        assert suite.name == stem
        assert suite.description
        assert suite.means_to_pass
        parse(suite.simulator.parameters)


def test_cases_lie_inside_the_drives_that_they_name() -> None:
    drives = {
        f"{route_name(0, route)}/{number}": (spec, drive_spec(spec, 0, number))
        for route in range(20)
        for spec in [route_spec(0, route)]
        for number in range(3)
    }
    for suite in SUITES.values():
        for case in suite.cases:
            route, driven = drives[case.segment]
            assert (case.end_s or driven.duration_s) <= driven.duration_s, case.name
            assert ("night" in case.name) <= route.night, case.name
            if suite.name == "lane_change":
                assert driven.manoeuvre == case.name.split("_")[0]
            if suite.name == "exit_splitting":
                assert driven.manoeuvre == "exit"


def held(suite: str, condition: str, **trace: float) -> bool | None:
    documents = {c["name"]: c for c in SUITES[suite].cases[0].conditions}
    return judge(load_condition(documents[condition]), drive(400, 400, **trace), Outcome.COMPLETED).held


def test_the_exit_is_judged_by_place_and_direction() -> None:
    rule = "is and points left of the exit"
    assert held("exit_splitting", rule, lateral_offset_m=3.0, heading_error_rad=0.02, plan_y_2s_m=float("nan"))
    assert not held("exit_splitting", rule, lateral_offset_m=0.0, heading_error_rad=0.0, plan_y_2s_m=float("nan"))
    assert not held("exit_splitting", rule, lateral_offset_m=3.0, heading_error_rad=-0.05, plan_y_2s_m=-1.0), "it turns in late"


def test_brakes_are_slammed_only_where_the_human_did_not() -> None:
    rule = "no hard braking without a reason"
    assert not held("hard_brake", rule, acceleration_mps2=-5.0, log_acceleration_mps2=0.0)
    assert held("hard_brake", rule, acceleration_mps2=-2.0, log_acceleration_mps2=0.0)


@pytest.mark.parametrize(("offset", "passes"), [(0.2, True), (0.6, False)])
def test_the_hugging_test_wants_the_path_back(offset: float, passes: bool) -> None:
    back = load_condition(SUITES["lane_centre_convergence"].cases[0].conditions[0])
    assert judge(back, moved(offset), Outcome.COMPLETED).held is passes
