"""The renderer: one ray per pixel against ground and objects, giving colour and exact depth for any camera pose.

Pixel convention (OpenCV): integer coordinates are pixel centres, the ray of pixel (u, v) is ((u - cx)/fx, (v - cy)/fy, 1).
"""

import math

import numpy as np
from numpy.typing import NDArray

from suites.segment import Camera
from workers.simulation.world.compiled import device, kernel
from workers.simulation.world.exact import cos_sin, product
from workers.simulation.world.ground import AWAY, Ground, at_ground
from workers.simulation.world.objects import CAR, HALF_LENGTH, KIND, REACH, X, Y, draw, shade_ground
from workers.simulation.world.profile import Floats
from workers.simulation.world.shading import Light, ground_colour, hazed, lit, sky

FAR_M = 1000.0
"""Depth of the sky, and of everything farther than VIEW_M."""
VIEW_M = 600.0
ROAD_STRIDE, VERGE_STRIDE = 0.2, 0.08
"""Crests of a road are kilometres round; beside it there are banks."""
Hit = tuple[float, float, float, float, float, float, float, float]


@device
def cast(
    g: Ground,
    eye: Floats,
    rx: float,
    ry: float,
    rz: float,
    start: float,
    guess: float,
    stride: float,
) -> Hit:
    """First meeting of a ray with the ground: (t, s, d, s2, d2, z, dz/dx, dz/dy); t is FAR_M where there is none.

    The ray is taken to be above the ground at `start`. Newton's method with the ground's slope, kept inside the bracket
    of the last point above and the first one below; steps are at most `stride` of the distance (and 1.5 m), so that no
    crest is jumped over."""
    above, below, t = start, math.inf, guess
    for _ in range(80):
        z, slope_x, slope_y, s, d, s2, d2 = at_ground(g, eye[0] + t * rx, eye[1] + t * ry)
        gap = eye[2] + t * rz - z
        closing = rz - slope_x * rx - slope_y * ry
        if gap > 0:
            above = max(above, t)
        else:
            below = min(below, t)
        step = -gap / closing if closing < -1e-9 else 1.5 + stride * t
        if abs(step) < 1e-3 * t and (gap <= 0 or closing < -1e-9):
            return t + step, s, d, s2, d2, z, slope_x, slope_y
        if below - above < 1e-5 * t:
            return t, s, d, s2, d2, z, slope_x, slope_y
        limit = t + 1.5 + stride * t if below == math.inf else below
        ahead = min(t + step, limit) if gap > 0 or closing < -1e-9 else above
        if below < math.inf and not above < ahead < below:
            ahead = 0.5 * (above + below)
        t = ahead
        if t > VIEW_M:
            break
    return FAR_M, 0.0, 0.0, 0.0, AWAY, 0.0, 0.0, 0.0


@device
def render_ground(
    g: Ground,
    light: Light,
    eye: Floats,
    rotation: Floats,
    lens: Floats,
    last: Floats,
    rgb: NDArray[np.uint8],
    depth: NDArray[np.float32],
) -> None:
    """Ground and sky of one frame, rows from the bottom: each pixel starts from the hit of the one below it, which
    `last` [W, 9] (zeros at first) holds."""
    rows, columns = depth.shape
    for v in range(rows - 1, -1, -1):
        down = (v - lens[3]) / lens[1]
        left_s, left_d, left_t = 0.0, 0.0, FAR_M
        for u in range(columns):
            right = (u - lens[2]) / lens[0]
            rx = rotation[0, 2] + right * rotation[0, 0] + down * rotation[0, 1]
            ry = rotation[1, 2] + right * rotation[1, 0] + down * rotation[1, 1]
            rz = rotation[2, 2] + right * rotation[2, 0] + down * rotation[2, 1]
            t0 = last[u, 0]
            if t0 < FAR_M:
                guess, stride = t0, VERGE_STRIDE
                if t0 > 0.0 and g.right_paved < last[u, 2] < g.far_left:
                    stride = ROAD_STRIDE
                if t0 == 0.0:
                    guess = max(0.5, min(1.2 / max(-rz, 0.02), 30.0))
                else:
                    closing = rz - last[u, 6] * rx - last[u, 7] * ry
                    x, y = eye[0] + t0 * rx, eye[1] + t0 * ry
                    gap = (
                        eye[2]
                        + t0 * rz
                        - (
                            last[u, 5]
                            + last[u, 6] * (x - last[u, 8])
                            + last[u, 7] * (y - last[u, 3])
                        )
                    )
                    step = -gap / closing if closing < -1e-9 else 1.5 + stride * t0
                    guess = t0 + min(max(step, 0.0), 1.5 + stride * t0)
                t, s, d, s2, d2, z, slope_x, slope_y = cast(g, eye, rx, ry, rz, t0, guess, stride)
            else:
                t = FAR_M
            depth[v, u] = t
            if t >= FAR_M:
                last[u, 0] = FAR_M
                red, green, blue = sky(light, rx, ry, rz)
                left_t = FAR_M
            else:
                pixel = t / lens[0]
                fs, fd = 2.0 * pixel * t, pixel
                if t0 > 0.0:
                    fs, fd = abs(s - last[u, 1]), abs(d - last[u, 2])
                if left_t < FAR_M:
                    fs += abs(s - left_s)
                    fd += abs(d - left_d)
                fs = min(max(0.9 * fs, 0.5 * pixel), 40.0)
                fd = min(max(0.9 * fd, 0.5 * pixel), 6.0 * pixel + 0.05)
                x, y = eye[0] + t * rx, eye[1] + t * ry
                red, green, blue = ground_colour(g, light, x, y, s, d, s2, d2, fs, fd)
                day = lit(light, t, t * right, -t * down)
                red, green, blue = hazed(light, red * day, green * day, blue * day, t)
                last[u, 0], last[u, 1], last[u, 2], last[u, 3], last[u, 5] = t, s, d, y, z
                last[u, 6], last[u, 7], last[u, 8] = slope_x, slope_y, x
                left_s, left_d, left_t = s, d, t
            rgb[v, u, 0] = np.uint8(min(max(red, 0.0), 254.0) + 0.5)
            rgb[v, u, 1] = np.uint8(min(max(green, 0.0), 254.0) + 0.5)
            rgb[v, u, 2] = np.uint8(min(max(blue, 0.0), 254.0) + 0.5)


