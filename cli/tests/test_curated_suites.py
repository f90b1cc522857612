"""The suites in the repository: valid, explained, with cases where the demo world has them."""

from pathlib import Path

import numpy as np
import pytest

from cli.model_folders import local_model
from suites.conditions import judge, load_condition
from suites.definition.resolving import resolve
from suites.definition.suite_schema import Suite
from suites.definition.suite_toml import load_suite
from suites.errors import SubmitterError
from suites.execution_classes import default_execution
from suites.metrics.tests.test_metrics import drive as trace_of
from suites.metrics.tests.test_metrics import moved
from suites.parameters import parse
from suites.rollout import DriveKey
from suites.segment import DRIVER_CODES
from suites.simulators import simulator_spec
from suites.vocabulary import Outcome
from workers.policy.load import open_policy
from workers.policy.log_policy import LogPolicy
from workers.policy.policy import Action, Observation, Policy
from workers.segments.openpilot.importer import import_openpilot
from workers.segments.store import list_segments, read_segment
from workers.simulation.loop import drive
from workers.simulation.open_simulator import open_simulator
from workers.simulation.world.corpus import route_name
from workers.simulation.world.drive import drive_spec
from workers.simulation.world.route import route_spec

FILES = sorted((Path(__file__).parents[2] / "suites").glob("*.toml"))
CURATED = {
    "smoke",
    "overall",
    "lane_centre_convergence",
    "lane_change",
    "exit_splitting",
    "comfort",
    "night",
    "latency",
    "hard_brake",
}
SUITES: dict[str, Suite] = {path.stem: load_suite(path) for path in FILES}
REAL = SUITES.pop("real_route")
ROUTE = Path(__file__).parents[3] / "shared" / "data" / "comma_demo_route"
STEERS = [case.name for case in REAL.cases if case.name != "no_hard_brake"]


def test_all_are_there_and_say_what_it_means_to_pass() -> None:
    assert set(SUITES) >= CURATED
    for stem, suite in {**SUITES, "real_route": REAL}.items():
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
    return judge(
        load_condition(documents[condition]), trace_of(400, 400, **trace), Outcome.COMPLETED
    ).held


def test_the_exit_is_judged_by_place_and_direction() -> None:
    rule = "is and points left of the exit"
    assert held(
        "exit_splitting",
        rule,
        lateral_offset_m=3.0,
        heading_error_rad=0.02,
        plan_y_2s_m=float("nan"),
    )
    assert not held(
        "exit_splitting",
        rule,
        lateral_offset_m=0.0,
        heading_error_rad=0.0,
        plan_y_2s_m=float("nan"),
    )
    assert not held(
        "exit_splitting", rule, lateral_offset_m=3.0, heading_error_rad=-0.05, plan_y_2s_m=-1.0
    ), "it turns in late"


def test_brakes_are_slammed_only_where_the_human_did_not() -> None:
    rule = "no hard braking without a reason"
    assert not held("hard_brake", rule, acceleration_mps2=-5.0, log_acceleration_mps2=0.0)
    assert held("hard_brake", rule, acceleration_mps2=-2.0, log_acceleration_mps2=0.0)


@pytest.mark.parametrize(("offset", "passes"), [(0.2, True), (0.6, False)])
def test_the_hugging_test_wants_the_path_back(offset: float, passes: bool) -> None:
    back = load_condition(SUITES["lane_centre_convergence"].cases[0].conditions[0])
    assert judge(back, moved(offset), Outcome.COMPLETED).held is passes


class Braking(LogPolicy):
    """Drives the human's path and brakes all the way."""

    def act(self, observation: Observation) -> Action:
        plan = super().act(observation).plan
        assert plan is not None
        return Action(plan=plan, acceleration=np.full(len(plan), -6.0))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("real")
    import_openpilot(ROUTE, root, "a2a0ccea32023010|2023-07-27--13-01-19")
    return root


def passed(root: Path, policy: Policy) -> dict[str, bool | None]:
    """Whether each case of the real route's suite held; None: it can't be told."""
    version = resolve(REAL, list_segments(root))
    spec = simulator_spec(REAL.simulator.name, REAL.simulator.parameters)
    keys = {
        planned.case: DriveKey(
            model=policy.manifest.digest,
            scenario=planned.scenario,
            simulator=spec,
            execution=policy.execution,
        )
        for planned in version.planned
    }
    rollouts = {
        r.key.digest: r for r in drive(open_simulator(spec, root, {}), policy, list(keys.values()))
    }
    answers: dict[str, bool | None] = {}
    for case in REAL.cases:
        rollout = rollouts[keys[case.name].digest]
        held = [
            judge(load_condition(c), rollout.trace, rollout.outcome).held for c in case.conditions
        ]
        answers[case.name] = False if False in held else None if None in held else True
    return answers


@pytest.mark.skipif(not ROUTE.is_dir(), reason="comma's demo route is not beside the repository")
def test_on_the_real_route_the_human_passes_and_bad_models_fail(real: Path) -> None:
    (meta,) = list_segments(real)
    assert (meta.facts.time_of_day, meta.facts.platform) == ("day", "TOYOTA COROLLA TSS2 2019")
    driver, rate = read_segment(real, meta.segment_id).columns.driver, meta.rate_hz
    for case in REAL.cases:
        assert set(driver[int(case.start_s * rate) : int((case.end_s or 0) * rate)]) == {
            DRIVER_CODES["human"]
        }, case.name
    assert set(passed(real, LogPolicy()).values()) == {True}
    manifest, graphs = local_model("cloned")
    cloned = passed(
        real, open_policy(manifest, graphs, execution=default_execution(manifest), sandboxed=False)
    )
    assert {name for name, held in cloned.items() if held is False} == set(STEERS)
    assert passed(real, Braking())["no_hard_brake"] is False


def test_without_the_real_route_its_suite_says_what_to_import() -> None:
    with pytest.raises(SubmitterError, match="not stored") as refused:
        resolve(REAL, [])
    assert {f.where for f in refused.value.findings} == {
        f"cases.{case.name}.segment" for case in REAL.cases
    }
    assert all("redrive segments import" in f.remedy for f in refused.value.findings)
    with pytest.raises(SubmitterError) as refused:
        resolve(SUITES["smoke"], [])
    assert all("redrive world" in f.remedy for f in refused.value.findings)
