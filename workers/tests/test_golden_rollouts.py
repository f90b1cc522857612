"""Golden rollouts: each simulator drives as it did when its version was last raised.

`golden.json` holds every eighth step of a few short rollouts by simulator. Where they move, this is
a bug or a new version. `python -m workers.tests.test_golden_rollouts` writes new figures, but only
of simulators whose version (or model, or world) differs from the file's.
"""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from suites.execution_classes import default_execution
from suites.manifest import Manifest, load_manifest
from suites.parameters import parse
from suites.rollout import DriveKey, Noise, Offset, Rollout, Scenario, SimulatorSpec
from suites.simulators import SIMULATORS
from workers.policy.load import open_policy
from workers.policy.log_policy import LogPolicy, log_manifest
from workers.policy.policy import Policy
from workers.simulation.loop import drive
from workers.simulation.open_simulator import open_simulator
from workers.simulation.tests.analytic import key_for, segment
from workers.simulation.tests.models import Model, manifest, seeing
from workers.simulation.tests.test_loop import depth_picture, noise_picture
from workers.simulation.tinyphysics.tests.test_lockstep import dynamics, stored, table
from workers.simulation.views.reprojection import over_segments
from workers.simulation.world.corpus import SOURCE, meta_of, store_drive
from workers.simulation.world.drive import FORMAT, drive_spec, make_drive
from workers.simulation.world.route import route_spec

MODELS = Path(__file__).parents[2] / "models"
GOLDEN = Path(__file__).with_name("golden.json")
EVERY, DIGITS = 8, 13
REMEDY = "run `python -m workers.tests.test_golden_rollouts` and commit golden.json"

EXACT = 1e-9
"""How far a figure may move, in its unit, beside 1e-9 of itself, where all is float64.

Numba and numpy, told to do without AVX and FMA, move it by 1e-12."""
SUMMED = 1e-5
"""The same for sums over whole views. One grey level in a dozen bytes of every view: 4e-6."""
SEEN = 1e-4
"""The same for a network's answers to views.

Commands that differ by a relative 1e-5 (float32 kernels of two CPUs differ by less) move a rollout
by 2e-5 m, a grey level in one byte of every view by 4e-5 m. Version 2 of reprojection moved it by
1e-3 m and more."""


def shipped(name: str) -> tuple[Manifest, dict[str, Path]]:
    found = load_manifest(MODELS / name / "manifest.json")
    return found, {graph.sha256: MODELS / name / f"{graph.role}.onnx" for graph in found.graphs}


def analytic(policy: Policy, **key: Any) -> Rollout:
    """On a segment in memory: noise is drawn from a digest that nothing else moves."""
    one = segment("a", 9.0, pictures=noise_picture, depths=depth_picture)
    [rollout] = drive(over_segments(lambda name: one, parse({})), policy, [key_for(one, **key)])
    return rollout


def world(simulator: str, folder: Path, graph: Manifest, files: dict[str, Path]) -> Rollout:
    """A bend with traffic, from beside the log's path."""
    spec = route_spec(0, 5)
    driven = make_drive(spec, replace(drive_spec(spec, 0, 0), duration_s=4.0))
    meta = store_drive(folder, meta_of(driven, 0, 5, 0), driven)
    scenario = Scenario(
        segment_id=meta.segment_id,
        segment_digest=meta.digest,
        start_s=1.0,
        end_s=3.9,
        offset=Offset(lateral_m=0.5, heading_rad=-0.02),
    )
    chosen = SimulatorSpec(name=simulator, version=SIMULATORS[simulator].version)  # type: ignore[arg-type]
    key = DriveKey(
        model=graph.name, scenario=scenario, simulator=chosen, execution=default_execution(graph)
    )
    with closing(open_policy(graph, files, sandboxed=False)) as policy:
        [rollout] = drive(open_simulator(chosen, folder, {}), policy, [key])
    return rollout


def tinyphysics(folder: Path) -> Rollout:
    graph, files = shipped("pid")
    key = stored(folder, "00001", table(1, 520))
    key = replace(key, simulator=replace(key.simulator, version=SIMULATORS["tinyphysics"].version))
    with closing(open_policy(graph, files, sandboxed=False)) as policy:
        [rollout] = drive(
            open_simulator(key.simulator, folder, {"dynamics": dynamics(folder / "d.onnx")}),
            policy,
            [key],
        )
    return rollout


