"""ONNX Runtime: the default, on one CPU thread; on a CUDA device with its `onnxruntime-gpu` build.

On a device only its provider is asked for, and a session that fell back to the CPU is refused: a
result names where it ran. Two sessions on one kind of device must compute alike: convolutions take
the algorithm that cuDNN's heuristic names, not the fastest of a trial, and TensorFloat-32 is off.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from suites.errors import MachineError
from suites.rollout import ExecutionClass
from workers.policy.runtimes.runtime import Arrays, model_failed

CUDA = "CUDAExecutionProvider"
CUDA_OPTIONS = {
    "cudnn_conv_algo_search": "HEURISTIC",
    "use_tf32": "0",
    "arena_extend_strategy": "kSameAsRequested",
}
PROVIDERS: dict[str, list[Any]] = {"cpu": ["CPUExecutionProvider"], "cuda": [(CUDA, CUDA_OPTIONS)]}
"""By `ExecutionClass.device`."""


class OnnxRuntime:
    """`graph`: bytes of the ONNX file; `outputs`: names to compute. Raises PolicyError."""

    starts_threads = False

    @staticmethod
    def prepare(execution: ExecutionClass) -> None:
        """Load the library before a sandbox closes. Raises MachineError if the device is unfit."""
        # read when the library loads: its wheels report home otherwise
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime as ort

        if execution.device != "cuda":
            return
        if CUDA not in ort.get_available_providers():
            raise MachineError(
                "the work is for a CUDA device, and this build of onnxruntime knows none: install "
                "onnxruntime-gpu in the place of onnxruntime (they share their files), or leave it "
                "to another worker"
            )
        ort.preload_dlls()
        opener = OnnxRuntime(_doubling(), ("twice",), execution)  # opens the device
        opener.infer({"once": np.ones((1, 2), np.float32)})

    def __init__(self, graph: bytes, outputs: Sequence[str], execution: ExecutionClass) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.load_model_format", "ONNX")
        options.use_deterministic_compute = execution.device != "cpu"
        self.execution = execution
        self._outputs = list(outputs)
        try:
            providers = PROVIDERS[execution.device]
            self._session = ort.InferenceSession(graph, options, providers=providers)
        except Exception as error:  # the library's exceptions share no base class but this one
            raise model_failed("does not load", error) from None
        if execution.device == "cuda" and CUDA not in self._session.get_providers():
            raise MachineError(
                "onnxruntime found no CUDA device that it can use here, or not all of CUDA's and "
                "cuDNN's libraries"
            )

    def infer(self, feeds: Arrays) -> Arrays:
        try:
            values = self._session.run(self._outputs, feeds)
        except Exception as error:
            raise model_failed("failed in a step", error) from None
        return dict(zip(self._outputs, values, strict=True))


def _doubling() -> bytes:
    """A graph of ours: twice = once + once."""
    from onnx import TensorProto, helper

    once, twice = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2])
        for name in ("once", "twice")
    )
    add = helper.make_node("Add", ["once", "once"], ["twice"])
    graph = helper.make_graph([add], "doubling", [once], [twice])
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    return bytes(model.SerializeToString())
