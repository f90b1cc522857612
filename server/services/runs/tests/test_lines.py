"""Twenty checkpoints of one line are twenty tries, and each run says which it is."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

pytestmark = pytest.mark.services
Submit = Callable[..., Any]


@pytest.fixture
def tried(submit: Submit, push: Callable[..., str]) -> Callable[..., tuple[str, int]]:
    """tried("one", branch="x"): line and tries of a submission of that model."""

    def submitted(model: str, suite: str = "highway", **source: str) -> tuple[str, int]:
        push(model)
        run = submit(candidate=model, suite=suite, source=source).json()
        return run["line"], run["tries"]

    return submitted


def test_checkpoints_of_a_branch_are_counted(tried: Callable[..., tuple[str, int]]) -> None:
    assert tried("one", branch="steer") == ("branch steer", 1)
    assert tried("two", branch="steer", pull_request="17") == ("branch steer", 2)
    assert tried("three", branch="brake") == ("branch brake", 1)
    assert tried("four", pull_request="17") == ("pull request 17", 1)
    assert tried("five", pull_request="17") == ("pull request 17", 2)


def test_without_a_word_of_ci_the_models_name_is_its_line(
    submit: Submit, push: Callable[..., str]
) -> None:
    push("one", rate_hz=10.0)
    first = submit(candidate="one").json()
    second = submit(candidate=push("one", rate_hz=5.0)).json()
    assert first["candidate"]["digest"] != second["candidate"]["digest"]
    assert (first["line"], first["tries"]) == ("model one", 1)
    assert (second["line"], second["tries"]) == ("model one", 2)


def test_another_version_of_the_suite_is_another_try_and_another_suite_is_not(
    tried: Callable[..., tuple[str, int]], client: TestClient, suite_toml: str, suite: str
) -> None:
    tried("one", branch="x")
    client.post("/v1/suites", json={"toml": suite_toml.replace("highway", "aside", 1)})
    assert tried("one", "aside", branch="x")[1] == 1
    client.post("/v1/suites", json={"toml": f"{suite_toml}margin = 0.5\n"})
    assert tried("one", branch="x")[1] == 2


def test_the_same_candidate_again_is_no_other_try(submit: Submit, client: TestClient) -> None:
    first = submit().json()
    client.post(f"/v1/runs/{first['id']}/cancel")
    again = submit().json()
    assert (again["id"] != first["id"], again["tries"]) == (True, 1)


def test_a_later_try_does_not_count_for_an_earlier_run(
    submit: Submit, push: Callable[..., str], client: TestClient
) -> None:
    push("second")
    source = {"branch": "x"}
    first = submit(source=source).json()
    assert submit(candidate="second", source=source).json()["tries"] == 2
    assert client.get(f"/v1/runs/{first['id']}").json()["tries"] == 1
