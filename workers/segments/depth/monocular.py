"""Depth from a monocular ONNX model that the operator names; its scale is the ground's."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from suites.errors import DataError
from suites.identity import file_digest
from suites.segment import Camera
from workers.segments.data_errors import data_error
from workers.segments.depth.plane import ground_depth
from workers.segments.depth_codec import Depth
from workers.segments.video import Frames

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
"""Of ImageNet's RGB in 0..1: what published monocular models are trained with."""
FREE_SIZE = 14 * 14
"""Height fed where the graph leaves it open: a multiple of the usual patch sizes."""
NEAR_M, FAR_M, HALF_WIDTH_M = 4.0, 20.0, 1.2
"""Ground before the ego that counts as free: it was driven over a moment later."""
TRIM_ROUNDS = 4
TRIM_FACTOR = 2.0
LEAST_PIXELS = 20
FAR_INVERSE = 1e-3
ANOTHER = "name another with --depth-model"
Output = Literal["inverse", "metric"]


@dataclass(frozen=True)
class DepthModel:
    """One RGB input [1, 3, h, w] float32; the first output is [1, h', w'] or [1, 1, h', w'].

    It is inverse depth up to scale and shift, or depth up to scale. Each frame's scale (and shift)
    lays the free ground where the camera's height and calibration put it.
    """

    path: Path
    output: Output
    session: Any
    height: int
    width: int | None

    @property
    def origin(self) -> dict[str, str]:
        """What the segment's meta keeps of it."""
        sha256 = file_digest(self.path)
        found = {"file": self.path.name, "sha256": sha256, "output": self.output}
        return found | {"scale": "ground plane"}

    def depth(self, frame: Frames, camera: Camera, width: int, height: int) -> Depth:
        """float32 [height, width] m of an RGB frame. Raises DataError where no ground fits."""
        said = self._run(frame, camera)
        if not np.isfinite(said).all():
            raise _unfit(self.path, "its answer has numbers that are not finite")
        resized = Image.fromarray(said).resize((width, height), Image.Resampling.BILINEAR)
        small = np.asarray(resized, np.float64)
        ground = ground_depth(camera, width, height).astype(np.float64)
        free = _free(camera, ground)
        if free.sum() < LEAST_PIXELS:
            raise _unfit(self.path, "the camera sees no free ground to take the scale from")
        if self.output == "metric":
            scale = float(np.median(ground[free] / np.maximum(small[free], 1e-6)))
            return np.asarray(np.maximum(scale * small, 0.0), np.float32)
        scale, shift = _trimmed_line(small[free], 1.0 / ground[free])
        if scale <= 0:
            metric = "is it metric? (--depth-output metric)"
            raise _unfit(self.path, f"it does not grow towards the camera: {metric}")
        return np.asarray(1.0 / np.maximum(scale * small + shift, FAR_INVERSE), np.float32)

    def _run(self, frame: Frames, camera: Camera) -> NDArray[np.float32]:
        width = self.width or max(round(self.height * camera.width / camera.height / 14) * 14, 14)
        picture = Image.fromarray(frame).resize((width, self.height), Image.Resampling.BILINEAR)
        pixels = (np.asarray(picture, np.float32) / 255.0 - MEAN) / STD
        feeds = {self.session.get_inputs()[0].name: pixels.transpose(2, 0, 1)[None]}
        said = np.asarray(self.session.run(None, feeds)[0], np.float32)
        if said.size != said.shape[-1] * said.shape[-2]:
            expected = "an output [1, h, w] or [1, 1, h, w] expected"
            raise _unfit(self.path, f"{expected}, found {list(said.shape)}")
        return said.reshape(said.shape[-2:])


def open_depth_model(path: Path, output: Output) -> DepthModel:
    """Load a depth model: one thread, so that load changes no answer. Raises DataError."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        cpu = ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(str(path), options, providers=cpu)
    except Exception as error:  # onnxruntime's errors have no common base
        problem = f"cannot be loaded ({str(error).splitlines()[0]})"
        raise _unfit(path, problem, ANOTHER) from error
    inputs = session.get_inputs()
    shape = inputs[0].shape if len(inputs) == 1 and inputs[0].type == "tensor(float)" else []
    if len(shape) != 4 or shape[1] not in (3, "3"):
        found = "; ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
        raise _unfit(path, f"one float32 input [1, 3, h, w] expected, found {found}", ANOTHER)
    height, width = (size if isinstance(size, int) else None for size in shape[2:])
    return DepthModel(path, output, session, height or FREE_SIZE, width)


def _free(camera: Camera, ground: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[h, w] pixels of the ground NEAR_M to FAR_M ahead that the ego's own width covers."""
    width = ground.shape[1]
    u = (np.arange(width) + 0.5) * camera.width / width - 0.5
    bearing = (u - camera.cx) / camera.fx - np.tan(camera.yaw_rad)
    near = (ground >= NEAR_M) & (ground <= FAR_M)
    aside = np.abs(bearing[None, :] * np.where(near, ground, 0.0))
    return np.asarray(near & (aside <= HALF_WIDTH_M))


def _trimmed_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """(slope, intercept) by least squares, far points dropped: a car ahead is not ground."""
    keep = np.ones(len(x), np.bool_)
    slope = intercept = 0.0
    for _ in range(TRIM_ROUNDS):
        spread = x[keep] - x[keep].mean()
        slope = float(spread @ (y[keep] - y[keep].mean()) / max(float(spread @ spread), 1e-12))
        intercept = float(y[keep].mean() - slope * x[keep].mean())
        miss = np.abs(y - slope * x - intercept)
        keep = miss <= max(TRIM_FACTOR * float(np.median(miss)), 1e-6)
    return slope, intercept


def _unfit(path: Path, problem: str, remedy: str = "") -> DataError:
    return data_error(f"depth model {path.name}", path, problem, remedy)
