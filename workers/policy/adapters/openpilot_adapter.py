"""The adapter for openpilot's signature (selfdrive/modeld).

By role, for B rows; `k` is `history.stride`: 1 for models that see consecutive 20 Hz steps, 4 for
those that see every fourth of the last 100.

- `frames`, `wide_frames` [B, 6 * history.frames, H/2, W/2]: packed YUV, openpilot's `input_imgs`
  and `big_input_imgs` (12x128x256);
- `desire` [B, N, 8]: pulses (1 only at the step at which a manoeuvre begins), maximum over k steps;
- `traffic` [B, 2]: one-hot of right-hand and left-hand traffic;
- `features` [B, N, F]: what the output of role `features` [B, F] gave last, every k-th;
- `curvature` [B, N, 1]: what the model asked for last (`prev_desired_curv`), every k-th;
- `speed` [B, 2]: `lateral_control_params`, speed in m/s and the delay of the steering in s.

A bundle of two graphs runs `vision` first; its features are the newest entry when `policy` runs. A
single graph sees the features of the steps before. Outputs are read by name: a graph that gives one
flat vector needs slices added to it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suites.manifest import Manifest, Tensor
from suites.rollout import ExecutionClass
from workers.policy.adapters import tensors
from workers.policy.adapters.frames import FrameHistory, wide_view, yuv420_planes
from workers.policy.policy import Action, Observation
from workers.policy.runtimes.runtime import Arrays, Runtime, infer_rows

DESIRE_OF_BLINKER = np.eye(8)[[0, 3, 4]]
"""none, laneChangeLeft, laneChangeRight in openpilot's `log.Desire`."""
STEERING_DELAY_S = 0.3
"""A typical actuator delay (0.1 s) and the 0.2 s that openpilot adds to it."""


class OpenpilotPolicy:
    """A model with openpilot's inputs: one graph, or a vision graph and a policy graph."""

    def __init__(self, manifest: Manifest, runtimes: Mapping[str, Runtime]) -> None:
        self.manifest = manifest
        self._runtimes = runtimes
        self.execution: ExecutionClass = runtimes["policy"].execution
        self.provenance: dict[str, Any] = {"sandbox": []}
        self._order = [role for role in ("vision", "policy") if role in runtimes]
        self._row_by_row = {role: tensors.is_fixed(manifest, role) for role in self._order}
        self._skip = manifest.history.stride
        self._narrow = FrameHistory(manifest.history, yuv420_planes)
        self._wide = FrameHistory(manifest.history, lambda frames: yuv420_planes(wide_view(frames)))
        self._has_wide = any(tensor.role == "wide_frames" for tensor in manifest.inputs)
        self._features_output = next((t for t in manifest.outputs if t.role == "features"), None)
        self._buffers: dict[str, NDArray[np.float64]] = {}
        self._desire = np.zeros((0, 8))
        self._batch = 0

    def start(self, batch: int) -> None:
        self._batch = batch
        self._narrow.start()
        self._wide.start()
        self._desire = np.zeros((batch, 8))
        self._buffers = {}
        for tensor in self.manifest.inputs:
            shape = tensors.row_shape(tensor)
            if len(shape) == 2:  # a buffer [N, values]
                self._buffers[tensor.role] = np.zeros((batch, shape[0] * self._skip, shape[1]))

    def act(self, observation: Observation) -> Action:
        assert observation.frames is not None
        self._narrow.push(observation.frames)
        if self._has_wide:
            self._wide.push(observation.frames)
        self._push_desire(tensors.desire_or_none(self.manifest, observation, self._batch))
        outputs: Arrays = {}
        for role in self._order:
            feeds = {
                t.name: self._feed(t, observation) for t in self.manifest.inputs if t.graph == role
            }
            outputs |= infer_rows(self._runtimes[role], feeds, self._row_by_row[role])
            if self._features_output is not None and self._features_output.graph == role:
                self._push_features(outputs[self._features_output.name])
        action = tensors.read_action(self.manifest, outputs, self._batch)
        if "curvature" in self._buffers and action.curvature is not None:
            self._push("curvature", action.curvature[:, None])
        return action

    def keep(self, rows: NDArray[np.int64]) -> None:
        self._batch = len(rows)
        self._narrow.keep(rows)
        self._wide.keep(rows)
        self._desire = self._desire[rows]
        self._buffers = {role: buffer[rows] for role, buffer in self._buffers.items()}

    @staticmethod
    def observed(manifest: Manifest) -> tuple[tensors.Field, ...]:
        """What this adapter reads of an observation."""
        widths = {"desire": 3, "traffic": 2, "speed": 1}
        roles: set[str] = {tensor.role for tensor in manifest.inputs}
        if manifest.desire == "none":
            roles.discard("desire")
        return tensors.observed_scalars(
            manifest, {role: widths[role] for role in widths if role in roles}
        )

    def close(self) -> None:
        self._buffers = {}
        self._narrow.start()
        self._wide.start()

    def _feed(self, tensor: Tensor, observation: Observation) -> NDArray[np.generic]:
        shape = (self._batch, *tensors.row_shape(tensor))
        match tensor.role:
            case "frames":
                value: NDArray[np.generic] = self._narrow.stacked()
            case "wide_frames":
                value = self._wide.stacked()
            case "desire":
                buffer = self._buffers["desire"]
                value = buffer.reshape((self._batch, shape[1], self._skip, shape[2])).max(axis=2)
            case "features" | "curvature":
                value = self._buffers[tensor.role][:, self._skip - 1 :: self._skip]
            case "speed":
                speed = tensors.scalar(observation, "speed", self._batch, ())
                value = np.stack([speed, np.full_like(speed, STEERING_DELAY_S)], axis=1)
            case _:
                value = tensors.scalar(observation, tensor.role, self._batch, shape[1:])
        return np.ascontiguousarray(value.astype(tensor.dtype, copy=False))

    def _push_desire(self, one_hot: NDArray[np.float64]) -> None:
        """A pulse where the desire has just risen; `none` is never a pulse."""
        if "desire" in self._buffers:
            desire = one_hot @ DESIRE_OF_BLINKER
            desire[:, 0] = 0.0
            self._push("desire", np.where(desire - self._desire > 0.99, desire, 0.0))
            self._desire = desire

    def _push_features(self, features: NDArray[np.generic]) -> None:
        expected = (self._batch, self._buffers["features"].shape[2])
        if features.shape != expected:
            name = self._features_output.name if self._features_output else ""
            raise tensors.wrong_shape(name, expected, features.shape)
        self._push("features", features.astype(np.float64))

    def _push(self, role: str, newest: NDArray[np.float64]) -> None:
        buffer = self._buffers[role]
        buffer[:, :-1] = buffer[:, 1:]
        buffer[:, -1] = newest
