"""The bars of the forward warp at 128 x 256, with the warps that know less in the same run.

Committed scenes: the ray-cast boxes, which follow from constants, and frames of the procedural
world (`shots`) of seed 0, on which the warp's rules were chosen, and of seeds on which none was.
All are rendered with nine rays a pixel, as a lens averages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suites.segment import Camera
from workers.simulation.fidelity import boxes
from workers.simulation.fidelity.likeness import psnr
from workers.simulation.fidelity.shots import (
    FULL,
    LEVELLED_MOUNT,
    LOGGED_MOUNT,
    Displacement,
    Frame,
    Shot,
    virtual,
)
from workers.simulation.fidelity.view_sources import COLUMNS, LENS, ROWS, SLACK
from workers.simulation.views.geometry import Floats, Lens, between
from workers.simulation.views.warp import Inverse, Warp, inverse_depth, packed, plane_inverse_depth
from workers.simulation.world.drive import STORED_CAMERA, render_view
from workers.simulation.world.reduce import halved

BARS_DB = {0.25: 37.9, 0.5: 33.4, 1.0: 28.1, 1.5: 25.8}
"""Lateral offset m to the least PSNR."""
RAYS = 3
NOTHING: Mapping[str, Sequence[Shot]] = {}
GROUND = plane_inverse_depth(LENS, np.array([0.0, 1.0, 0.0]), STORED_CAMERA.up_m, ROWS, COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One scene at one offset."""

    scene: str
    offset_m: float
    least_db: float
    psnr_db: dict[str, float]
    """Of the forward, backward and plane warps, the mean over the scene's frames."""
    worst_db: float
    """Of the forward warp, on the frame that it does worst."""

    @property
    def holds(self) -> bool:
        return self.psnr_db["forward"] >= self.least_db


def bars(worlds: Mapping[str, Sequence[Shot]] = NOTHING) -> list[Bar]:
    """Of the boxes, and of worlds: name to shots of it."""
    target = Lens.of(FULL)
    picture, depth = boxes.render(boxes.STILL, LOGGED_MOUNT, LENS)
    near = inverse_depth(halved(depth))
    out = []
    for offset, least in BARS_DB.items():
        ego = np.array([0.0, offset, 0.0, 0.0, 0.0, 0.0])
        motion = between(boxes.STILL, LOGGED_MOUNT, ego, LEVELLED_MOUNT)
        found = _psnr(picture, near, motion, boxes.render(ego, LEVELLED_MOUNT, target)[0])
        worst = found["forward"]
        out.append(
            Bar(scene="boxes", offset_m=offset, least_db=least, psnr_db=found, worst_db=worst)
        )
    for name, shots in worlds.items():
        world = [
            (_averaged(shot, shot.pose, STORED_CAMERA, logged=True), inverse_depth(shot.depth))
            for shot in shots
        ]
        for offset, least in BARS_DB.items():
            rows = []
            for shot, (seen, known) in zip(shots, world, strict=True):
                there = shot.displaced(Displacement(lateral_m=offset))
                truth = _averaged(shot, there, virtual(FULL), logged=False)
                motion = between(shot.pose, LOGGED_MOUNT, there, LEVELLED_MOUNT)
                rows.append(_psnr(seen, known, motion, truth))
            mean = {how: float(np.mean([row[how] for row in rows])) for how in rows[0]}
            worst = min(row["forward"] for row in rows)
            out.append(
                Bar(scene=name, offset_m=offset, least_db=least, psnr_db=mean, worst_db=worst)
            )
    return out


def _psnr(picture: Frame, near: Inverse, motion: Floats, truth: Frame) -> dict[str, float]:
    warp = Warp(LENS, Lens.of(FULL), (ROWS, COLUMNS), SLACK)
    view = np.empty_like(truth)
    out = {}
    for how, depth in (("forward", near), ("backward", near), ("plane", GROUND)):
        make = warp.forward if how == "forward" else warp.backward
        make(packed(picture[None], 1)[0], depth, motion, view)
        out[how] = psnr(view, truth)
    return out


def _averaged(shot: Shot, pose: NDArray[np.float64], camera: Camera, logged: bool) -> Frame:
    """Rendered with RAYS x RAYS rays a pixel, on the log's stance or on the road as it is there."""
    k = RAYS
    sizes = {name: k * getattr(camera, name) for name in ("width", "height", "fx", "fy")}
    centre = {name: k * (getattr(camera, name) + 0.5) - 0.5 for name in ("cx", "cy")}
    fine = replace(camera, **sizes, **centre)
    x, y, z, roll, pitch, yaw = (float(v) for v in pose)
    tilt = (z, roll, pitch) if logged else None
    rgb, _ = render_view(shot.drive, shot.time_s, x, y, yaw, fine, tilt=tilt)
    mean = rgb.reshape(camera.height, k, camera.width, k, 3).mean(axis=(1, 3))
    return np.asarray(np.rint(mean), np.uint8)
