"""How people name an execution class, and what a name that means nothing is answered."""

import pytest

from suites import execution_classes as executions
from suites.errors import MachineError, SubmitterError
from suites.execution_classes import (
    RUNTIMES,
    execution_here,
    execution_name,
    execution_of,
    parse_execution,
)
from suites.manifest import Manifest
from suites.rollout import ExecutionClass


@pytest.mark.parametrize(
    "text, parts",
    [
        ("onnxruntime", ("onnxruntime", "float32", "cpu")),
        ("openvino/bf16", ("openvino", "bfloat16", "cpu")),
        ("onnxruntime/f32/cuda", ("onnxruntime", "float32", "cuda")),
        ("tinygrad/float32/amd", ("tinygrad", "float32", "amd")),
    ],
)
def test_what_is_left_out_is_the_default(text: str, parts: tuple[str, str, str]) -> None:
    assert parse_execution(text) == parts


@pytest.mark.parametrize("text", ["", "ONNXRuntime", "onnxruntime/float32/cpu/1", "openvino,bf16"])
def test_no_runtime_of_that_name(text: str) -> None:
    with pytest.raises(SubmitterError) as caught:
        parse_execution(text)
    assert caught.value.findings[0].remedy == f"the runtime is one of {', '.join(RUNTIMES)}"


def test_every_wrong_part_has_a_finding() -> None:
    with pytest.raises(SubmitterError) as caught:
        parse_execution("onnxruntime/bf16/tpu")
    assert [(f.where, f.remedy) for f in caught.value.findings] == [
        ("execution.precision", "one of float32"),
        ("execution.device", "one of cpu, cuda"),
    ]


def test_a_name_given_back_means_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions, "installed", lambda *packages: f"1 of {packages[0]}")
    for text in ("openvino/bf16", "openvino", "onnxruntime/f32/cuda", "tinygrad"):
        execution = execution_here(text)
        assert execution.version == f"1 of {execution.runtime}"
        assert execution_here(execution_name(execution) or "") == execution
    assert execution_name(execution_here("onnxruntime")) is None
    assert (
        execution_name(ExecutionClass(runtime="builtin", version="1", precision="float64")) is None
    )


def test_what_is_not_installed_here_is_this_machines_to_mend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(executions, "installed", lambda *packages: None)
    with pytest.raises(MachineError) as caught:
        execution_here("openvino/bf16")
    assert caught.value.findings[0].remedy == "pip install openvino"


def test_a_built_in_model_is_not_moved() -> None:
    chosen = ExecutionClass(runtime="openvino", version="1")
    assert execution_of(Manifest(name="net", kind="camera"), chosen) == chosen
    assert (
        execution_of(
            Manifest(name="log", kind="camera", adapter="builtin", builtin="log"), chosen
        ).runtime
        == "builtin"
    )
