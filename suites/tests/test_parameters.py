"""What a simulator may be told by a suite."""

from typing import Any

import pytest

from suites.errors import SubmitterError
from suites.simulators import simulator_spec


@pytest.mark.parametrize(
    ("name", "parameters", "where"),
    [
        ("reprojection", {"lateral_bond_m": 4.0}, "simulator.parameters.lateral_bond_m"),
        ("rendered", {"feedback": "open"}, "simulator.parameters.feedback"),
        ("tinyphysics", {"dynamics": "0" * 64, "full": 1}, "simulator.parameters.full"),
        ("tinyphysics", {"dynamics": "0" * 64, "warp": "plane"}, "simulator.parameters.warp"),
        ("tinyphysics", {}, "simulator.parameters.dynamics"),
    ],
)
def test_a_simulator_is_asked_only_for_what_it_has(
    name: str, parameters: dict[str, Any], where: str
) -> None:
    with pytest.raises(SubmitterError) as refused:
        simulator_spec(name, parameters)
    assert [f.where for f in refused.value.findings] == [where]
