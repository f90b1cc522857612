"""The shell command that drives a rollout again, without the service."""

import json
import math
import shlex
from typing import Any

from suites.execution_classes import execution_name
from suites.rollout import ExecutionClass


def reproduce(key: dict[str, Any], model: str) -> str:
    """`redrive replay ...` for a DriveKey (as JSON) of the model of that name."""
    scenario = key["scenario"]
    offset = scenario["offset"]
    simulator = key["simulator"]
    words = ["redrive", "replay", scenario["segment_id"], "--model", model]
    words += ["--simulator", simulator["name"]]
    for name, value in sorted(simulator["parameters"].items()):
        words += ["--parameter", f"{name}={json.dumps(value)}"]
    blobs = '"${REDRIVE_DATA:-.redrive}/blobs'
    auxiliary = simulator["auxiliary"].values()
    models = "".join(f' --simulator-model {blobs}/{sha[:2]}/{sha}"' for sha in auxiliary)
    words += ["--start", repr(scenario["start_s"]), "--end", repr(scenario["end_s"])]
    displaced = {
        "--lateral": offset["lateral_m"],
        "--longitudinal": offset["longitudinal_m"],
        "--heading": math.degrees(offset["heading_rad"]),
    }
    for flag, value in displaced.items():
        if value:
            words += [flag, repr(value)]
    noise = {name: value for name, value in scenario["noise"].items() if value}
    if noise:
        words += ["--noise", json.dumps(noise)]
    if key["repeat"]:
        words += ["--seed", str(key["repeat"])]
    return shlex.join(words + execution_words(key["execution"])) + models


def execution_words(*executions: dict[str, Any]) -> list[str]:
    """`--execution NAME` for execution classes (as JSON); nothing where the default does it."""
    names = [execution_name(ExecutionClass(**execution)) for execution in executions]
    return next((["--execution", name] for name in names if name is not None), [])