NOISE = Noise(pose_m=0.2, heading_rad=0.01, delay_s=0.05, curvature_gain=0.05, image=4.0)
WEAK = {"torque_lateral_acceleration_mps2": 1.5, "torque_friction": 0.1, "max_torque_rate": 0.8}
Rollouts = dict[str, tuple[Callable[[Path], Rollout], float]]
ROLLOUTS: dict[str, Rollouts] = {
    "reprojection": {
        "log from beside, noise": (
            lambda folder: analytic(LogPolicy(), offset=Offset(lateral_m=0.8), noise=NOISE),
            EXACT,
        ),
        "log, weak steering": (
            lambda folder: analytic(LogPolicy(), offset=Offset(heading_rad=0.03), vehicle=WEAK),
            EXACT,
        ),
        "brightness, noise": (
            lambda folder: analytic(
                Model(seeing, manifest()), offset=Offset(lateral_m=-0.4), noise=NOISE, end_s=4.0
            ),
            SUMMED,
        ),
        "baseline": (lambda folder: world("reprojection", folder, *shipped("baseline")), SEEN),
    },
    "rendered": {
        "log": (lambda folder: world("rendered", folder, log_manifest(), {}), EXACT),
        "baseline": (lambda folder: world("rendered", folder, *shipped("baseline")), SEEN),
    },
    "tinyphysics": {"pid": (tinyphysics, EXACT)},
}


def made_from(simulator: str) -> list[str]:
    """The versions that its figures follow from."""
    kind = SIMULATORS[simulator]
    model = shipped("pid" if kind.models == "controller" else "baseline")[0].graphs[0].sha256
    return [kind.version, model, *((SOURCE, FORMAT) if kind.has_views else ())]


def figures(rollout: Rollout) -> dict[str, Any]:
    """What is kept of a rollout, as JSON; a missing number is null."""
    assert rollout.trace is not None, rollout.reason
    columns = {
        name: [
            None if np.isnan(v) else float(f"{v:.{DIGITS}g}")
            for v in values[::EVERY].astype(float).tolist()
        ]
        for name, values in sorted(rollout.trace.columns.items())
        if name != "policy_time_s"
    }
    return {"outcome": str(rollout.outcome), "steps": len(rollout.trace), "columns": columns}


def moved(expected: dict[str, Any], found: dict[str, Any], tolerance: float) -> list[str]:
    """What differs, in words."""
    kinds = [
        f"{k} {expected[k]} -> {found[k]}" for k in ("outcome", "steps") if expected[k] != found[k]
    ]
    before, now = expected["columns"], found["columns"]
    kinds += [f"column {name} came or went" for name in sorted(before.keys() ^ now.keys())]
    if kinds:
        return kinds
    far = {}
    for name in before:
        a, b = np.array(before[name], float), np.array(now[name], float)
        if not np.allclose(b, a, rtol=1e-9, atol=tolerance, equal_nan=True):
            far[name] = float(np.abs(np.nan_to_num(a) - np.nan_to_num(b)).max())
    return (
        [f"{len(far)} columns, {max(far, key=far.__getitem__)} by up to {max(far.values()):.2g}"]
        if far
        else []
    )


def test_every_simulator_is_held() -> None:
    assert set(json.loads(GOLDEN.read_text())) == set(ROLLOUTS) == set(SIMULATORS)


@pytest.mark.parametrize("simulator", ROLLOUTS)
def test_a_simulator_drives_as_its_version_always_did(simulator: str, tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text())[simulator]
    if golden["made_from"] != made_from(simulator):
        lacks = f"has no golden figures, only {golden['made_from']}"
        pytest.fail(f"{simulator} {made_from(simulator)} {lacks}: {REMEDY}")
    assert golden["rollouts"].keys() == ROLLOUTS[simulator].keys()
    different = {}
    for name, (rollout, tolerance) in ROLLOUTS[simulator].items():
        if kinds := moved(golden["rollouts"][name], figures(rollout(tmp_path)), tolerance):
            different[name] = kinds
    if different:
        version = SIMULATORS[simulator].version
        pytest.fail(
            f"rollouts of {simulator} {version} moved: {different}. Either this is a "
            "bug, or the simulator changed: raise its version in suites/simulators.py (the "
            "procedural world's are SOURCE and FORMAT) and " + REMEDY
        )


if __name__ == "__main__":
    kept = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    for each, rollouts in ROLLOUTS.items():
        if kept.get(each, {}).get("made_from") != made_from(each):
            with TemporaryDirectory() as root:
                driven = {
                    name: figures(rollout(Path(root))) for name, (rollout, _) in rollouts.items()
                }
            kept[each] = {"made_from": made_from(each), "rollouts": driven}
    GOLDEN.write_text(json.dumps(kept, separators=(",", ":")).replace("},", "},\n") + "\n")
