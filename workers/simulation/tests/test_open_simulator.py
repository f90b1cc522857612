"""The registry of simulators' code, beside that of their kinds."""

from pathlib import Path

import pytest

from suites.errors import MachineError
from suites.simulators import SIMULATORS, SimulatorSpec
from workers.simulation.open_simulator import FACTORIES, open_simulator


def test_every_kind_has_its_code() -> None:
    assert FACTORIES.keys() == SIMULATORS.keys()


@pytest.mark.parametrize("name", [name for name, kind in SIMULATORS.items() if not kind.auxiliary])
def test_what_is_opened_is_what_was_asked_for(name: str, tmp_path: Path) -> None:
    spec = SimulatorSpec(name=name, version=SIMULATORS[name].version)  # type: ignore[arg-type]
    simulator = open_simulator(spec, tmp_path, {})
    assert (simulator.name, simulator.version) == (name, spec.version)


def test_another_version_is_left_to_another_machine(tmp_path: Path) -> None:
    spec = SimulatorSpec(name="reprojection", version="0")
    with pytest.raises(MachineError, match="another version"):
        open_simulator(spec, tmp_path, {})
