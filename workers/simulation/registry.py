"""The one literal registry of simulators, each imported only when it is opened."""

import importlib
from pathlib import Path
from typing import Any

from suites.errors import Finding, MachineError
from suites.rollout import SimulatorSpec
from suites.simulators import SIMULATORS
from workers.simulation.protocol import Simulator

MODULES: dict[str, str] = {
    "reprojection": "workers.simulation.reprojection",
    "rendered": "workers.simulation.rendered",
    "tinyphysics": "workers.simulation.tinyphysics",
}
"""Name to a module with `open_simulator(spec, segments_root, auxiliary)`."""


def open_simulator(spec: SimulatorSpec, segments_root: Path, auxiliary: dict[str, Path]) -> Simulator[Any]:
    """A simulator over the stored segments. auxiliary: role to file of the models that the simulator itself needs.

    Raises SubmitterError for parameters that it does not know, MachineError where this machine has another version.
    """
    if spec.version != SIMULATORS[spec.name]:
        problem = f"version {spec.version} was asked for, this worker has {SIMULATORS[spec.name]}"
        raise MachineError(f"{spec.name} is of another version here", (Finding("simulator.version", problem, "update"),))
    simulator: Simulator[Any] = importlib.import_module(MODULES[spec.name]).open_simulator(spec, segments_root, auxiliary)
    return simulator
