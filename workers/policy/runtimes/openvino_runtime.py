"""OpenVINO on one CPU thread, optional (`openvino` is not in the lock).

Where the CPU has bfloat16 it is about twice as fast. It computes float64 graphs in float32: a
controller that must be exact runs on ONNX Runtime.
"""

import io
import logging
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from suites.errors import MachineError
from suites.rollout import ExecutionClass
from workers.policy.runtimes.runtime import Arrays, model_failed

log = logging.getLogger(__name__)

CAPABILITIES = "OPTIMIZATION_CAPABILITIES"
ASK = f"import openvino; print('BF16' in openvino.Core().get_property('CPU', '{CAPABILITIES}'))"
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


@cache
def _engine() -> tuple[Any, Any]:
    """(engine, reader of ONNX files). One for all: a new reader looks for its plugins on disk."""
    import openvino
    from openvino.frontend import FrontEndManager

    return openvino.Core(), FrontEndManager().load_by_framework("onnx")


def _settings(execution: ExecutionClass) -> dict[str, Any]:
    return {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": PRECISIONS[execution.precision],
    }


def computes_bfloat16() -> bool:
    """Whether the engine says that this CPU does. A library that can't be asked computes nothing.

    Asked in a process of its own: the engine starts threads, and this process may fork later.
    """
    command = (sys.executable, "-P", "-c", ASK)
    asked = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if asked.returncode:
        last_line = asked.stderr.strip().rpartition("\n")[2]
        log.warning("openvino can't be asked what it computes: %s", last_line)
    return asked.stdout.strip() == "True"


class OpenVinoRuntime:
    """`graph`: bytes of the ONNX file; `outputs`: names to read. Raises PolicyError."""

    starts_threads = True
    """It works in a thread of its own, made when a graph is compiled."""

    @staticmethod
    def prepare(execution: ExecutionClass) -> None:
        """Load the library and its CPU plugin before a sandbox closes. Raises MachineError."""
        import openvino
        import openvino.opset13 as operators

        engine, _ = _engine()
        able = engine.get_property("CPU", CAPABILITIES)
        # the engine would silently compute in float32
        if execution.precision == "bfloat16" and "BF16" not in able:
            raise MachineError(
                "this CPU does not compute in bfloat16: start a worker where it does "
                "(AVX-512 BF16, AMX), or ask for openvino/f32"
            )
        one = operators.parameter([-1, 2], np.float32)
        square = operators.matmul(one, one, False, True)
        model = openvino.Model([square], [one], "warm")
        warm = engine.compile_model(model, "CPU", _settings(execution))
        warm.create_infer_request().infer([np.ones((1, 2), np.float32)])

    def __init__(self, graph: bytes, outputs: Sequence[str], execution: ExecutionClass) -> None:
        engine, reader = _engine()
        self.execution = execution
        self._outputs = list(outputs)
        try:
            model = reader.convert(reader.load(io.BytesIO(graph)))
            compiled = engine.compile_model(model, "CPU", _settings(execution))
            self._request = compiled.create_infer_request()
        except Exception as error:  # RuntimeError, and what its bindings raise
            raise model_failed("does not load", error) from None

    def infer(self, feeds: Arrays) -> Arrays:
        try:
            values = self._request.infer(feeds)
            return {name: values[name] for name in self._outputs}
        except Exception as error:
            raise model_failed("failed in a step", error) from None
