"""Re-projected views made on a CUDA device (warp_cuda), for a model that runs on one.

A thread decodes: while the device works on one chunk of frames, the next one of each segment is decoded, page-locked and
copied there. Views come back to the host once a step, all rows at once: the model may live in another process.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
from numba import config, cuda
from numpy.typing import NDArray

from suites.errors import MachineError
from suites.manifest import VirtualCamera
from suites.parameters import Parameters
from workers.simulation.road.view_protocol import DrivenSegment, Poses
from workers.simulation.views.geometry import between
from workers.simulation.views.reprojection import CHUNK, Chunk, Footage, ReprojectedViews
from workers.simulation.views.warp import Inverse, Picture
from workers.simulation.views.warp_cuda import CudaWarp, Scratch

DECODER = ThreadPoolExecutor(1, "decode")
"""One thread: batches that go on side by side take what the other has staged, instead of decoding it as well."""


def require_device() -> None:
    """Raises MachineError where there is nothing to make views on. numba's own CUDA target of today does not compile
    `max`; NVIDIA's package takes its place when it is installed."""
    if not cuda.is_available():
        raise MachineError("no CUDA device here: leave the work to a worker that has one")
    if find_spec("numba_cuda") is None and not config.ENABLE_CUDASIM:  # type: ignore[attr-defined]  # set at run time
        raise MachineError(
            "numba-cuda is missing here: install redrive[gpu], or leave the work to another worker"
        )


def staged(pictures: Picture, near: Inverse) -> Chunk:
    """A decoded chunk on the device."""
    stream = cuda.stream()
    with cuda.pinned(pictures), cuda.pinned(near):
        chunk = Chunk(cuda.to_device(pictures, stream), cuda.to_device(near, stream))
        stream.synchronize()
    return chunk


class CudaViews(ReprojectedViews):
    """`driving.Views` of one batch. Device memory: two chunks for each place that is looked at, and the batch's views.

    Raises MachineError where there is no CUDA device, or no numba-cuda to use it.
    """

    def __init__(
        self,
        segments: Sequence[DrivenSegment],
        camera: VirtualCamera,
        parameters: Parameters,
        *,
        footage: Footage,
    ) -> None:
        if not cuda.is_available():
            raise MachineError(
                "no CUDA device, or no numba-cuda for it (pip install 'redrive[gpu]'): leave the work to a GPU node"
            )
        super().__init__(segments, camera, parameters, footage=footage)
        self._chunks: dict[tuple[int, int], Future[Chunk]] = {}
        self._rows = 0

    def frames(self, poses: Poses) -> NDArray[np.uint8]:
        count = len(poses.slot)
        if count > self._rows:
            self._make_room(count)
        looks: dict[tuple[int, int], list[int]] = {}
        for row, (slot, frame) in enumerate(
            zip(poses.slot.tolist(), poses.frame.tolist(), strict=True)
        ):
            looks.setdefault((slot, frame // CHUNK), []).append(row)
        ahead = [
            (slot, number + 1)
            for slot, number in looks
            if (number + 1) * CHUNK < len(self._sources[slot].poses)
        ]
        self._chunks = {
            place: self._chunks.get(place)
            or DECODER.submit(self._sources[place[0]].chunk, place[1], staged)
            for place in (*looks, *ahead)
        }
        ego = np.stack(
            [poses.x_m, poses.y_m, poses.z_m, poses.roll_rad, poses.pitch_rad, poses.yaw_rad],
            axis=1,
        )
        for (slot, number), rows in looks.items():
            source, chunk, warp = (
                self._sources[slot],
                self._chunks[slot, number].result(),
                self._warps[slot],
            )
            frames = poses.frame[rows]
            motion = [
                between(source.poses[f], source.mount, ego[r], source.levelled)
                for f, r in zip(frames, rows, strict=True)
            ]
            make = warp.forward if self._how == "forward" else warp.backward
            places = np.array(rows, np.int32)
            make(
                chunk.pictures,
                chunk.near,
                (frames % CHUNK).astype(np.int32),
                np.stack(motion),
                places,
                self._views,
            )
        self._views[:count].copy_to_host(self._out[:count])
        return self._out[:count]

    def _make_room(self, rows: int) -> None:
        shape = (rows, self._camera.height, self._camera.width)
        self._rows, scratch = rows, Scratch(*shape)
        self._warps = [CudaWarp(source.warp, scratch) for source in self._sources]
        self._views, self._out = (
            cuda.device_array((*shape, 3), np.uint8),
            cuda.pinned_array((*shape, 3), np.uint8),
        )
