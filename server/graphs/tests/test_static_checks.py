"""Static checks: each kind of bad model is refused, with what was expected and what to do."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from server.graphs import safety as graph_safety
from server.graphs import wire as graph_wire
from server.graphs.static_checks import check_graphs
from suites.errors import Finding, SubmitterError
from suites.identity import digest
from suites.manifest import (
    ActionSpec,
    Graph,
    History,
    Manifest,
    StatePair,
    Tensor,
    VirtualCamera,
    load_manifest,
)

CAMERA = VirtualCamera(width=16, height=8, fx=12.0, fy=12.0, cx=8.0, cy=4.0)
FRAMES = Tensor(name="img", dtype="uint8", shape=("batch", 3, 8, 16), role="frames")
SPEED = Tensor(name="speed", dtype="float32", shape=("batch", 1), role="speed")
STATE_IN = Tensor(name="h", dtype="float32", shape=("batch", 4), role="state")
STATE_OUT = Tensor(name="h_out", dtype="float32", shape=("batch", 4), role="state")
ACTION = Tensor(name="action", dtype="float32", shape=("batch", 1), role="action")

Check = Callable[..., tuple[Finding, ...]]


def model(opset: int = 17) -> ModelProto:
    """action = mean(img) + speed + mean(h); h_out = h."""
    nodes = [
        helper.make_node("Cast", ["img"], ["float_img"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float_img"], ["grey"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["grey", "column"], ["grey_column"]),
        helper.make_node("Add", ["grey_column", "speed"], ["sum"]),
        helper.make_node("ReduceMean", ["h"], ["h_mean"], axes=[1], keepdims=1),
        helper.make_node("Add", ["sum", "h_mean"], ["action"]),
        helper.make_node("Identity", ["h"], ["h_out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "policy",
        [value(FRAMES), value(SPEED), value(STATE_IN)],
        [value(ACTION), value(STATE_OUT)],
        [numpy_helper.from_array(np.array([-1, 1]), "column")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def value(tensor: Tensor) -> onnx.ValueInfoProto:
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype))
    return helper.make_tensor_value_info(tensor.name, dtype, list(tensor.shape))


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """check(model or bytes, **changes of the manifest) -> the findings, empty when accepted."""

    def run(graph: ModelProto | bytes, **changes: Any) -> tuple[Finding, ...]:
        data = graph if isinstance(graph, bytes) else graph.SerializeToString()
        path = tmp_path / "model.onnx"
        path.write_bytes(data)
        stated: dict[str, Any] = {
            "name": "test",
            "kind": "camera",
            "graphs": (Graph(sha256=digest(data), size_bytes=len(data)),),
            "inputs": (FRAMES, SPEED, STATE_IN),
            "outputs": (ACTION, STATE_OUT),
            "states": (StatePair(input="h", output="h_out"),),
            "camera": CAMERA,
            "action": ActionSpec(kind="curvature", output="action"),
        }
        manifest = Manifest(**(stated | changes))
        findings: tuple[Finding, ...] = ()
        try:
            check_graphs(manifest, {graph.sha256: path for graph in manifest.graphs})
        except SubmitterError as error:
            findings = error.findings
        assert all(finding.remedy for finding in findings)
        return findings

    return run


def test_a_sound_model_is_accepted(check: Check) -> None:
    assert check(model()) == ()


def test_the_newest_opset_is_one_that_the_runtime_reads() -> None:
    import onnxruntime as ort

    newest = graph_safety.OPSETS[""][1]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["speed"], ["action"])], "g", [value(SPEED)], [value(ACTION)]
    )
    imports = [helper.make_opsetid("", newest)]
    proto = helper.make_model(graph, opset_imports=imports, ir_version=graph_safety.MAX_IR_VERSION)
    ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])


def test_a_wrong_input_shape_is_refused_with_both_shapes(check: Check) -> None:
    wrong = model()
    wrong.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 9
    (finding,) = check(wrong)
    assert finding.where == "graphs.policy.inputs.img.shape"
    assert finding.problem == "expected [batch, 3, 8, 16], found [batch, 3, 9, 16]"


def test_all_findings_come_at_once(check: Check) -> None:
    wrong = model()
    wrong.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    wrong.graph.input[1].name = "velocity"
    wrong.graph.output[0].name = "steer"
    problems = {finding.where: finding.problem for finding in check(wrong)}
    assert problems == {
        "graphs.policy.inputs.img.dtype": "expected uint8, found float32",
        "graphs.policy.inputs.speed": "expected input 'speed', found h, img, velocity",
        "graphs.policy.inputs.velocity": "the graph asks for it, the manifest does not state it",
        "graphs.policy.outputs.action": "expected output 'action', found h_out, steer",
    }


def test_a_fixed_batch_must_be_stated(check: Check) -> None:
    fixed = model()
    for stated in (*fixed.graph.input, *fixed.graph.output):
        stated.type.tensor_type.shape.dim[0].dim_value = 1
    assert {finding.problem.split(", found")[0] for finding in check(fixed)} >= {
        "expected [batch, 3, 8, 16]"
    }
    one = {
        "inputs": tuple(replace(t, shape=(1, *t.shape[1:])) for t in (FRAMES, SPEED, STATE_IN)),
        "outputs": tuple(replace(t, shape=(1, *t.shape[1:])) for t in (ACTION, STATE_OUT)),
    }
    assert check(fixed, **one) == ()
    assert check(model(), **one) != ()


@pytest.mark.parametrize("place", ["initializer", "constant", "subgraph", "sparse", "function"])
def test_external_data_is_refused_wherever_it_hides(check: Check, place: str) -> None:
    proto = model()
    outside = TensorProto(
        name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL
    )
    outside.external_data.add(key="location", value="/etc/passwd")
    if place == "initializer":
        proto.graph.initializer.append(outside)
    elif place == "constant":
        proto.graph.node.append(helper.make_node("Constant", [], ["c"], value=outside))
    elif place == "subgraph":
        branch = helper.make_graph([], "b", [], [], [outside])
        proto.graph.node.append(
            helper.make_node("If", ["yes"], ["c"], then_branch=branch, else_branch=branch)
        )
    elif place == "sparse":
        proto.graph.sparse_initializer.add().values.CopyFrom(outside)
    else:
        constant = helper.make_node("Constant", [], ["c"], value=outside)
        proto.functions.append(
            helper.make_function("local", "f", [], ["c"], [constant], proto.opset_import)
        )
    findings = check(proto)
    assert findings
    assert {finding.problem for finding in findings} == {
        "expected all data inside the file, found external data"
    }


@pytest.mark.parametrize(
    "domain, operator, problem",
    [
        (
            "my.ops",
            "Backdoor",
            "expected an operator of ai.onnx or ai.onnx.ml, found domain 'my.ops'",
        ),
        (
            "com.microsoft",
            "FusedMatMul",
            "expected an operator of ai.onnx or ai.onnx.ml, found domain 'com.microsoft'",
        ),
        ("com.microsoft", "EPContext", "a compiled blob of one execution provider is not run"),
        ("", "Backdoor", "no such operator in opset 17 of ai.onnx"),
        ("", "Gelu", "no such operator in opset 17 of ai.onnx"),
    ],
)
def test_only_standard_operators_run(
    check: Check, domain: str, operator: str, problem: str
) -> None:
    proto = model()
    proto.graph.node.append(helper.make_node(operator, ["speed"], ["extra"], domain=domain))
    (finding,) = check(proto)
    assert (finding.where, finding.problem) == (f"graphs.policy.node[7] {operator}", problem)


@pytest.mark.parametrize(
    "node", [("RandomNormalLike", ["speed"]), ("Dropout", ["speed", "", "training"])]
)
def test_a_model_draws_no_random_numbers(check: Check, node: tuple[str, list[str]]) -> None:
    proto = model()
    proto.graph.node.append(helper.make_node(*node, ["extra"]))
    (finding,) = check(proto)
    assert (finding.where, "random numbers" in finding.problem) == (
        f"graphs.policy.node[7] {node[0]}",
        True,
    )


def test_dropout_without_training_is_no_randomness(check: Check) -> None:
    proto = model()
    proto.graph.node.append(helper.make_node("Dropout", ["speed"], ["extra"]))
    assert check(proto) == ()


@pytest.mark.parametrize("opset", [8, 27])
def test_opsets_outside_the_range_are_refused(check: Check, opset: int) -> None:
    assert f"expected opset 9 to 26 of ai.onnx, found {opset}" in {
        finding.problem for finding in check(model(opset))
    }


def test_functions_that_double_at_each_level_are_counted(check: Check) -> None:
    proto = model()
    proto.opset_import.append(helper.make_opsetid("local", 1))
    imports = proto.opset_import
    for level in range(30):
        operator, domain = (f"f{level - 1}", "local") if level else ("Neg", "")
        twice = [
            helper.make_node(operator, ["x"], ["y"], domain=domain),
            helper.make_node(operator, ["y"], ["z"], domain=domain),
        ]
        proto.functions.append(
            helper.make_function("local", f"f{level}", ["x"], ["z"], twice, imports)
        )
    proto.graph.node.append(helper.make_node("f29", ["speed"], ["extra"], domain="local"))
    (finding,) = check(proto)
    assert "nodes with functions inlined" in finding.problem
    proto.functions[0].node[0].op_type, proto.functions[0].node[0].domain = "f29", "local"
    (finding,) = check(proto)
    assert "calls itself" in finding.problem


def test_deep_nesting_is_refused(check: Check) -> None:
    branch = helper.make_graph([], "leaf", [], [])
    for _ in range(graph_safety.MAX_NESTING + 1):
        branch = helper.make_graph(
            [helper.make_node("If", ["yes"], ["c"], then_branch=branch)], "b", [], []
        )
    proto = model()
    proto.graph.node.append(helper.make_node("If", ["yes"], ["c"], then_branch=branch))
    assert any("nested" in finding.problem for finding in check(proto))


@pytest.mark.parametrize(
    "data, problem",
    [
        (b"not a model at all", "not an ONNX file"),
        (model().SerializeToString()[:-40], "truncated"),
        (b"\x3a\x80\x89\x7a" + b"\x0a\x00" * 1_000_000, "more than 1,000,000 fields"),
        (b"\x3a\x85\x80\x80\x08" + b"\x2a\x80\x80\x80\x08" + b"\x3a" * 64, "runs past its end"),
    ],
)
def test_hostile_files_are_refused_before_they_are_parsed(
    check: Check, data: bytes, problem: str
) -> None:
    (finding,) = check(data)
    assert problem in finding.problem


def test_packed_integers_that_grow_in_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    proto = model()
    proto.graph.initializer.add(
        name="w", data_type=TensorProto.INT64, dims=[2000], int64_data=range(2000)
    )
    monkeypatch.setattr(graph_wire, "MAX_PACKED_BYTES", 1 << 10)
    with pytest.raises(graph_wire.MalformedError, match="packed integers"):
        graph_wire.check_structure(proto.SerializeToString())


def test_another_file_than_the_manifest_names_is_refused(check: Check) -> None:
    (finding,) = check(model(), graphs=(Graph(sha256="0" * 64, size_bytes=1),))
    assert finding.problem.startswith(f"expected 1 bytes of sha256 {'0' * 64}, found ")


CHANGES: list[tuple[dict[str, Any], str, str]] = [
    ({"camera": None}, "camera", "a camera model needs its virtual camera"),
    (
        {"history": History(frames=2)},
        "inputs.img.shape",
        "expected [batch, 6, 8, 16], found [batch, 3, 8, 16]",
    ),
    (
        {"colour": "yuv420"},
        "inputs.img.shape",
        "expected [batch, 6, 4, 8], found [batch, 3, 8, 16]",
    ),
    ({"states": ()}, "states", "has role state and no pair"),
    (
        {"states": (StatePair(input="h", output="action"),)},
        "states[0]",
        "expected an input 'h' and an output 'action'",
    ),
    ({"action": None}, "action", "a model needs an action"),
    (
        {"action": ActionSpec(kind="curvature", output="steer")},
        "action.output",
        "expected one of the outputs, found 'steer'",
    ),
    (
        {"action": ActionSpec(kind="steer", output="action")},
        "action.kind",
        "expected curvature or plan of a camera model",
    ),
    (
        {"action": ActionSpec(kind="plan", output="action")},
        "action.plan_times_s",
        "expected at least two rising times",
    ),
    (
        {"action": ActionSpec(kind="plan", output="action", plan_times_s=(0.0, 1.0))},
        "outputs.action.shape",
        "expected [batch, 2, 2] for action.output, found [batch, 1]",
    ),
    (
        {"acceleration_output": "brake"},
        "acceleration_output",
        "expected one of the outputs, found 'brake'",
    ),
    ({"kind": "controller"}, "inputs.img.role", "role 'frames' is no input of a controller model"),
    (
        {"inputs": (FRAMES, replace(SPEED, role="other"), STATE_IN)},
        "inputs.speed.role",
        "role 'other' is no input",
    ),
    (
        {"inputs": (FRAMES, replace(SPEED, role="traffic"), STATE_IN)},
        "inputs.speed.shape",
        "expected [batch, 2] for role traffic",
    ),
    ({"adapter": "openpilot"}, "colour", "expected yuv420"),
    ({"adapter": "builtin"}, "adapter", "go together"),
    ({"adapter": "builtin", "builtin": "pid", "graphs": ()}, "builtin", "expected log, found pid"),
    (
        {"outputs": (ACTION, replace(STATE_OUT, shape=("batch", 5)))},
        "states[0]",
        "expected float32 [batch, 4] as the input",
    ),
    (
        {"action": ActionSpec(kind="curvature", output="action", scale=float("nan"))},
        "(document)",
        "a number is not finite",
    ),
]


@pytest.mark.parametrize("changes, where, problem", CHANGES, ids=[where for _, where, _ in CHANGES])
def test_a_manifest_that_no_adapter_can_honour_is_refused(
    check: Check, changes: dict[str, Any], where: str, problem: str
) -> None:
    found = {finding.where: finding.problem for finding in check(model(), **changes)}
    assert where in found, found
    assert problem in found[where]


def test_the_runtime_is_never_loaded() -> None:
    code = "import sys, server.graphs.static_checks; sys.exit('onnxruntime' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_the_shipped_models_pass() -> None:
    manifests = sorted((Path(__file__).parents[3] / "models").glob("*/manifest.json"))
    assert manifests
    for path in manifests:
        manifest = load_manifest(path)
        check_graphs(
            manifest, {graph.sha256: path.parent / "policy.onnx" for graph in manifest.graphs}
        )
