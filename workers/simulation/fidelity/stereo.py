"""Against real cameras: the left picture of a stereo pair moved to where the right one stands.

Depth never comes from the pair that judges it. It comes from the neighbouring pairs: their own
stereo depth (matched as an import does it), carried over by the logged poses and splatted into the
judged left picture. What no neighbour has seen takes the ground plane. Only what stands still moves
with the poses, as everywhere here.

The folder is laid out as KITTI odometry: left/ and right/ with grey PNGs by frame number, calib.txt
with the two projection matrices 3x4 (left, right), poses.txt with one camera-to-world matrix 3x4 a
frame number.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray
from PIL import Image

from suites.errors import DataError, Finding
from workers.segments.depth.disparity import disparity
from workers.simulation.fidelity.likeness import psnr, ssim
from workers.simulation.views.geometry import Lens
from workers.simulation.views.warp import Inverse, Warp, packed, plane_inverse_depth
from workers.simulation.views.warp_kernels import EMPTY

Floats = NDArray[np.float64]
Grey = NDArray[np.uint8]

HALVED = 2
"""The pictures are halved: 620 x 188 pixels."""
MAX_DISPARITY = 64
CAMERA_UP_M = 1.65
"""Height of KITTI's cameras (Geiger et al. 2013)."""
WAYS = ("neighbours", "plane", "unmoved")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFidelity:
    frame: int
    offset_m: float
    known: float
    """Share of the picture whose depth a neighbour gave."""
    psnr_db: dict[str, float]
    """By WAYS; `unmoved` is the left picture itself."""
    ssim: dict[str, float]


@dataclass(frozen=True, slots=True)
class Rig:
    lens: Lens
    baseline_m: float
    poses: Floats
    """[n, 4, 4] camera to world."""


def compare(folder: Path) -> tuple[list[PairFidelity], list[Grey]]:
    """Every pair that has a neighbour, with a picture of moved left, real right and difference.

    Raises DataError, which names a missing or malformed file.
    """
    rig = _rig(folder)
    frames = sorted(int(path.stem) for path in (folder / "left").glob("*.png"))
    if len(frames) < 2:
        raise _bad(folder / "left", "at least two numbered PNGs expected")
    pairs = {
        f: (_grey(folder / "left" / f"{f:06d}.png"), _grey(folder / "right" / f"{f:06d}.png"))
        for f in frames
    }
    own = {f: inverse_of_pair(*pair, rig) for f, pair in pairs.items()}
    out = []
    pictures = []
    lens = rig.lens
    up = np.array([0.0, 1.0, 0.0])
    ground = plane_inverse_depth(lens, up, CAMERA_UP_M, lens.height, lens.width)
    for place, frame in enumerate(frames):
        near = np.full_like(own[frame], EMPTY)
        for other in frames[max(place - 1, 0) : place + 2]:
            if other != frame:
                motion = np.linalg.inv(rig.poses[frame]) @ rig.poses[other]
                _splat(own[other], motion[:3], lens.numbers(), near)
                _close(near)
        known = float(np.mean(near != EMPTY))
        left, right = pairs[frame]
        views = {
            "neighbours": _moved(left, np.where(near == EMPTY, ground, near), rig),
            "plane": _moved(left, ground, rig),
            "unmoved": left,
        }
        cut = slice(None), slice(MAX_DISPARITY, -MAX_DISPARITY)  # both cameras see it
        out.append(
            PairFidelity(
                frame=frame,
                offset_m=-rig.baseline_m,
                known=known,
                psnr_db={name: psnr(view[cut], right[cut]) for name, view in views.items()},
                ssim={name: ssim(view[cut], right[cut]) for name, view in views.items()},
            )
        )
        best = views["neighbours"]
        difference = np.abs(best.astype(np.int16) - right).astype(np.uint8)
        pictures.append(np.concatenate([best, right, difference]))
    return out, pictures


