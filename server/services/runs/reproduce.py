"""The shell command that drives a rollout again, without the service."""

import json
import math
import shlex
from typing import Any

from suites.rollout import ExecutionClass
from suites.simulators import execution_name


def reproduce(key: dict[str, Any], model: str) -> str:
    """`redrive replay ...` for a DriveKey (as JSON) of the model of that name."""
    scenario, offset = key["scenario"], key["scenario"]["offset"]
    simulator = key["simulator"]
    words = [
        "redrive",
        "replay",
        scenario["segment_id"],
        "--model",
        model,
        "--simulator",
        simulator["name"],
    ]
    for name, value in sorted(simulator["parameters"].items()):
        words += ["--parameter", f"{name}={json.dumps(value)}"]
    blobs = '"${REDRIVE_DATA:-.redrive}/blobs'
    models = "".join(
        f' --simulator-model {blobs}/{sha256[:2]}/{sha256}"'
        for sha256 in simulator["auxiliary"].values()
    )
    words += ["--start", repr(scenario["start_s"]), "--end", repr(scenario["end_s"])]
    if offset["lateral_m"]:
        words += ["--lateral", repr(offset["lateral_m"])]
    if offset["longitudinal_m"]:
        words += ["--longitudinal", repr(offset["longitudinal_m"])]
    if offset["heading_rad"]:
        words += ["--heading", repr(math.degrees(offset["heading_rad"]))]
    noise = {name: value for name, value in scenario["noise"].items() if value}
    if noise:
        words += ["--noise", json.dumps(noise)]
    if key["repeat"]:
        words += ["--seed", str(key["repeat"])]
    return shlex.join(words + execution_words(key["execution"])) + models


def execution_words(*executions: dict[str, Any]) -> list[str]:
    """`--execution NAME` for a run or rollout of these execution classes (as JSON); nothing where the default does it."""
    names = [execution_name(ExecutionClass(**execution)) for execution in executions]
    return next((["--execution", name] for name in names if name is not None), [])
