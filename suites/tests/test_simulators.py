"""Adding a simulator: its kind says all that suites, server, workers and cli ask about it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from suites.errors import SubmitterError
from suites.simulators import SIMULATORS, SimulatorName, default_simulator, simulator_spec

ROOT = Path(__file__).parents[2]
ALLOWED = {"suites/simulators.py"}


def telling_apart(source: str) -> Iterator[int]:
    """Lines that compare with a simulator's name, match it, or list the names in a type."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare | ast.match_case) or (
            isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal"
        ):
            inside = node.pattern if isinstance(node, ast.match_case) else node
            if any(isinstance(n, ast.Constant) and n.value in SIMULATORS for n in ast.walk(inside)):
                yield inside.lineno


def test_every_simulator_has_a_kind() -> None:
    assert get_args(SimulatorName) == tuple(SIMULATORS)


def test_no_other_file_tells_simulators_apart() -> None:
    files = [
        path
        for folder in ("suites", "server", "workers", "cli", "web")
        for path in (ROOT / folder).rglob("*.py")
        if "tests" not in path.parts
    ]
    found = {
        str(path.relative_to(ROOT)): lines
        for path in files
        if (lines := list(telling_apart(path.read_text())))
    }
    assert found.keys() == ALLOWED


def test_a_comparison_is_found() -> None:
    source = 'def size(name):\n    return 64 if name == "tinyphysics" else 4\n'
    assert list(telling_apart(source)) == [2]


@pytest.mark.parametrize(
    ("models", "simulator"), [("camera", "reprojection"), ("controller", "tinyphysics")]
)
def test_each_kind_of_model_has_a_simulator(models: str, simulator: str) -> None:
    assert default_simulator(models) == simulator
    assert SIMULATORS[simulator].models == models


def test_an_unknown_simulator_is_answered_with_those_there_are() -> None:
    with pytest.raises(SubmitterError) as refused:
        simulator_spec("carla", {})
    assert refused.value.findings[0].remedy == f"one of {', '.join(SIMULATORS)}"
