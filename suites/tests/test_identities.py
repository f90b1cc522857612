"""Identities that are stored for good: digests, seeds and names of fixed content never change.

Whoever moves one loses every stored rollout, model or verdict that carries it.
`python -m suites.tests.test_identities` stores those of today.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from suites.conditions import result_name
from suites.definition.resolving import on_routes, resolve
from suites.definition.suite_schema import suite_version
from suites.definition.suite_toml import load_suite
from suites.identity import canonical_json, digest, seed_for
from suites.manifest import load_manifest
from suites.rollout import DriveKey, ExecutionClass, Noise, Offset, Scenario, SimulatorSpec
from suites.segment import Camera, Facts, SegmentMeta, Vehicle
from suites.tests.stored import check, write

STORED = Path(__file__).with_name("snapshots") / "identities.json"
ROOT = Path(__file__).parents[2]
CURATED = (
    "comfort",
    "exit_splitting",
    "hard_brake",
    "lane_centre_convergence",
    "lane_change",
    "latency",
    "night",
    "overall",
    "real_route",
    "smoke",
)
MODELS = ("baseline", "cloned", "cloned_b", "feed_forward", "pid", "twin", "twin_b", "zero")
TAGS = ((), ("night",), ("lane_change", "highway"), ("exit",), ("curve", "hill"))
MIXED = """
name = "mixed"
kind = "overall"
description = "Überall: 3,5 m/s²"
offsets = [{}, { lateral_m = 0.5, heading_rad = -0.02 }, { longitudinal_m = 3.0 }]
repeats = 2
noise = { pose_m = 0.1, delay_s = 0.05 }
order_seed = 9
[simulator]
parameters = { lateral_bound_m = 3.0, indicator = "none" }
[select]
tags_any = ["curve", "night"]
mean_speed_mps = { max = 25.0 }
max_routes = 7
[[gates]]
metric = "lateral_error_p95_m"
estimand = "mean"
winsor_cap = 2.5
[[gates]]
metric = "lateral_jerk_ms"
critical = false
fail_fast = true
[[cases]]
name = "back"
segment = "world-0-003/1"
start_s = 2.0
repeats = 3
noise = { image = 4.0 }
must_pass_repeats = 2
[[cases.conditions]]
share = 0.95
always = { signal = "speed_mps", below = 30.5 }
"""
ENRICHED = """
name = "rare"
kind = "overall"
offsets = [{}, { lateral_m = 0.6 }, { lateral_m = 1.2 }]
offset_weights = [0.5, 0.4, 0.1]
order_seed = 1
[select]
[enriched]
share = 0.2
offset_factors = [0.5, 1, 5]
tag_factors = { curve = 5 }
"""
CONDITIONS: dict[str, dict[str, Any]] = {
    "slow": {"name": "slow", "always": {"signal": "speed_mps", "below": 30.0}},
    "unnamed": {"judge": "must_not", "eventually": {"signal": "acceleration_mps2", "below": -3.5}},
    "whole": {"always": {"signal": "speed_mps", "below": 30}},
    "umlaut": {"name": "nie über 0,5 m", "always": {"signal": "lateral_offset_m", "below": 0.5}},
    "nested": {
        "from_s": 1.5,
        "to_s": 8.0,
        "when": {"not": {"signal": "lead_distance_m", "below": 20.0}},
        "eventually": {
            "any": [{"polygon": [[0, 0], [9.5, 0], [0, 9]]}, {"x_m": 1, "y_m": 2, "radius_m": 3}]
        },
    },
}


def segment(segment_id: str, at: int, duration_s: float = 12.0, **more: Any) -> SegmentMeta:
    size = {"width": 64, "height": 32}
    camera = Camera(**size, fx=50, fy=50, cx=32, cy=16, forward_m=1.4, left_m=0, up_m=1.3)
    return SegmentMeta(
        segment_id=segment_id,
        route=segment_id.split("/")[0],
        source="test/1",
        kind="camera",
        frame_count=int(20 * duration_s),
        rate_hz=20.0,
        duration_s=duration_s,
        camera=camera if at % 2 else None,
        vehicle=Vehicle(wheelbase_m=2.7 + at / 100),
        depth_source="exact" if at % 3 else None,
        tags=TAGS[at % len(TAGS)],
        facts=Facts(mean_speed_mps=10.0 + at % 20, time_of_day="day" if at % 4 else None),
        files={"log.npz": f"{at:064x}"},
        origin={"world": {"seed": 0, "at": at}},
        **more,
    )


WORLD = [segment(f"world-0-{i // 3:03}/{i % 3}", i) for i in range(60)]
REAL = segment("a2a0ccea32023010_2023-07-27--13-01-19/0", 3, 60.0, notes=("imported",))
SEGMENTS = [*WORLD, REAL]
PLAIN: dict[str, Any] = {
    "segment_id": "world-0-000/0",
    "segment_digest": "ab" * 32,
    "start_s": 1.0,
    "end_s": 11.0,
}
ONNX = ExecutionClass(runtime="onnxruntime", version="1.23.2")
BUILTIN = ExecutionClass(runtime="builtin", version="1", precision="float64")
REPROJECTION = SimulatorSpec(name="reprojection", version="2")


def drive_key(
    scenario: dict[str, Any] | None = None,
    simulator: SimulatorSpec = REPROJECTION,
    execution: ExecutionClass = ONNX,
    **more: Any,
) -> DriveKey:
    return DriveKey(
        model="cd" * 32,
        scenario=Scenario(**PLAIN | (scenario or {})),
        simulator=simulator,
        execution=execution,
        **more,
    )


KEYS: dict[str, DriveKey] = {
    "plain": drive_key(),
    "third repeat": drive_key(repeat=2),
    "beside the log": drive_key({"offset": Offset(lateral_m=-0.5, heading_rad=0.0174533)}),
    "ahead": drive_key({"offset": Offset(longitudinal_m=12.5)}),
    "noise": drive_key({"noise": Noise(pose_m=0.1, heading_rad=0.01, delay_s=0.05)}, repeat=1),
    "noise in the image": drive_key({"noise": Noise(image=4.0, curvature_gain=0.05)}),
    "another window": drive_key({"start_s": 0.25, "end_s": 3.1}),
    "another segment": drive_key({"segment_id": "straße/3", "segment_digest": "01" * 32}),
    "rendered": drive_key(simulator=SimulatorSpec(name="rendered", version="1")),
    "open loop": drive_key(
        simulator=SimulatorSpec(
            name="reprojection",
            version="2",
            parameters={"feedback": "log", "lateral_bound_m": 3.0, "indicator": "none"},
        )
    ),
    "tinyphysics": drive_key(
        simulator=SimulatorSpec(
            name="tinyphysics",
            version="1",
            parameters={"full": True},
            auxiliary={"dynamics": "ef" * 32},
        )
    ),
    "weak steering": drive_key(vehicle={"steer_ratio": 17.5, "max_torque_rate": 0.8}),
    "built in": drive_key(execution=BUILTIN),
    "openvino": drive_key(
        execution=ExecutionClass(runtime="openvino", version="2026.0", precision="bfloat16")
    ),
    "cuda": drive_key(
        execution=ExecutionClass(runtime="onnxruntime", version="1.23.2", device="cuda")
    ),
}


def versions() -> dict[str, Any]:
    """Suites resolved against the fixed segments."""
    suites = {name: load_suite(ROOT / "suites" / f"{name}.toml") for name in CURATED}
    suites |= {"mixed": load_suite(MIXED), "overall, 4 routes": on_routes(suites["overall"], 4)}
    found: dict[str, Any] = {}
    for name, suite in suites.items():
        version = resolve(suite, SEGMENTS)
        assert suite_version(json.loads(canonical_json(version))).digest == version.digest
        found[name] = {
            "suite": digest(suite),
            "version": version.digest,
            "planned": len(version.planned),
            "first": [p.case_id for p in version.planned[:4]],
            "metric_versions": version.metric_versions,
            "next version": resolve(suite, SEGMENTS, parent="12" * 32).digest,
            "cases": {case.name: digest(case) for case in suite.cases},
        }
    return found


def drawn() -> list[Any]:
    """What an enriched suite drives, with its weights."""
    version = resolve(load_suite(ENRICHED), SEGMENTS)
    pairs = zip(version.planned, version.natural_weights, strict=True)
    return [[planned.case_id, weight] for planned, weight in pairs]


def models() -> dict[str, Any]:
    manifests = {name: load_manifest(ROOT / "models" / name / "manifest.json") for name in MODELS}
    return {
        name: {"manifest": manifest.digest, "graphs": [graph.sha256 for graph in manifest.graphs]}
        for name, manifest in manifests.items()
    }


def keys() -> dict[str, Any]:
    return {
        name: {
            "drive_key": key.digest,
            "seed": key.seed,
            "group": key.group,
            "scenario": key.scenario.digest,
            "canonical": json.loads(canonical_json(asdict(key))),
        }
        for name, key in KEYS.items()
    }


def identities() -> dict[str, Any]:
    return {
        "suites": versions(),
        "enriched": drawn(),
        "models": models(),
        "drive_keys": keys(),
        "segments": {meta.segment_id: meta.digest for meta in (*WORLD[:6], REAL)},
        "conditions": {name: result_name(document) for name, document in CONDITIONS.items()},
        "seeds": {f"{mark}, {i}": seed_for(mark * 64, i) for mark in "0f" for i in range(3)},
        "bytes": digest(b"redrive"),
    }


def test_identities_are_the_stored_ones() -> None:
    check(STORED, identities(), "suites.tests.test_identities")


if __name__ == "__main__":
    write(STORED, identities())
