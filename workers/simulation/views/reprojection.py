"""The small offset simulator: logged frames, seen from where the ego is and not the log.

Source: Goff et al. 2025, Learning to Drive from a World Model, section on reprojective simulation.
The nearest logged frame and its depth are moved by the ego's full deviation from that frame's pose
(six degrees of freedom, the camera's calibration included) into the model's virtual camera (warp).

Frames are decoded a chunk at a time, once for all rows that look at them: whatever their offset
and, in batches that go on side by side, whatever their model.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from suites.manifest import VirtualCamera
from suites.parameters import Parameters, parse
from suites.simulators import SIMULATORS
from workers.segments.store import StoredSegment, read_segment
from workers.simulation.road.log_driving import DrivingSimulator
from workers.simulation.road.view_protocol import DrivenSegment, Views
from workers.simulation.views.chunks import SharedChunks
from workers.simulation.views.reprojected import ReprojectedViews
from workers.simulation.views.sources import depth_of


def open_simulator(
    segments_root: Path, parameters: dict[str, Any], auxiliary: dict[str, Path]
) -> DrivingSimulator:
    """`reprojection` over the stored segments. Raises SubmitterError for its parameters."""
    held: WeakValueDictionary[str, StoredSegment] = WeakValueDictionary()

    def open_segment(name: str) -> StoredSegment:
        """Batches that go on side by side read its columns once."""
        segment = held.get(name)
        if segment is None:
            segment = held[name] = read_segment(segments_root, name)
        return segment

    return over_segments(open_segment, parse(parameters))


def over_segments(
    open_segment: Callable[[str], DrivenSegment], parameters: Parameters
) -> DrivingSimulator:
    """`reprojection` over segments from anywhere (`DrivingSimulator.open_segment`)."""
    return DrivingSimulator(
        name="reprojection",
        version=SIMULATORS["reprojection"].version,
        parameters=parameters,
        open_segment=open_segment,
        make_views=partial(make_views, SharedChunks()),
        depth_of=lambda meta: depth_of(meta, parameters),
    )


def make_views(
    shared: SharedChunks,
    segments: Sequence[DrivenSegment],
    camera: VirtualCamera,
    parameters: Parameters,
    device: str = "cpu",
) -> Views:
    """Views made on `device`. Raises MachineError where it is `cuda` and this machine has none."""
    if device == "cuda":
        from workers.simulation.views.reprojection_cuda import CudaViews

        return CudaViews(segments, camera, parameters, shared=shared)
    return ReprojectedViews(segments, camera, parameters, shared=shared)
