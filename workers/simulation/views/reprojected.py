"""Re-projected views of one batch, on the CPU; their twin on a device is reprojection_cuda."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from suites.manifest import VirtualCamera
from suites.parameters import Parameters
from workers.simulation.road.logged_path import Ints
from workers.simulation.road.view_protocol import DrivenSegment, Poses, views_buffer
from workers.simulation.views.chunks import CHUNK, SharedChunks
from workers.simulation.views.sources import source_of


class ReprojectedViews:
    """`Views`. Memory: one chunk (or two at its border) for each place that is looked at."""

    def __init__(
        self,
        segments: Sequence[DrivenSegment],
        camera: VirtualCamera,
        parameters: Parameters,
        *,
        shared: SharedChunks,
    ) -> None:
        self._camera = camera
        self._forward = parameters.warp == "forward"
        self._sources = [source_of(segment, camera, parameters, shared) for segment in segments]
        self._out = views_buffer(0, camera)

    def frames(self, poses: Poses) -> NDArray[np.uint8]:
        if len(self._out) != len(poses.slot):
            self._out = views_buffer(len(poses.slot), self._camera)
        looks = list(zip(poses.slot.tolist(), poses.frame.tolist(), strict=True))
        wanted: dict[int, set[int]] = {}
        for slot, frame in looks:
            wanted.setdefault(slot, set()).add(frame // CHUNK)
        for slot, numbers in wanted.items():
            self._sources[slot].load(numbers)
        for (slot, frame), ego, out in zip(looks, poses.six(), self._out, strict=True):
            source = self._sources[slot]
            make = source.warp.forward if self._forward else source.warp.backward
            make(*source.at(frame), source.motion(frame, ego), out)
        return self._out

    def release(self, slots: Ints) -> None:
        for slot, source in enumerate(self._sources):
            if slot not in slots:
                source.chunks = {}