@device
def in_view(
    things: Floats,
    eye: Floats,
    rotation: Floats,
    lens: Floats,
    width: int,
    chosen: Floats,
    count: int,
) -> int:
    """Copy the objects [n, 16] that may be seen to chosen[count:]; the new count."""
    wide = max(lens[2], width - lens[2]) / lens[0] * 1.1
    for i in range(len(things)):
        x, y = things[i, X] - eye[0], things[i, Y] - eye[1]
        reach = things[i, REACH]
        if abs(x) > reach or abs(y) > reach:
            continue
        ahead = x * rotation[0, 2] + y * rotation[1, 2]
        aside = abs(x * rotation[0, 0] + y * rotation[1, 0])
        size = things[i, HALF_LENGTH] + 1.0
        if ahead > -size and aside < ahead * wide + 3 * size and x * x + y * y < reach * reach:
            for k in range(things.shape[1]):
                chosen[count, k] = things[i, k]
            count += 1
    return count


@kernel
def render(
    g: Ground,
    light: Light,
    things: Floats,
    cars: Floats,
    eye: Floats,
    rotation: Floats,
    lens: Floats,
    rgb: NDArray[np.uint8],
    depth: NDArray[np.float32],
) -> None:
    """One frame into rgb [H, W, 3] and depth [H, W] (metres along the camera's axis, FAR_M for the sky).

    `things` [n, 16] stand, `cars` [m, 16] move (objects.py); the camera is at `eye` [3] with the columns of `rotation`
    [3, 3] its right, down and forward; `lens` [4] is fx, fy, cx, cy in pixels."""
    render_ground(g, light, eye, rotation, lens, np.zeros((depth.shape[1], 9)), rgb, depth)
    seen = np.empty((len(things) + len(cars), 16))
    count = in_view(things, eye, rotation, lens, depth.shape[1], seen, 0)
    count = in_view(cars, eye, rotation, lens, depth.shape[1], seen, count)
    order = np.argsort(
        -((seen[:count, X] - eye[0]) ** 2 + (seen[:count, Y] - eye[1]) ** 2), kind="mergesort"
    )
    corners = np.empty((8, 3))
    for i in order:
        if seen[i, KIND] == CAR:
            shade_ground(seen[i], eye, rotation, lens, corners, rgb, depth)
    for i in order:
        draw(seen[i], light, eye, rotation, lens, corners, rgb, depth)


def rotation_of(roll: float, pitch: float, yaw: float) -> Floats:
    """Body to world, ISO 8855: yaw about z, then pitch about y (nose down positive), then roll about x."""
    (cr, cp, cy), (sr, sp, sy) = cos_sin(np.array([roll, pitch, yaw]))
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Columns: the camera's right, down and forward in the body frame."""


def camera_pose(ego: Floats, camera: Camera) -> tuple[Floats, Floats]:
    """Position [3] and rotation [3, 3] (columns right, down, forward) of a mounted camera; `ego` is x, y, z, roll,
    pitch, yaw of the vehicle's reference point."""
    body = rotation_of(ego[3], ego[4], ego[5])
    mount = rotation_of(camera.roll_rad, camera.pitch_rad, camera.yaw_rad)
    place = product(body, np.array([[camera.forward_m], [camera.left_m], [camera.up_m]]))
    return ego[:3] + place[:, 0], product(product(body, mount), OPTICAL)