def inverse_of_pair(left: Grey, right: Grey, rig: Rig) -> Inverse:
    """[H, W] inverse depth of the left picture, EMPTY where matching there and back disagree."""
    found = disparity(left, right, MAX_DISPARITY)
    near = found / np.float32(rig.lens.fx * rig.baseline_m)
    return np.where(np.isfinite(found), near, EMPTY).astype(np.float32)


def _moved(left: Grey, near: Inverse, rig: Rig) -> Grey:
    picture = packed(np.repeat(left[None, :, :, None], 3, axis=3), 1)[0]
    slack = 1.5 / (rig.lens.fy * CAMERA_UP_M)
    out = np.empty((*left.shape, 3), np.uint8)
    motion = np.concatenate([np.eye(3), [[-rig.baseline_m], [0.0], [0.0]]], axis=1)
    Warp(rig.lens, rig.lens, near.shape, slack).forward(picture, near, motion, out)
    return np.ascontiguousarray(out[..., 0])


def _rig(folder: Path) -> Rig:
    try:
        left, right = np.loadtxt(folder / "calib.txt").reshape(2, 3, 4)
        rows = np.loadtxt(folder / "poses.txt").reshape(-1, 3, 4)
        shape = _grey(sorted((folder / "left").glob("*.png"))[0]).shape
    except (OSError, ValueError, IndexError) as error:
        raise _bad(folder, f"calib.txt, poses.txt and left/*.png expected ({error})") from error
    f = float(HALVED)
    cx, cy = (left[:2, 2] + 0.5) / f - 0.5
    lens = Lens(shape[1], shape[0], left[0, 0] / f, left[1, 1] / f, cx, cy)
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3] = rows
    return Rig(lens, float(-right[0, 3] / right[0, 0]), poses)


def _grey(path: Path) -> Grey:
    try:
        full = np.asarray(Image.open(path).convert("L"), np.float64)
    except OSError as error:
        raise _bad(path, f"cannot be read ({error})") from error
    h, w = full.shape[0] // HALVED, full.shape[1] // HALVED
    blocks = full[: h * HALVED, : w * HALVED].reshape(h, HALVED, w, HALVED)
    return np.asarray(np.rint(blocks.mean(axis=(1, 3))), np.uint8)


def _bad(path: Path, problem: str) -> DataError:
    finding = Finding(str(path), problem, "see `workers/simulation/fidelity/stereo.py`")
    return DataError(f"no stereo pairs in {path.name}: {problem}", (finding,))


@njit(cache=True)
def _splat(near, motion, lens, into):  # type: ignore[no-untyped-def]
    """Carry a neighbour's inverse depth [H, W] over: the nearest wins."""
    h, w = near.shape
    for v in range(h):
        for u in range(w):
            q = near[v, u]
            if q <= 0:
                continue
            x, y = (u - lens[2]) / lens[0], (v - lens[3]) / lens[1]
            z = motion[2, 0] * x + motion[2, 1] * y + motion[2, 2] + motion[2, 3] * q
            if z < 0.05:
                continue
            right = motion[0, 0] * x + motion[0, 1] * y + motion[0, 2] + motion[0, 3] * q
            down = motion[1, 0] * x + motion[1, 1] * y + motion[1, 2] + motion[1, 3] * q
            a, b = lens[0] * right / z + lens[2], lens[1] * down / z + lens[3]
            i, j = int(np.floor(a + 0.5)), int(np.floor(b + 0.5))
            if 0 <= i < w and 0 <= j < h:
                into[j, i] = max(into[j, i], q / z)


@njit(cache=True)
def _close(near):  # type: ignore[no-untyped-def]
    """Close cracks of one pixel."""
    h, w = near.shape
    before = near.copy()
    for v in range(1, h - 1):
        for u in range(1, w - 1):
            if before[v, u] < 0:
                total = 0.0
                count = 0
                for dv in range(-1, 2):
                    for du in range(-1, 2):
                        if before[v + dv, u + du] >= 0:
                            total += before[v + dv, u + du]
                            count += 1
                if count >= 3:
                    near[v, u] = total / count
