"""The plain adapter: inputs of one graph are filled by role, state outputs go back to inputs."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suites.manifest import Manifest
from suites.rollout import ExecutionClass
from workers.policy.adapters import tensors
from workers.policy.adapters.frames import FrameHistory, rgb_planes, yuv420_planes
from workers.policy.policy import Action, Observation
from workers.policy.runtimes.runtime import Arrays, Runtime, infer_rows


class PlainPolicy:
    """A model of one graph, camera or controller.

    Frames are fed as they are, 0 to 255, also to float inputs: a model that wants 0 to 1 divides
    inside its graph. Scalars are cast from float64 to the input's type and reshaped to its shape.
    """

    def __init__(self, manifest: Manifest, runtimes: Mapping[str, Runtime]) -> None:
        self.manifest = manifest
        self._runtime = runtimes["policy"]
        self.execution: ExecutionClass = self._runtime.execution
        self.provenance: dict[str, Any] = {"sandbox": []}
        self._row_by_row = tensors.is_fixed(manifest, "policy")
        planes = rgb_planes if manifest.colour == "rgb" else yuv420_planes
        self._history = FrameHistory(manifest.history, planes)
        self._inputs = {tensor.name: tensor for tensor in manifest.inputs}
        self._states: Arrays = {}
        self._batch = 0

    def start(self, batch: int) -> None:
        self._batch = batch
        self._history.start()
        for pair in self.manifest.states:
            tensor = self._inputs[pair.input]
            shape = (batch, *tensors.row_shape(tensor))
            self._states[pair.input] = np.full(shape, pair.initial, tensor.dtype)

    def act(self, observation: Observation) -> Action:
        batch = self._batch
        feeds: Arrays = {}
        for name, tensor in self._inputs.items():
            if tensor.role == "frames":
                assert observation.frames is not None
                self._history.push(observation.frames)
                feeds[name] = self._history.stacked().astype(tensor.dtype, copy=False)
            elif tensor.role == "state":
                feeds[name] = self._states[name]
            elif tensor.role == "desire":
                feeds[name] = tensors.desire_or_none(self.manifest, observation, batch).astype(
                    tensor.dtype
                )
            else:
                value = tensors.scalar(observation, tensor.role, batch, tensors.row_shape(tensor))
                feeds[name] = value.astype(tensor.dtype)
        outputs = infer_rows(self._runtime, feeds, self._row_by_row)
        action = tensors.read_action(self.manifest, outputs, batch)
        for pair in self.manifest.states:
            value = outputs[pair.output]
            expected = self._states[pair.input].shape
            if value.shape != expected:
                raise tensors.wrong_shape(pair.output, expected, value.shape)
            self._states[pair.input] = value
        return action

    def keep(self, rows: NDArray[np.int64]) -> None:
        self._batch = len(rows)
        self._history.keep(rows)
        self._states = {name: value[rows] for name, value in self._states.items()}

    @staticmethod
    def observed(manifest: Manifest) -> tuple[tensors.Field, ...]:
        """What this adapter reads of an observation."""
        unread = {"frames", "state"} | ({"desire"} if manifest.desire == "none" else set())
        inputs = (t for t in manifest.inputs if t.role not in unread)
        return tensors.observed_scalars(
            manifest, {t.role: math.prod(tensors.row_shape(t)) for t in inputs}
        )

    def close(self) -> None:
        self._states = {}
        self._history.start()
