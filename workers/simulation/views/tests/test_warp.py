"""Views against rendered truth: geometry, occlusion, and how good they are."""

import numpy as np
import pytest
from numpy.typing import NDArray

from workers.simulation.fidelity.bars import BARS_DB
from workers.simulation.fidelity.boxes import STILL, render
from workers.simulation.fidelity.likeness import psnr
from workers.simulation.tests.analytic import CAMERA
from workers.simulation.views.geometry import Lens, between, inverse, levelled, mount
from workers.simulation.views.warp import Warp, inverse_depth, packed, plane_inverse_depth
from workers.simulation.world.reduce import halved

SOURCE = Lens.of(CAMERA)
FULL = Lens(256, 128, 200.0, 200.0, 127.5, 55.5)
SMALL = Lens(128, 64, 100.0, 100.0, 63.5, 27.5)
SLACK = 1.5 * 2 / (200 * 1.3)
FRAME, DEPTH = render(STILL, mount(CAMERA), SOURCE)
NEAR = inverse_depth(halved(DEPTH))
GROUND = plane_inverse_depth(SOURCE, np.array([0.0, 1.0, 0.0]), 1.3, 80, 160)


def pose(
    forward: float = 0.0, left: float = 0.0, yaw: float = 0.0, pitch: float = 0.0
) -> NDArray[np.float64]:
    return np.array([forward, left, 0.0, 0.0, pitch, yaw])


def view(
    ego: NDArray[np.float64],
    how: str = "forward",
    target: Lens = FULL,
    place: NDArray[np.float64] | None = None,
) -> NDArray[np.uint8]:
    reduced = round(SOURCE.fx / target.fx)
    warp = Warp(SOURCE.reduced(reduced), target, (80, 160), SLACK)
    out = np.zeros((target.height, target.width, 3), np.uint8)
    motion = between(STILL, mount(CAMERA) if place is None else place, ego, levelled(CAMERA))
    near = GROUND if how == "plane" else NEAR
    getattr(warp, "forward" if how == "forward" else "backward")(
        packed(FRAME[None], reduced)[0], near, motion, out
    )
    return out


def truth(ego: NDArray[np.float64], target: Lens = FULL) -> NDArray[np.uint8]:
    return render(ego, levelled(CAMERA), target)[0]


def red_box(picture: NDArray[np.uint8]) -> tuple[int, int]:
    """First and last column of the near red box's back, in its upper half."""
    red = (picture[..., 0].astype(int) - picture[..., 1] > 55) & (picture[..., 0] > 120)
    columns = np.flatnonzero(red[60:68].mean(axis=0) > 0.5)
    return int(columns[0]), int(columns[-1])


@pytest.mark.parametrize("how", ["forward", "backward", "plane"])
def test_where_nothing_moved_the_view_is_the_frame_to_the_bit(how: str) -> None:
    assert np.array_equal(view(pose(), how), FRAME[14:142, 32:288])


@pytest.mark.parametrize(
    "left, bar", [(sign * offset, bar) for offset, bar in BARS_DB.items() for sign in (1, -1)]
)
def test_forward_depth_holds_its_bars_and_beats_the_other_warps(left: float, bar: float) -> None:
    ego = pose(left=left)
    real = truth(ego)
    forward, backward, plane = (
        psnr(view(ego, how), real) for how in ("forward", "backward", "plane")
    )
    assert forward > bar
    assert forward > backward + 6 > plane + 4


@pytest.mark.parametrize(
    "ego",
    [
        pose(forward=2.0),
        pose(forward=-1.0),
        pose(yaw=0.1),
        pose(0.4, 1.0, 0.05),
        pose(-0.5, -0.8, -0.06, 0.01),
    ],
)
@pytest.mark.parametrize("target", [FULL, SMALL], ids=["256", "128"])
def test_any_displacement_is_close_to_the_truth(ego: NDArray[np.float64], target: Lens) -> None:
    assert psnr(view(ego, target=target), truth(ego, target)) > 29.0


def test_a_near_box_lands_where_it_belongs_and_the_plane_warp_puts_it_elsewhere() -> None:
    ego = pose(left=1.0)
    expected = np.array(red_box(truth(ego)))
    assert np.abs(np.array(red_box(view(ego))) - expected).max() <= 1
    assert np.abs(np.array(red_box(view(ego, "plane"))) - expected).max() > 8


def test_the_calibration_of_the_camera_is_undone() -> None:
    crooked = mount(CAMERA) + np.array([0, 0, 0, 0.01, 0.03, -0.04])
    frame, depth = render(STILL, crooked, SOURCE)
    warp = Warp(SOURCE, FULL, (80, 160), SLACK)
    out = np.zeros((128, 256, 3), np.uint8)
    for ego, bar in ((pose(), 36.0), (pose(left=0.5), 31.0)):
        motion = between(STILL, crooked, ego, levelled(CAMERA))
        warp.forward(packed(frame[None], 1)[0], inverse_depth(halved(depth)), motion, out)
        assert psnr(out[:110], truth(ego)[:110]) > bar


def test_a_smaller_view_is_averaged_and_not_aliased() -> None:
    stripes = np.zeros((160, 320, 3), np.uint8)
    stripes[:, ::2] = 200
    warp = Warp(SOURCE.reduced(2), SMALL, (80, 160), SLACK)
    out = np.zeros((64, 128, 3), np.uint8)
    warp.forward(
        packed(stripes[None], 2)[0],
        NEAR,
        between(STILL, mount(CAMERA), STILL, levelled(CAMERA)),
        out,
    )
    assert set(np.unique(out)) == {100}


