"""Runs on an execution class of choice: what workers offer, and what nobody can honour."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from server.db.bank_tables import ModelRow
from server.db.base import OwnerKind, Role
from server.db.queue_tables import DemandRow, DriveKeyRow, WorkerRow
from server.db.run_tables import RunRow
from server.services.queue import executions
from server.services.queue.demands import DemandOwner
from server.services.queue.shards import claimable, form_shards
from server.settings import Settings
from server.tests.driven import add_rollout
from suites.execution_classes import RUNTIMES
from suites.manifest import ActionSpec, Graph, Manifest, Tensor

Submit = Callable[..., Any]
pytestmark = pytest.mark.services
OPENVINO = {"runtime": "openvino", "version": "2026.1", "precision": "bfloat16", "device": "cpu"}


@pytest.fixture
def networks(sessions: sessionmaker[Session]) -> None:
    """Models `net` and `other_net`, each with a graph."""
    with sessions.begin() as session:
        for digit, name in (("a", "net"), ("b", "other_net")):
            model = Manifest(
                name=name,
                kind="camera",
                graphs=(Graph(sha256=digit * 64, size_bytes=9),),
                inputs=(Tensor(name="speed", dtype="float32", shape=("batch", 1), role="speed"),),
                outputs=(
                    Tensor(name="action", dtype="float32", shape=("batch", 1), role="action"),
                ),
                action=ActionSpec(kind="curvature", output="action"),
            )
            session.add(
                ModelRow(digest=model.digest, name=name, kind=model.kind, manifest=asdict(model))
            )


@pytest.fixture
def add_worker(sessions: sessionmaker[Session], settings: Settings) -> Callable[..., None]:
    """add_worker("w", {"openvino": "2026.1"}, device="cpu", places=1, up=True, lacks=()).

    It computes in every precision of these runtimes but those it `lacks`."""

    def add(
        name: str,
        versions: dict[str, str],
        *,
        device: str = "cpu",
        places: int = 1,
        up: bool = True,
        lacks: tuple[str, ...] = (),
    ) -> None:
        seen = func.now() - timedelta(seconds=0 if up else 2 * settings.lease_s)
        runtimes = {
            f"{r}/{p}": v
            for r, v in versions.items()
            for p in RUNTIMES[r].precisions
            if f"{r}/{p}" not in lacks
        }
        with sessions.begin() as session:
            session.add(
                WorkerRow(
                    name=name,
                    host="h",
                    device=device,
                    concurrency=places,
                    runtimes=runtimes,
                    seen=seen,
                )
            )

    return add


@pytest.fixture
def compare(submit: Submit, networks: None) -> Submit:
    """compare("openvino/bf16", **fields): the answer to `net` against `other_net`."""

    def compared(execution: str | None, **fields: Any) -> Any:
        return submit(
            **({"candidate": "net", "baseline": "other_net", "execution": execution} | fields)
        )

    return compared


def driven_on(sessions: sessionmaker[Session], run_id: str) -> list[tuple[Role, dict[str, Any]]]:
    with sessions() as session:
        asked = (
            select(DemandRow.role, DriveKeyRow.key)
            .join(DriveKeyRow, DriveKeyRow.digest == DemandRow.drive_key)
            .where(DemandRow.owner_id == run_id)
        )
        return [(role, key["execution"]) for role, key in session.execute(asked)]


def drive_everything(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        for key in session.scalars(select(DriveKeyRow.digest)).all():
            add_rollout(session, key)


def test_both_models_run_on_what_was_asked_for(
    compare: Submit,
    sessions: sessionmaker[Session],
    add_worker: Callable[..., None],
    client: TestClient,
) -> None:
    add_worker("w", {"onnxruntime": "1.2", "openvino": "2026.1"})
    answer = compare("openvino/bf16")
    assert answer.status_code == 201, answer.text
    run = answer.json()
    assert (run["candidate_execution"], run["baseline_execution"]) == (OPENVINO, OPENVINO)
    asked = driven_on(sessions, run["id"])
    assert len(asked) == 24
    assert all(execution == OPENVINO for _, execution in asked)
    page = client.get(f"/runs/{run['id']}", headers={"Accept": "text/html"}).text
    assert page.count("openvino 2026.1, bfloat16, cpu") == 2
    assert "--execution openvino/bfloat16/cpu" in page
    assert (
        "openvino 2026.1 in bfloat16 on cpu" in client.get(f"/v1/runs/{run['id']}/comment.md").text
    )


def test_a_gpu_is_served_by_its_own_queue(
    compare: Submit, sessions: sessionmaker[Session], add_worker: Callable[..., None]
) -> None:
    add_worker("small", {"onnxruntime": "1.2"})
    add_worker("big", {"onnxruntime": "1.3"}, device="cuda")
    run = compare("onnxruntime/f32/cuda").json()
    assert run["baseline_execution"] == {
        "runtime": "onnxruntime",
        "version": "1.3",
        "precision": "float32",
        "device": "cuda",
    }
    with sessions.begin() as session:
        formed = form_shards(session, DemandOwner(OwnerKind.RUN, run["id"]), (0, 12), 4, 5)
        assert claimable(session) == {"cuda": formed}


@pytest.mark.parametrize(
    "first, then", [(None, "openvino/bf16"), ("openvino/bf16", None), ("openvino", "openvino/bf16")]
)
def test_rollouts_of_another_kind_are_never_reused(
    first: str | None,
    then: str | None,
    compare: Submit,
    sessions: sessionmaker[Session],
    add_worker: Callable[..., None],
) -> None:
    add_worker("w", {"openvino": "2026.1"})
    one = compare(first).json()
    drive_everything(sessions)
    two = compare(then).json()
    assert two["id"] != one["id"]
    assert (two["progress"]["done"], two["progress"]["total"]) == (0, 24)
    kinds = {str(execution) for _, execution in driven_on(sessions, two["id"])}
    assert len(kinds) == 1
    assert not kinds & {str(execution) for _, execution in driven_on(sessions, one["id"])}
    again = compare(first, candidate="other_net", baseline="net").json()
    assert (again["progress"]["done"], again["progress"]["total"]) == (24, 24), (
        "of the same kind they are"
    )


def test_an_unchanged_resubmission_is_the_existing_run_of_its_kind(
    compare: Submit, sessions: sessionmaker[Session], add_worker: Callable[..., None]
) -> None:
    default = compare(None).json()["id"]
    assert compare("onnxruntime").json()["id"] == default, "the default, named"
    add_worker("w", {"openvino": "2026.1"})
    chosen = compare("openvino/bf16")
    again = compare("openvino/bfloat16/cpu")
    assert (chosen.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == chosen.json()["id"] != default
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(RunRow)) == 2


def test_one_key_is_not_for_two_kinds(compare: Submit, add_worker: Callable[..., None]) -> None:
    add_worker("w", {"openvino": "2026.1"})
    compare(None, key="one")
    answer = compare("openvino", key="one")
    assert (answer.status_code, answer.json()["type"].split("#")[1]) == (
        422,
        "idempotency-key-reused",
    )


def test_built_in_models_run_as_themselves(
    submit: Submit, networks: None, add_worker: Callable[..., None], sessions: sessionmaker[Session]
) -> None:
    add_worker("w", {"openvino": "2026.1"})
    run = submit(candidate="net", execution="openvino/bf16").json()
    assert (run["candidate_execution"], run["baseline_execution"]["runtime"]) == (
        OPENVINO,
        "builtin",
    )
    assert {(role, execution["runtime"]) for role, execution in driven_on(sessions, run["id"])} == {
        (Role.CANDIDATE, "openvino"),
        (Role.BASELINE, "builtin"),
    }


def test_the_version_that_most_places_offer_is_taken(
    compare: Submit, add_worker: Callable[..., None]
) -> None:
    add_worker("few", {"openvino": "2026.2"}, places=2)
    add_worker("many", {"openvino": "2026.1"}, places=4)
    add_worker("gone", {"openvino": "2025.9"}, places=99, up=False)
    add_worker("elsewhere", {"openvino": "2025.8"}, places=99, device="cuda")
    assert compare("openvino").json()["candidate_execution"]["version"] == "2026.1"


def test_what_no_worker_offers_is_refused_with_what_they_do(
    compare: Submit, sessions: sessionmaker[Session], add_worker: Callable[..., None]
) -> None:
    add_worker("w", {"onnxruntime": "1.2"})
    add_worker("gone", {"openvino": "2026.1"}, up=False)
    for asked, package in (("openvino", "openvino"), ("onnxruntime/f32/cuda", "onnxruntime-gpu")):
        answer = compare(asked, key="one")
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["where"] == "execution"
        assert error["problem"] == "the workers that are up offer onnxruntime/float32 1.2 on cpu"
        assert f"install {package} beside `redrive worker --device" in error["remedy"]
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(RunRow)) == 0
    assert compare(None, key="one").status_code == 201, (
        "the key is free, and the default asks nobody"
    )


def test_a_precision_that_no_cpu_has_is_refused_and_one_that_some_have_is_theirs(
    compare: Submit, add_worker: Callable[..., None]
) -> None:
    add_worker("plain", {"openvino": "2026.2"}, places=9, lacks=("openvino/bfloat16",))
    answer = compare("openvino/bf16", key="one")
    assert answer.status_code == 422
    assert "no worker offers openvino in bfloat16 on cpu" in answer.json()["detail"]
    (error,) = answer.json()["errors"]
    assert error["problem"] == "the workers that are up offer openvino/float32 2026.2 on cpu"
    assert error["remedy"].startswith(
        "start `redrive worker` on a machine whose cpu computes in bfloat16"
    )
    assert compare("openvino", key="one").json()["baseline_execution"]["version"] == "2026.2"
    add_worker("able", {"openvino": "2026.1"})
    assert compare("openvino/bf16").json()["baseline_execution"] == OPENVINO, (
        "the version of those that can"
    )


def test_before_any_worker_is_up_the_service_goes_by_its_own(
    compare: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executions, "installed_runtimes", lambda: {"openvino": "2026.1"})
    assert compare("openvino/bf16").json()["baseline_execution"] == OPENVINO
    monkeypatch.setattr(executions, "installed_runtimes", dict)
    answer = compare("openvino")
    assert answer.json()["errors"][0]["problem"] == "no worker is up that says what it offers"


@pytest.mark.parametrize(
    "asked, where, remedy",
    [
        ("tensorrt", "execution", "the runtime is one of onnxruntime, openvino, tinygrad"),
        ("openvino/int8", "execution.precision", "one of float32, bfloat16"),
        ("onnxruntime/f32/tpu", "execution.device", "one of cpu, cuda"),
        (
            "tinygrad",
            "execution",
            "one of onnxruntime, openvino; "
            "or `redrive replay --no-sandbox`, which trusts the model",
        ),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(
    compare: Submit, asked: str, where: str, remedy: str
) -> None:
    answer = compare(asked)
    assert (answer.status_code, answer.json()["type"].split("#")[1]) == (422, "invalid-submission")
    (error,) = answer.json()["errors"]
    assert (error["where"], error["remedy"]) == (where, remedy)
