"""Re-projected views made on a CUDA device (warp_cuda), for a model that runs on one.

A thread decodes: while the device works on one chunk of frames, the next one of each segment is
decoded, page-locked and copied there. Views come back to the host once a step, all rows at once:
the model may live in another process.
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
from workers.simulation.views.chunks import CHUNK, Chunk, SharedChunks
from workers.simulation.views.reprojected import ReprojectedViews
from workers.simulation.views.warp import Inverse, Picture
from workers.simulation.views.warp_cuda import Batch, CudaWarp, Scratch

DECODER = ThreadPoolExecutor(1, "decode")
"""One thread: batches that go on side by side take what the other has staged."""


def require_device() -> None:
    """Raises MachineError where there is nothing to make views on.

    numba's own CUDA target of today does not compile `max`; NVIDIA's package replaces it.
    """
    if not cuda.is_available():
        raise MachineError("no CUDA device here: leave the work to a worker that has one")
    simulated = config.ENABLE_CUDASIM  # type: ignore[attr-defined]  # set at run time
    if find_spec("numba_cuda") is None and not simulated:
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
    """`Views`. Device memory: two chunks for each place that is looked at, and the batch's views.

    Raises MachineError (`require_device`).
    """

    def __init__(
        self,
        segments: Sequence[DrivenSegment],
        camera: VirtualCamera,
        parameters: Parameters,
        *,
        shared: SharedChunks,
    ) -> None:
        require_device()
        super().__init__(segments, camera, parameters, shared=shared)
        self._chunks: dict[tuple[int, int], Future[Chunk]] = {}
        self._rows = 0

    def frames(self, poses: Poses) -> NDArray[np.uint8]:
        count = len(poses.slot)
        if count > self._rows:
            self._make_room(count)
        looks: dict[tuple[int, int], list[int]] = {}
        pairs = zip(poses.slot.tolist(), (poses.frame // CHUNK).tolist(), strict=True)
        for row, place in enumerate(pairs):
            looks.setdefault(place, []).append(row)
        self._stage(list(looks))
        six = poses.six()
        for (slot, number), rows in looks.items():
            source, warp = self._sources[slot], self._warps[slot]
            chunk = self._chunks[slot, number].result()
            frame = poses.frame[rows]
            motion = [source.motion(f, ego) for f, ego in zip(frame, six[rows], strict=True)]
            batch = Batch(
                pictures=chunk.pictures,
                near=chunk.near,
                frame=(frame % CHUNK).astype(np.int32),
                motion=np.stack(motion),
                place=np.array(rows, np.int32),
            )
            (warp.forward if self._forward else warp.backward)(batch, self._views)
        self._views[:count].copy_to_host(self._out[:count])
        return self._out[:count]

    def _stage(self, looked_at: list[tuple[int, int]]) -> None:
        """Hold exactly the chunks that are looked at, and the next of each."""
        ahead = [
            (slot, number + 1)
            for slot, number in looked_at
            if (number + 1) * CHUNK < len(self._sources[slot].poses)
        ]
        self._chunks = {
            (slot, number): self._chunks.get((slot, number))
            or DECODER.submit(self._sources[slot].chunk, number, staged)
            for slot, number in (*looked_at, *ahead)
        }

    def _make_room(self, rows: int) -> None:
        shape = (rows, self._camera.height, self._camera.width)
        self._rows = rows
        scratch = Scratch(*shape)
        self._warps = [CudaWarp(source.warp, scratch) for source in self._sources]
        self._views = cuda.device_array((*shape, 3), np.uint8)
        self._out = cuda.pinned_array((*shape, 3), np.uint8)
