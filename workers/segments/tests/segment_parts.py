"""A small camera segment in parts, for tests of the store."""

import numpy as np

from suites.segment import Camera, SegmentMeta, Vehicle
from workers.segments.depth_codec import Depth
from workers.segments.video import Frames

COUNT, WIDTH, HEIGHT = 25, 64, 32
CAMERA = Camera(
    width=WIDTH, height=HEIGHT, fx=60, fy=60, cx=31.5, cy=15.5, forward_m=1.4, left_m=0, up_m=1.3
)


def camera_meta(segment_id: str = "route/0", **changes: object) -> SegmentMeta:
    values: dict[str, object] = {
        "segment_id": segment_id,
        "route": segment_id.split("/")[0],
        "source": "test/1",
        "kind": "camera",
        "frame_count": COUNT,
        "rate_hz": 20,
        "duration_s": COUNT / 20,
        "vehicle": Vehicle(),
        "depth_source": "exact",
        "camera": CAMERA,
    }
    return SegmentMeta(**(values | changes))  # type: ignore[arg-type]


def moving_frames(count: int = COUNT) -> list[Frames]:
    """A smooth picture that moves a pixel a frame."""
    v, u = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    return [
        np.stack(
            [
                127 + 90 * np.sin((u + i) / 9),
                120 + 80 * np.cos((u + i) / 13 + v / 11),
                110 + 60 * np.sin(v / 7),
            ],
            axis=-1,
        ).astype(np.uint8)
        for i in range(count)
    ]


def depths(count: int = COUNT) -> list[Depth]:
    """A slope that comes nearer, with a hole and sky."""
    out = []
    for i in range(count):
        depth = np.repeat(
            np.geomspace(240, 2, HEIGHT // 2, dtype=np.float32)[:, None], WIDTH // 2, axis=1
        ) / np.float32(1 + i / 50)
        depth[0], depth[5, 5] = np.inf, np.nan
        out.append(depth)
    return out
