"""The optional OpenVINO runtime: agreement with the default one, in and out of the sandbox."""

import importlib.metadata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from suites.errors import MachineError, SubmitterError
from suites.manifest import Manifest
from suites.rollout import ExecutionClass
from workers.policy.agreement import check_agreement
from workers.policy.load import open_policy
from workers.policy.policy import Observation
from workers.policy.runtimes import available as runtimes

Built = tuple[Manifest, dict[str, Path]]
Build = Callable[..., Built]

try:
    VERSION: str | None = importlib.metadata.version("openvino")
except importlib.metadata.PackageNotFoundError:
    VERSION = None
there = pytest.mark.skipif(
    VERSION is None, reason="openvino, an optional runtime, is not installed"
)


def seen() -> list[Observation]:
    return [
        Observation(scalars={"speed": np.array([step, 2.0 * step, -step])}) for step in range(5)
    ]


@there
@pytest.mark.parametrize("sandboxed", [False, True])
def test_float32_agrees_and_bfloat16_is_held_to_the_tolerance(
    recurrent_model: Built, sandboxed: bool
) -> None:
    manifest, files = recurrent_model
    reference = open_policy(manifest, files, sandboxed=False)
    for precision in ("float32", "bfloat16"):
        execution = ExecutionClass(runtime="openvino", version=VERSION or "", precision=precision)
        try:
            policy = open_policy(manifest, files, execution=execution, sandboxed=sandboxed)
            policy.start(3)
            policy.act(seen()[0])
        except MachineError as error:
            pytest.skip(str(error))
        assert policy.execution == execution
        if precision == "float32":
            assert check_agreement(reference, policy, seen(), 3) < 1e-4
        else:
            with pytest.raises(
                SubmitterError, match="onnxruntime in float32 and openvino in bfloat16"
            ):
                check_agreement(reference, policy, seen(), 3)
        if sandboxed:
            assert {"no_new_privs", "rlimits", "seccomp"} <= set(policy.provenance["sandbox"])
        policy.close()


@pytest.mark.parametrize(
    "execution, message",
    [
        (
            ExecutionClass(runtime="tensorrt", version="1"),
            "this program knows onnxruntime, openvino, tinygrad",
        ),
        (
            ExecutionClass(runtime="openvino", version="0.1"),
            "install openvino here|this machine offers openvino",
        ),
        (
            ExecutionClass(
                runtime="onnxruntime",
                version=importlib.metadata.version("onnxruntime"),
                device="npu",
            ),
            "cpu or cuda",
        ),
    ],
)
def test_what_a_machine_lacks_is_its_own_fault(
    recurrent_model: Built, execution: ExecutionClass, message: str
) -> None:
    with pytest.raises(MachineError, match=message):
        open_policy(*recurrent_model, execution=execution)


def test_a_precision_that_a_runtime_lacks_is_refused(recurrent_model: Built) -> None:
    manifest, files = recurrent_model
    execution = replace(
        open_policy(manifest, files, sandboxed=False).execution, precision="bfloat16"
    )
    with pytest.raises(
        MachineError, match=r"this machine offers onnxruntime .* \(float32, cpu or cuda\)"
    ):
        open_policy(manifest, files, execution=execution)


ENGINE = "class Core:\n    def get_property(self, device, name):\n        return"


@pytest.mark.parametrize(
    "library, able",
    [
        (f"{ENGINE} ['FP32', 'BF16']\n", True),
        (f"{ENGINE} ['FP32', 'INT8']\n", False),
        ("raise OSError('its plugins are gone')\n", False),
    ],
)
def test_a_worker_offers_bfloat16_only_where_the_engine_has_it(
    library: str, able: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "openvino.py").write_text(library)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(
        runtimes, "installed_runtimes", lambda: {"onnxruntime": "1.2", "openvino": "2026.1"}
    )
    offers = {"onnxruntime/float32": "1.2", "openvino/float32": "2026.1"}
    assert runtimes.offered() == offers | ({"openvino/bfloat16": "2026.1"} if able else {})
