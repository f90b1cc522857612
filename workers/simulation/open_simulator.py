"""The one literal registry of simulators, each imported only when it is opened."""

import importlib
from pathlib import Path
from typing import Any

from suites.errors import Finding, MachineError
from suites.rollout import SimulatorSpec
from suites.simulators import SIMULATORS
from workers.simulation.simulator import Simulator

FACTORIES: dict[str, tuple[str, str]] = {
    "reprojection": ("workers.simulation.views.reprojection", "open_simulator"),
    "rendered": ("workers.simulation.views.rendered", "open_simulator"),
    "tinyphysics": ("workers.simulation.tinyphysics.lockstep", "TinyPhysics"),
}
"""Name to module and to what in it is called with (segments_root, parameters, auxiliary)."""


def open_simulator(
    spec: SimulatorSpec, segments_root: Path, auxiliary: dict[str, Path]
) -> Simulator[Any]:
    """A simulator over the stored segments. auxiliary: role to file of the models that it needs.

    Raises SubmitterError for parameters that it does not know, MachineError where this machine has
    another version.
    """
    here = SIMULATORS[spec.name].version
    if spec.version != here:
        problem = f"version {spec.version} was asked for, this worker has {here}"
        finding = Finding("simulator.version", problem, "update")
        raise MachineError(f"{spec.name} is of another version here", (finding,))
    module, factory = FACTORIES[spec.name]
    simulator: Simulator[Any] = getattr(importlib.import_module(module), factory)(
        segments_root, spec.parameters, auxiliary
    )
    return simulator
