"""`segments depth --stereo` on KITTI's pictures: the depth of the left camera, by other frames."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from cli.commands.segments import app
from suites.segment import Camera, SegmentColumns, SegmentMeta, Vehicle
from workers.segments.depth.plane import ground_depth
from workers.segments.store import StoredSegment, read_segment, write_segment
from workers.simulation.fidelity.likeness import psnr
from workers.simulation.views.geometry import Lens, between, mount
from workers.simulation.views.warp import Warp, inverse_depth, packed

PAIRS = Path(__file__).parents[4] / "shared" / "data" / "kitti_stereo"
WIDTH, HEIGHT, UP_M = 620, 188, 1.65
TO_VEHICLE = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
pytestmark = pytest.mark.skipif(
    not PAIRS.is_dir(), reason="the KITTI pairs are not at ../shared/data"
)


def stored(root: Path) -> tuple[StoredSegment, float]:
    """The left pictures at half size with logged poses and no depth; distance of the cameras, m."""
    left, right = np.loadtxt(PAIRS / "calib.txt").reshape(2, 3, 4)
    paths = sorted((PAIRS / "left").glob("*.png"))
    rows = np.array([int(path.stem) for path in paths])
    poses = TO_VEHICLE @ np.loadtxt(PAIRS / "poses.txt").reshape(-1, 3, 4)[rows]
    turn, place = poses[:, :, :3] @ TO_VEHICLE.T, poses[:, :, 3]
    pictures = [Image.open(path).convert("RGB") for path in paths]
    share = WIDTH / pictures[0].width
    camera = Camera(
        width=WIDTH,
        height=HEIGHT,
        fx=float(left[0, 0] * share),
        fy=float(left[1, 1] * share),
        forward_m=0.0,
        left_m=0.0,
        cx=float((left[0, 2] + 0.5) * share - 0.5),
        cy=float((left[1, 2] + 0.5) * share - 0.5),
        up_m=UP_M,
    )
    n, t = len(rows), (rows - rows[0]) / 10.0
    values = dict.fromkeys((field.name for field in fields(SegmentColumns)), np.full(n, np.nan)) | {
        "t_s": t,
        "x_m": place[:, 0],
        "y_m": place[:, 1],
        "z_m": place[:, 2],
        "yaw_rad": np.arctan2(turn[:, 1, 0], turn[:, 0, 0]),
        "pitch_rad": -np.arcsin(turn[:, 2, 0]),
        "roll_rad": np.arctan2(turn[:, 2, 1], turn[:, 2, 2]),
        "speed_mps": np.gradient(
            np.r_[0, np.cumsum(np.hypot(*np.diff(place[:, :2], axis=0).T))], t
        ),
        "driver": np.ones(n, np.int64),
        "left_blinker": np.zeros(n, np.bool_),
        "right_blinker": np.zeros(n, np.bool_),
    }
    meta = SegmentMeta(
        segment_id="kitti/0",
        route="kitti",
        source="test/1",
        kind="camera",
        frame_count=n,
        rate_hz=1.0,
        duration_s=float(n),
        camera=camera,
        vehicle=Vehicle(),
        depth_source="plane",
    )
    frames = [
        np.asarray(picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX)) for picture in pictures
    ]
    ground = ground_depth(camera, WIDTH // 2, HEIGHT // 2)
    write_segment(root, meta, SegmentColumns(**values), frames, [ground] * n)
    return read_segment(root, "kitti/0"), float(-right[0, 3] / right[0, 0])


def moved(
    segment: StoredSegment, depth: NDArray[np.float32], seen: NDArray[np.float32]
) -> list[float]:
    """PSNR of each frame moved by its own depth [n, h, w] to where its neighbours stood.

    Only where both look at the same counts, by `seen`, the neighbours' depth.
    """
    camera, c, frames = segment.meta.camera, segment.columns, segment.frames()
    assert camera is not None
    lens, place = Lens.of(camera), mount(camera)
    poses = np.stack([c.x_m, c.y_m, c.z_m, c.roll_rad, c.pitch_rad, c.yaw_rad], axis=1)
    warp = Warp(lens, lens, (HEIGHT // 2, WIDTH // 2), 3.0 / (lens.fy * UP_M))
    v, u = 2.0 * np.mgrid[: HEIGHT // 2, : WIDTH // 2] + 0.5
    rays = np.stack([(u - lens.cx) / lens.fx, (v - lens.cy) / lens.fy, np.ones_like(u)], axis=-1)
    out = []
    for i, j in [(i, i + 1) for i in range(len(c) - 1)] + [(i + 1, i) for i in range(len(c) - 1)]:
        view = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        warp.forward(
            packed(frames[i][None], 1)[0],
            inverse_depth(depth[i]),
            between(poses[i], place, poses[j], place),
            view,
        )
        back = between(poses[j], place, poses[i], place)
        x, y, z = np.moveaxis(
            rays @ back[:, :3].T + inverse_depth(seen[j])[..., None] * back[:, 3], -1, 0
        )
        z = np.maximum(z, 1e-3)
        inside = (np.abs(x / z * lens.fx + lens.cx - WIDTH / 2) < WIDTH / 2 - 3) & (
            np.abs(y / z * lens.fy + lens.cy - HEIGHT / 2) < HEIGHT / 2 - 3
        )
        both = inside.repeat(2, axis=0).repeat(2, axis=1)
        out.append(psnr(view[both], frames[j][both]))
    return out


def test_real_pairs_give_depth_that_moves_frames_to_their_neighbours(tmp_path: Path) -> None:
    """Moves of 10 to 12 m and up to 27°, judged by frames that had no part in the depth."""
    segment, baseline_m = stored(tmp_path / "segments")
    plane = segment.depth()
    command = [
        "depth",
        "kitti/0",
        "--stereo",
        str(PAIRS / "right"),
        "--baseline-m",
        str(baseline_m),
    ]
    result = CliRunner().invoke(app, [*command, "--data", str(tmp_path)])
    assert result.exit_code == 0, result.output
    after = read_segment(tmp_path / "segments", "kitti/0", verify=True)
    assert (after.meta.depth_source, after.meta.origin["depth"]) == (
        "stereo",
        {"right": "right", "baseline_m": baseline_m},
    )
    seen = after.depth()
    gain = np.array(moved(after, seen, seen)) - moved(after, plane, seen)
    assert gain.min() > 0.5
    assert gain.mean() > 2.0
