"""docker-compose.yml and the Dockerfile, checked without a container engine."""

import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
from ruamel.yaml import YAML

from cli.main import COMMANDS, build
from cli.supervision.healthy import PARTS

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = {name: service for name, service in SERVICES.items() if "build" in service}
STAGES: dict[str, str] = dict(
    re.findall(
        r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM|\Z)", (ROOT / "Dockerfile").read_text(), re.M | re.S
    )
)
PARENTS: dict[str, str] = {
    name: parent
    for parent, name in re.findall(r"^FROM (\S+) AS (\S+)", (ROOT / "Dockerfile").read_text(), re.M)
}


def words_of(instruction: str, stage: str) -> list[str]:
    """The exec form that follows CMD in a stage."""
    found = re.search(rf"{instruction} (\[.*\])$", STAGES[stage], re.M)
    return list(YAML(typ="safe").load(found[1])) if found else []


def lineage(stage: str) -> str:
    """The text of a stage and of those that it builds on."""
    return (lineage(PARENTS[stage]) if PARENTS.get(stage) in STAGES else "") + STAGES[stage]


COMMAND_LINES = [
    *(service["command"] for service in OWN.values() if "command" in service),
    *(words for stage in STAGES for words in [words_of("CMD", stage)] if words),
]


def test_compose_file_is_valid() -> None:
    words = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        "docker-compose.yml",
    ]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("words", COMMAND_LINES, ids=shlex.join)
def test_every_command_exists(words: list[str]) -> None:
    match words:
        case ["redrive", name, *arguments]:
            assert name in COMMANDS
            group = typer.main.get_command(build(name))
            options = {flag for parameter in group.commands[name].params for flag in parameter.opts}  # type: ignore[attr-defined]
            assert {word for word in arguments if word.startswith("-")} <= options
        case ["python", "-m", "cli.supervision.healthy", part]:
            assert part in PARTS
        case ["python", "-m", module]:
            assert importlib.util.find_spec(module) is not None
        case ["uvicorn", target, *_]:
            module, _, attribute = target.partition(":")
            spec = importlib.util.find_spec(module)
            assert spec is not None
            assert spec.origin is not None
            assert re.search(rf"\b{attribute}\b", Path(spec.origin).read_text())
        case _:
            pytest.fail(f"nobody knows the command {words}")


def test_services_are_those_of_the_installation() -> None:
    assert set(SERVICES) == {
        "server",
        "coordinator",
        "worker",
        "worker-gpu",
        "postgres",
        "redis",
        "migrate",
    }
    assert "replicas" not in SERVICES["coordinator"].get("deploy", {}), "one process decides"


def test_targets_are_stages_of_the_dockerfile_and_run_as_an_ordinary_user() -> None:
    for service in OWN.values():
        users = re.findall(r"^USER (\S+)", lineage(service["build"]["target"]), re.M)
        assert users[-1] == "redrive"


def test_every_service_has_a_health_check_or_says_that_it_has_none() -> None:
    for name, service in SERVICES.items():
        in_image = "build" in service and "HEALTHCHECK" in lineage(service["build"]["target"])
        assert "healthcheck" in service or in_image, name


def test_nothing_starts_before_the_schema_is_there() -> None:
    for name in OWN.keys() - {"migrate"}:
        conditions = {
            needed: value["condition"] for needed, value in OWN[name]["depends_on"].items()
        }
        assert conditions == {
            "postgres": "service_healthy",
            "redis": "service_healthy",
            "migrate": "service_completed_successfully",
        }


def test_queued_messages_survive_a_restart_and_are_never_evicted() -> None:
    words = shlex.join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in words
    assert "--maxmemory-policy noeviction" in words
    assert any(volume.endswith(":/data") for volume in SERVICES["redis"]["volumes"])


def test_images_hold_every_package_and_nothing_that_is_ignored() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "packages"
    ]["find"]["include"]
    copied = {
        line.split()[1] for line in STAGES["base"].splitlines() if line.startswith("COPY ")
    } - {"pyproject.toml"}
    assert {package.rstrip("*") for package in packages} <= copied
    kept = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert copied <= kept
