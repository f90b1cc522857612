"""A textured plane with boxes, ray-cast in numpy: the views and depth that judge re-projection."""

import numpy as np
from numpy.typing import NDArray

from workers.simulation.views.geometry import Lens, between

Floats = NDArray[np.float64]
STILL = np.zeros(6)

BOXES: tuple[tuple[float, float, float, float, float, float], ...] = (
    (9.0, 1.6, 12.5, 3.4, 0.0, 1.5),
    (22.0, -4.5, 26.0, -2.6, 0.0, 1.6),
    (15.0, 5.5, 15.3, 5.8, 0.0, 6.0),
    (30.0, -7.0, 30.3, -6.7, 0.0, 6.0),
    (45.0, 3.0, 60.0, 14.0, 0.0, 7.0),
)
"""x0, y0, x1, y1, z0, z1 m: a near car on the left, one farther on the right, poles, a house."""
COLOURS = ((170, 60, 50), (60, 80, 160), (90, 90, 95), (80, 85, 80), (150, 140, 120))


def _ground(x: Floats, y: Floats, pixel: Floats) -> Floats:
    """[..., 3] colour: lane lines on asphalt whose waves fade where a pixel is wider."""
    grain = np.zeros_like(x)
    for k, (a, b) in enumerate([(1.1, 0.4), (-0.7, 1.9), (2.6, -1.3), (0.3, 3.7), (4.1, 2.2)]):
        fade = np.exp(-((pixel * np.hypot(a, b) / 2.0) ** 2))
        grain += fade * np.sin(a * x + b * y + k) * (22 - 2 * k)
    wide = np.maximum(pixel, 1e-3)
    inside = np.clip((0.12 - np.abs(np.abs(y) - 1.8)) / wide + 0.5, 0, 1)
    edge = inside * np.clip(0.24 / wide, 0, 1)
    base = np.stack([110 + grain, 108 + grain, 104 + 0.8 * grain], axis=-1)
    return np.asarray(base + edge[..., None] * (np.array([235.0, 235, 225]) - base))


def render(
    pose: Floats, mount: Floats, lens: Lens, samples: int = 3
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """RGB [H, W, 3] and depth [H, W] m of a camera on a vehicle, by samples x samples rays a pixel.

    Depth is that at the pixel's centre, infinite in the sky.
    """
    total = np.zeros((lens.height, lens.width, 3))
    steps = (np.arange(samples) + 0.5) / samples - 0.5
    for du in steps:
        for dv in steps:
            total += _cast(pose, mount, lens, du, dv)[0]
    depth = _cast(pose, mount, lens, 0.0, 0.0)[1]
    return np.clip(np.rint(total / samples**2), 0, 255).astype(np.uint8), depth.astype(np.float32)


def _cast(pose: Floats, mount: Floats, lens: Lens, du: float, dv: float) -> tuple[Floats, Floats]:
    # Camera to world: the motion to a camera that is the world's own frame, optical axes undone.
    motion = between(pose, mount, STILL, STILL)
    to_world = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]) @ motion
    u, v = np.meshgrid(np.arange(lens.width) + du, np.arange(lens.height) + dv)
    rays = np.stack([(u - lens.cx) / lens.fx, (v - lens.cy) / lens.fy, np.ones_like(u)], axis=-1)
    rays = rays @ to_world[:, :3].T
    eye = to_world[:, 3]
    best = np.full(u.shape, np.inf)
    sky = np.clip(rays[..., 2] / np.linalg.norm(rays, axis=-1), 0, 1)
    colour = np.stack([150 - 60 * sky, 180 - 40 * sky, np.full_like(sky, 225.0)], axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = -eye[2] / rays[..., 2]
        hit = (t > 0) & (t < 400)
        best = np.where(hit, t, best)
        where = eye + np.where(hit, t, 0)[..., None] * rays
        ground = _ground(where[..., 0], where[..., 1], t / lens.fx * 2)
        colour = np.where(hit[..., None], ground, colour)
        for k, (x0, y0, x1, y1, z0, z1) in enumerate(BOXES):
            low, high = (np.array([x0, y0, z0]) - eye) / rays, (np.array([x1, y1, z1]) - eye) / rays
            near, far = np.minimum(low, high).max(axis=-1), np.maximum(low, high).min(axis=-1)
            hit = (near > 0.1) & (near < far) & (near < best)
            side = np.argmax(np.minimum(low, high), axis=-1)
            where = eye + np.where(hit, near, 0)[..., None] * rays
            upright = 14 * np.sin(2.2 * (where[..., 0] + where[..., 1]))
            stripes = 18 * np.sin(3 * where[..., 2] + k) + upright
            shade = np.choose(side, [1.0, 0.75, 1.15])
            body = (np.array(COLOURS[k], float) + stripes[..., None]) * shade[..., None]
            colour = np.where(hit[..., None], body, colour)
            best = np.where(hit, near, best)
    return colour, best
