"""Where the lane and road edges are, seen from any ego pose; and how the road tilts the vehicle."""

import math

import numpy as np
from numpy.typing import NDArray

from workers.simulation.world.compiled import device, kernel
from workers.simulation.world.exact import arctan, cos_sin
from workers.simulation.world.ground import AWAY, Ground, arc_coordinates, at_ground
from workers.simulation.world.profile import Floats
from workers.simulation.world.shading import ramp_opening

RAMP_LEFT_M, RAMP_RIGHT_M = 1.0, 1.8
"""Paved width beyond the exit lane's edges."""


@device
def sideways(
    table: Floats, s: float, d: float, x: float, y: float, left_x: float, left_y: float, edge: float
) -> float:
    """Distance along the ego's y axis, left positive, to the line d = edge of a road.

    The ego is at (s, d) on it; its y axis is [left_x, left_y].
    """
    length = 0.0
    for _ in range(3):
        node = min(max(int(s + 0.5), 0), table.shape[0] - 1)
        straight = left_y * table[node, 2] - left_x * table[node, 3]
        length += (edge - d) / max(straight, 0.3)
        s, d, _ = arc_coordinates(table, s, x + length * left_x, y + length * left_y)
    return length


def lane_edges(g: Ground, x: Floats, y: Floats, yaw: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Edges [n, 6] and lane [n] of n ego poses.

    Edges: left and right of the ego's lane, left and right of the paved road (metres along the
    ego's y axis, left positive), s and d on the main road. The lane is the one that the reference
    point is in, or the nearest; counted from the left, where `lanes` is the exit lane.
    """
    return _lane_edges(g, x, y, *cos_sin(yaw))


@kernel
def _lane_edges(
    g: Ground, x: Floats, y: Floats, cos: Floats, sin: Floats
) -> tuple[Floats, NDArray[np.int64]]:
    out = np.empty((len(x), 6))
    lanes = np.empty(len(x), dtype=np.int64)
    half = 0.5 * g.lanes * g.lane_width
    for i in range(len(x)):
        _, _, _, s, d, s2, d2 = at_ground(g, x[i], y[i])
        lane = min(max(math.floor((half - d) / g.lane_width), 0), g.lanes - 1)
        left = half - lane * g.lane_width
        right = half - (lane + 1) * g.lane_width
        road_left = sideways(g.main, s, d, x[i], y[i], -sin[i], cos[i], g.left_paved)
        road_right = sideways(g.main, s, d, x[i], y[i], -sin[i], cos[i], g.right_paved)
        table, at_s, at_d = g.main, s, d
        if d2 < AWAY and s2 > g.taper_start:
            opened = ramp_opening(g, s2)
            ramp_left = 0.5 * g.lane_width
            ramp_right = 0.5 * g.lane_width - opened
            paved_left = sideways(
                g.ramp, s2, d2, x[i], y[i], -sin[i], cos[i], ramp_left + RAMP_LEFT_M
            )
            paved_right = sideways(
                g.ramp, s2, d2, x[i], y[i], -sin[i], cos[i], ramp_right - RAMP_RIGHT_M
            )
            joined = paved_left >= road_right
            on_ramp = opened > 0.5 * g.lane_width and d2 < ramp_left
            if on_ramp:
                lane, left, right = g.lanes, ramp_left, ramp_right
                table, at_s, at_d = g.ramp, s2, d2
                if not joined:
                    road_left, road_right = paved_left, paved_right
            if joined:
                road_right = min(road_right, paved_right)
        out[i, 0] = sideways(table, at_s, at_d, x[i], y[i], -sin[i], cos[i], left)
        out[i, 1] = sideways(table, at_s, at_d, x[i], y[i], -sin[i], cos[i], right)
        out[i, 2], out[i, 3], out[i, 4], out[i, 5] = road_left, road_right, s, d
        lanes[i] = lane
    return out, lanes


def stance(g: Ground, x: Floats, y: Floats, yaw: Floats, wheelbase: float, track: float) -> Floats:
    """[n, 3] z, roll and pitch of a vehicle with its rear axle at (x, y).

    The plane lies through the ground points of its wheels.
    """
    z, bank, climb = _slopes(g, x, y, *cos_sin(yaw), wheelbase, track).T
    return np.stack([z, arctan(bank), -arctan(climb)], axis=1)


@kernel
def _slopes(
    g: Ground, x: Floats, y: Floats, cos: Floats, sin: Floats, wheelbase: float, track: float
) -> Floats:
    """[n, 3] z, and by how much the ground rises to the left and ahead."""
    out = np.empty((len(x), 3))
    for i in range(len(x)):
        c, s = cos[i], sin[i]
        rear = at_ground(g, x[i], y[i])[0]
        front = at_ground(g, x[i] + wheelbase * c, y[i] + wheelbase * s)[0]
        left = at_ground(g, x[i] - 0.5 * track * s, y[i] + 0.5 * track * c)[0]
        right = at_ground(g, x[i] + 0.5 * track * s, y[i] - 0.5 * track * c)[0]
        out[i, 0] = rear
        out[i, 1] = (left - right) / track
        out[i, 2] = (front - rear) / wheelbase
    return out
