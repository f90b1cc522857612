"""tinygrad, optional (`tinygrad` is not in the lock): for GPUs of any vendor.

On a CPU it needs clang and is several times slower than ONNX Runtime. It writes, compiles and loads
code while a graph runs, so it can't work in the sandbox: only an operator who trusts the model and
says so (`replay --no-sandbox`) drives with it.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from suites.errors import MachineError
from suites.rollout import ExecutionClass
from workers.policy.runtimes.runtime import Arrays, model_failed

DEVICES = {"cpu": "CPU", "cuda": "CUDA", "amd": "AMD", "opencl": "CL"}
DEVICES |= {"metal": "METAL", "python": "PYTHON"}
"""`ExecutionClass.device` to tinygrad's name. `python` interprets: slow, for tests."""


class TinygradRuntime:
    """`graph`: bytes of the ONNX file; `outputs`: names to read. Raises PolicyError.

    Kernels are compiled at the first two steps of each new batch size.
    """

    starts_threads = True

    @staticmethod
    def prepare(execution: ExecutionClass) -> None:
        """Load the library and open the device. Raises MachineError where it can't be opened."""
        # read when the library loads: it would keep kernels in the home folder
        os.environ.setdefault("CACHELEVEL", "0")
        os.environ.setdefault("DEV", DEVICES[execution.device])
        from tinygrad import Device

        try:
            Device[DEVICES[execution.device]]
        except Exception as error:  # each device fails in its own way
            needs = "clang" if execution.device == "cpu" else "the driver of the device"
            closed = f"tinygrad can't open {execution.device} here, for which it needs {needs}"
            raise MachineError(f"{closed}: {error}") from None

    def __init__(self, graph: bytes, outputs: Sequence[str], execution: ExecutionClass) -> None:
        from tinygrad import Tensor
        from tinygrad.nn.onnx import OnnxRunner

        self.execution = execution
        self._device = DEVICES[execution.device]
        self._outputs = list(outputs)
        self._steps: dict[tuple[Any, ...], Callable[..., Any]] = {}
        try:
            data = Tensor(np.frombuffer(graph, np.uint8), device="PYTHON")
            self._graph = OnnxRunner(data).to(self._device)
        except Exception as error:  # the library has no exceptions of its own
            raise model_failed("does not load", error) from None

    def infer(self, feeds: Arrays) -> Arrays:
        from tinygrad import Tensor

        try:
            tensors = {
                name: Tensor(np.ascontiguousarray(value), device=self._device).realize()
                for name, value in feeds.items()
            }
            values = self._step(tuple(value.shape for value in feeds.values()))(**tensors)
            return {name: value.numpy() for name, value in zip(self._outputs, values, strict=True)}
        except Exception as error:
            raise model_failed("failed in a step", error) from None

    def _step(self, shapes: tuple[Any, ...]) -> Callable[..., Any]:
        """The graph compiled for inputs of these shapes."""
        from tinygrad import TinyJit

        def run(**tensors: Any) -> list[Any]:
            self._graph.variable_dims.clear()  # it takes the first batch it sees for the only one
            found = self._graph(tensors)
            return [found[name].realize() for name in self._outputs]

        return self._steps.setdefault(shapes, TinyJit(run))
