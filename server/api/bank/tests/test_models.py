"""Models and blobs over HTTP: content-addressed, checked while they stream."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import onnx
import pytest
from fastapi.testclient import TestClient
from onnx import TensorProto, helper

from server.settings import Settings
from suites.identity import canonical_json
from suites.manifest import ActionSpec, Graph, Manifest, Tensor

pytestmark = pytest.mark.services
JSON = {"Content-Type": "application/json"}


def controller_graph() -> bytes:
    """action = target_lataccel."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["target"], ["action"])],
        "policy",
        [helper.make_tensor_value_info("target", TensorProto.FLOAT, ["batch", 1])],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, ["batch", 1])],
    )
    model: onnx.ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    return bytes(model.SerializeToString())


def controller(data: bytes) -> Manifest:
    return Manifest(
        name="echo",
        kind="controller",
        rate_hz=10.0,
        graphs=(Graph(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data)),),
        inputs=(
            Tensor(name="target", dtype="float32", shape=("batch", 1), role="target_lataccel"),
        ),
        outputs=(Tensor(name="action", dtype="float32", shape=("batch", 1), role="action"),),
        action=ActionSpec(kind="steer", output="action"),
    )


def slug(answer: object) -> str:
    return str(answer.json()["type"]).partition("#")[2]  # type: ignore[attr-defined]


def test_a_model_is_uploaded_graph_first_and_may_be_uploaded_again(client: TestClient) -> None:
    data = controller_graph()
    manifest = controller(data)
    sha256 = manifest.graphs[0].sha256
    early = client.put(
        f"/v1/models/{manifest.digest}", content=canonical_json(manifest), headers=JSON
    )
    assert (early.status_code, slug(early)) == (409, "graphs-missing")
    assert client.head(f"/v1/blobs/{sha256}").status_code == 404
    for _ in range(2):
        stored = client.put(f"/v1/blobs/{sha256}", content=data)
        assert (stored.status_code, stored.json()) == (
            201,
            {"sha256": sha256, "size_bytes": len(data)},
        )
    assert client.head(f"/v1/blobs/{sha256}").status_code == 200
    assert client.get(f"/v1/blobs/{sha256}").content == data
    statuses = [
        client.put(
            f"/v1/models/{manifest.digest}", content=canonical_json(manifest), headers=JSON
        ).status_code
        for _ in "ab"
    ]
    assert statuses == [201, 200]
    model = client.get("/v1/models/echo").json()
    assert model["digest"] == manifest.digest
    assert client.get(f"/v1/models/{manifest.digest[:8]}").json() == model
    kinds = [
        event["kind"]
        for event in client.get("/v1/audit", params={"subject_id": manifest.digest}).json()["items"]
    ]
    assert kinds == ["model.registered"]


def test_a_graph_that_contradicts_the_manifest_is_refused_at_submission(client: TestClient) -> None:
    data = controller_graph()
    manifest = controller(data)
    wrong = replace(
        manifest,
        inputs=(
            Tensor(name="target", dtype="float32", shape=("batch", 7), role="target_lataccel"),
        ),
    )
    client.put(f"/v1/blobs/{manifest.graphs[0].sha256}", content=data)
    answer = client.put(f"/v1/models/{wrong.digest}", content=canonical_json(wrong), headers=JSON)
    assert (answer.status_code, slug(answer)) == (422, "invalid-submission")
    assert any("target" in error["where"] for error in answer.json()["errors"])
    assert client.get("/v1/models").json()["items"] == []


def test_bytes_under_a_wrong_digest_are_refused_and_nothing_remains(
    client: TestClient, settings: Settings
) -> None:
    announced = hashlib.sha256(b"announced").hexdigest()
    answer = client.put(f"/v1/blobs/{announced}", content=b"something else")
    assert (answer.status_code, slug(answer)) == (422, "digest-mismatch")
    assert hashlib.sha256(b"something else").hexdigest() in answer.json()["errors"][0]["problem"]
    assert client.head(f"/v1/blobs/{announced}").status_code == 404
    assert [path for path in settings.blobs.rglob("*") if path.is_file()] == []


def test_an_upload_that_is_too_large_is_refused_while_it_streams(
    client: TestClient, settings: Settings
) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(4):
            yield b"x" * 100_000

    sent = hashlib.sha256(b"x" * 400_000).hexdigest()
    answer = client.put(f"/v1/blobs/{sent}", content=endless())
    assert (answer.status_code, slug(answer)) == (413, "too-large")
    assert [path for path in settings.blobs.rglob("*") if path.is_file()] == []


def test_the_address_must_be_the_manifests_digest(client: TestClient) -> None:
    manifest = Manifest(name="log", kind="camera", adapter="builtin", builtin="log")
    answer = client.put(f"/v1/models/{'0' * 64}", content=canonical_json(manifest), headers=JSON)
    assert (answer.status_code, slug(answer)) == (422, "digest-mismatch")
    assert manifest.digest in answer.json()["errors"][0]["problem"]


def test_a_manifest_with_an_unknown_field_names_it(client: TestClient) -> None:
    body = {"name": "log", "kind": "camera", "adaptor": "builtin"}
    answer = client.put(f"/v1/models/{'0' * 64}", json=body)
    assert (answer.status_code, slug(answer)) == (422, "invalid-request")
    assert [error["where"] for error in answer.json()["errors"]] == ["body.adaptor"]


def test_a_name_is_its_newest_model_and_a_short_digest_must_be_unique(
    client: TestClient, push: Callable[..., str]
) -> None:
    push("same", rate_hz=10.0)
    newest = push("same", rate_hz=20.0)
    assert client.get("/v1/models/same").json()["digest"] == newest
    answer = client.get("/v1/models/nobody")
    assert (answer.status_code, slug(answer)) == (404, "not-found")


def test_lists_of_models_are_paged_without_gaps(
    client: TestClient, push: Callable[..., str]
) -> None:
    pushed = [push(f"model-{i}") for i in range(5)]
    first = client.get("/v1/models", params={"limit": 3}).json()
    push("in-between")
    rest = client.get("/v1/models", params={"limit": 3, "cursor": first["next"]}).json()
    assert [m["digest"] for m in first["items"] + rest["items"]] == pushed[::-1]
    assert rest["next"] is None
