"""ONNX Runtime on one CPU thread: the default."""

import os
from collections.abc import Sequence

from suites.rollout import ExecutionClass
from workers.policy.runtime import Arrays, model_failed


class OnnxRuntime:
    """ONNX Runtime at its default optimisation level, one thread.

    `graph`: the bytes of the ONNX file; `outputs`: the names to compute. Raises PolicyError when it does not load.
    """

    package = "onnxruntime"
    precisions = ("float32",)
    starts_threads = False

    @staticmethod
    def prepare(execution: ExecutionClass) -> None:
        """Load the library: everything that it reads from disk, before a sandbox closes."""
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when the library loads: its wheels report home otherwise
        import onnxruntime  # noqa: F401

    def __init__(self, graph: bytes, outputs: Sequence[str], execution: ExecutionClass) -> None:
        self.prepare(execution)
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.load_model_format", "ONNX")
        self.execution = execution
        self._outputs = list(outputs)
        try:
            self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library's exceptions share no base class but this one
            raise model_failed("does not load", error) from None

    def infer(self, feeds: Arrays) -> Arrays:
        try:
            values = self._session.run(self._outputs, feeds)
        except Exception as error:
            raise model_failed("failed in a step", error) from None
        return dict(zip(self._outputs, values, strict=True))
