"""ONNX Runtime on CUDA as far as a machine without a GPU can tell, and the optional tinygrad."""

import importlib.metadata
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from suites.errors import MachineError
from suites.execution_classes import RUNTIMES, default_execution
from suites.manifest import Manifest, load_manifest
from suites.rollout import ExecutionClass
from workers.policy.agreement import check_agreement
from workers.policy.load import open_policy
from workers.policy.policy import Observation, Policy
from workers.policy.runtimes import available as runtimes
from workers.policy.runtimes.onnx_runtime import CUDA, PROVIDERS, OnnxRuntime
from workers.policy.runtimes.openvino_runtime import PRECISIONS
from workers.policy.runtimes.tinygrad_runtime import DEVICES

Built = tuple[Manifest, dict[str, Path]]
MODELS = Path(__file__).parents[4] / "models"
ON_CUDA = ExecutionClass(
    runtime="onnxruntime", version=importlib.metadata.version("onnxruntime"), device="cuda"
)
try:
    TINYGRAD: str | None = importlib.metadata.version("tinygrad")
except importlib.metadata.PackageNotFoundError:
    TINYGRAD = None
without_cuda = pytest.mark.skipif(
    CUDA in onnxruntime.get_available_providers(), reason="this onnxruntime is built for CUDA"
)


def first_step(policy: Policy) -> None:
    policy.start(1)
    policy.act(Observation(scalars={"speed": np.array([1.0])}))


@without_cuda
@pytest.mark.parametrize("sandboxed", [False, True])
def test_a_build_without_cuda_says_what_to_install(speed_model: Built, sandboxed: bool) -> None:
    with pytest.raises(
        MachineError, match="knows none: install onnxruntime-gpu in the place of onnxruntime"
    ):
        first_step(open_policy(*speed_model, execution=ON_CUDA, sandboxed=sandboxed))


@without_cuda
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_session_that_falls_back_to_the_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told that CUDA is there, the library goes on without it and only warns."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    with pytest.raises(MachineError, match="no CUDA device that it can use"):
        OnnxRuntime.prepare(ON_CUDA)


def test_a_runtime_that_compiles_as_it_runs_is_never_sandboxed(
    speed_model: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes, "installed", lambda *packages: "1")
    with pytest.raises(
        MachineError,
        match="which the sandbox forbids: use another runtime, or `replay --no-sandbox`",
    ):
        open_policy(*speed_model, execution=ExecutionClass(runtime="tinygrad", version="1"))


@pytest.fixture(scope="module")
def on_tinygrad() -> ExecutionClass:
    if TINYGRAD is None:
        pytest.skip("tinygrad, an optional runtime, is not installed")
    return ExecutionClass(
        runtime="tinygrad", version=TINYGRAD, device="cpu" if shutil.which("clang") else "python"
    )


def test_tinygrad_agrees_on_recurrent_state_at_every_batch(
    recurrent_model: Built, on_tinygrad: ExecutionClass
) -> None:
    reference, other = (
        open_policy(*recurrent_model, execution=execution, sandboxed=False)
        for execution in (None, on_tinygrad)
    )
    assert other.execution == on_tinygrad
    for batch in (3, 1):
        seen = [
            Observation(scalars={"speed": np.arange(batch, dtype=np.float64) * 2 + step})
            for step in range(4)
        ]
        assert check_agreement(reference, other, seen, batch) < 1e-5


def test_tinygrad_agrees_on_the_shipped_controller(on_tinygrad: ExecutionClass) -> None:
    manifest = load_manifest((MODELS / "pid" / "manifest.json").read_text())
    files = {manifest.graphs[0].sha256: MODELS / "pid" / "policy.onnx"}
    reference, other = (
        open_policy(manifest, files, execution=execution, sandboxed=False)
        for execution in (default_execution(manifest), on_tinygrad)
    )
    rng = np.random.default_rng(0)
    roles = [tensor.role for tensor in manifest.inputs if tensor.role != "state"]
    seen = [Observation(scalars={role: rng.normal(size=2) for role in roles}) for _ in range(6)]
    assert check_agreement(reference, other, seen, 2) < 1e-9


def test_what_can_be_asked_for_is_what_the_runtimes_know() -> None:
    assert list(RUNTIMES) == list(runtimes.RUNTIME_CLASSES)
    assert RUNTIMES["onnxruntime"].devices == tuple(PROVIDERS)
    assert RUNTIMES["tinygrad"].devices == tuple(DEVICES)
    assert RUNTIMES["openvino"].precisions == tuple(PRECISIONS)