def test_what_a_near_edge_uncovers_is_filled_with_clean_background() -> None:
    """A white board before a black wall; the pixel at the edge shows some of both.

    Depth puts it on the board: it moves with it and is not smeared over the hole.
    """
    frame = np.zeros((160, 320, 3), np.uint8)
    frame[:, :160], frame[:, 160] = 255, 128
    full = np.full((160, 320), 50.0, np.float32)
    full[:, :160] = 5.0
    near = inverse_depth(halved(full))
    out = np.zeros((128, 256, 3), np.uint8)
    motion = between(STILL, mount(CAMERA), pose(left=-0.5), levelled(CAMERA))
    Warp(SOURCE, FULL, near.shape, SLACK).forward(packed(frame[None], 1)[0], near, motion, out)
    row = out[64, :, 0]
    edge = int(np.argmin(row > 200))
    assert 100 < edge < 115  # the board moved left by 0.5 m * 200 px / 5 m
    assert row[edge + 2 : edge + 20].max() < 16


def test_depth_with_holes_zeros_and_infinities_is_mended() -> None:
    inf, nan = np.inf, np.nan
    depth = np.array(
        [
            [nan, 4.0, nan, nan, 8.0, 0.0],
            [inf, -3.0, 2.0, 0.1, 5.0, 5.0],
            [nan, 0.0, nan, -1.0, nan, 0.0],
        ],
        np.float32,
    )
    expected = [[0.25, 0.25, 0.125, 0.125, 0.125, 0.125], [0.0, 0.0, 0.5, 2.0, 0.2, 0.2], [0.0] * 6]
    assert inverse_depth(depth) == pytest.approx(np.array(expected))


@pytest.mark.parametrize(
    "ego",
    [
        pose(forward=30.0),
        pose(forward=-200.0),
        pose(left=1e4),
        pose(yaw=np.pi),
        pose(pitch=1.5),
        pose(pitch=-1.5, yaw=2.0),
    ],
)
@pytest.mark.parametrize(
    "near", [NEAR, np.zeros_like(NEAR), np.full_like(NEAR, 2.0)], ids=["scene", "sky", "wall"]
)
def test_any_pose_and_depth_gives_some_picture_and_no_crash(
    ego: NDArray[np.float64], near: NDArray[np.float32]
) -> None:
    warp = Warp(SOURCE, FULL, near.shape, SLACK)
    first, second = np.zeros((128, 256, 3), np.uint8), np.full((128, 256, 3), 7, np.uint8)
    for out in (first, second):
        warp.forward(
            packed(FRAME[None], 1)[0],
            near,
            between(STILL, mount(CAMERA), ego, levelled(CAMERA)),
            out,
        )
    assert np.array_equal(first, second)  # every pixel is written, from this frame alone


def test_motions_compose_and_invert() -> None:
    a, b = np.array([1.0, 2, 0.5, 0.02, -0.03, 0.4]), np.array([3.0, 1.5, 0.4, -0.01, 0.02, 0.6])
    there = between(a, mount(CAMERA), b, levelled(CAMERA))
    back = between(b, levelled(CAMERA), a, mount(CAMERA))
    assert inverse(there) == pytest.approx(back)
    ahead = between(pose(), levelled(CAMERA), pose(2.0, 0.5), levelled(CAMERA))
    assert ahead == pytest.approx(np.array([[1.0, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, -2.0]]))


@pytest.mark.parametrize("target", [FULL, SMALL], ids=["256", "128"])
@pytest.mark.parametrize("how", ["forward", "backward"])
@pytest.mark.parametrize(
    "ego", [pose(left=0.25), pose(left=-1.0, yaw=0.01), pose(yaw=0.003), pose(1.0, pitch=0.02)]
)
def test_views_are_not_shifted_by_a_fiftieth_of_a_pixel(
    ego: NDArray[np.float64], how: str, target: Lens
) -> None:
    """A wall 10 m ahead, with waves so long that nothing is lost in resampling.

    What is left of the difference from the truth is fitted with a shift along each axis.
    """

    def wall(at: NDArray[np.float64], lens: Lens) -> NDArray[np.float64]:
        """[H, W] as a camera on a vehicle at this pose sees it."""
        to_log = between(at, levelled(CAMERA), STILL, mount(CAMERA))
        u, v = np.meshgrid(np.arange(lens.width), np.arange(lens.height))
        ray = (
            np.stack([(u - lens.cx) / lens.fx, (v - lens.cy) / lens.fy, np.ones_like(u)], axis=-1)
            @ to_log[:, :3].T
        )
        hit = to_log[:, 3] + ray * ((10.0 - to_log[2, 3]) / ray[..., 2])[..., None]
        return np.asarray(
            127
            + 60 * np.sin(2 * np.pi * hit[..., 0] / 3.0)
            + 60 * np.sin(2 * np.pi * hit[..., 1] / 3.0)
        )

    reduced = round(SOURCE.fx / target.fx)
    frame = np.repeat(np.rint(wall(STILL, SOURCE))[..., None], 3, axis=2).astype(np.uint8)
    out = np.zeros((target.height, target.width, 3), np.uint8)
    warp = Warp(SOURCE.reduced(reduced), target, (80, 160), SLACK)
    motion = between(STILL, mount(CAMERA), ego, levelled(CAMERA))
    getattr(warp, how)(
        packed(frame[None], reduced)[0], np.full((80, 160), 0.1, np.float32), motion, out
    )
    real = wall(ego, target)
    inside = (slice(20 // reduced, -20 // reduced), slice(30 // reduced, -30 // reduced))
    slopes = np.stack([np.gradient(real, axis=axis)[inside].ravel() for axis in (0, 1)], axis=1)
    off = (out[..., 0] - real)[inside].ravel()
    shift, *_ = np.linalg.lstsq(slopes, off, rcond=None)
    assert np.abs(shift).max() < 0.02
    assert np.abs(off).max() < 3.0
