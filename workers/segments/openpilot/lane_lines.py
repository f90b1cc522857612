"""Lane lines and road edges between the samples of modelV2 (every two seconds in a qlog)."""

import numpy as np
from numpy.typing import NDArray

from suites.segment import Floats
from workers.segments.openpilot.event_log import Channel

SURE_PROBABILITY = 0.5
SURE_EDGE_STD_M = 1.5
MAX_SPAN_S = 2.5
"""Samples further apart than this say nothing about the time between them."""
MAX_DISAGREEMENT_M = 1.0
"""Between what one sample foresaw and the next saw: more is another line (a lane change)."""
STRAIGHT = 8
"""Point of a line, 12 m ahead, up to which it counts as straight."""
LINES = {
    "lane_left_m": ("lines", 1),
    "lane_right_m": ("lines", 2),
    "road_left_m": ("edges", 0),
    "road_right_m": ("edges", 1),
}


def lane_columns(
    log: dict[str, Channel],
    eof_ns: NDArray[np.int64],
    x: Floats,
    y: Floats,
    yaw: Floats,
    forward_m: float,
) -> dict[str, Floats]:
    """Columns of LINES [N] at the frames: m from the rear axle, left positive, NaN where unknown.

    x, y, yaw [N]: poses of the rear axle. Each sample's line lies fixed on the ground, and the ego
    moves along it. The difference to what the next sample saw is spread evenly between them.
    """
    t = (eof_ns - eof_ns[0]) / 1e9
    out = {name: np.full(len(t), np.nan) for name in LINES}
    if "modelV2" not in log:
        return out
    model = log["modelV2"]
    time_s = (model["eof"].astype(np.int64) - eof_ns[0]) / 1e9
    poses = np.stack([np.interp(time_s, t, column) for column in (x, y, yaw)], axis=1)
    ego = np.stack([x, y, yaw], axis=1)
    near = np.flatnonzero((np.diff(time_s) > 0) & (np.diff(time_s) <= MAX_SPAN_S))
    for name, (kind, number) in LINES.items():
        if kind == "lines":
            sure = model.valid & (model["line_prob"][:, number] >= SURE_PROBABILITY)
        else:
            sure = model.valid & (model["edge_std"][:, number] <= SURE_EDGE_STD_M)
        ahead, right = model[kind][:, number, 0], model[kind][:, number, 1]
        lines = np.stack([ahead + forward_m, -right], axis=2)
        for i in near[sure[near] & sure[near + 1]]:
            then = poses[i + 1]
            foreseen = _lateral(lines[i], poses[i], then[None])[0]
            seen = _lateral(lines[i + 1], then, then[None])[0]
            if abs(seen - foreseen) <= MAX_DISAGREEMENT_M:
                rows = np.flatnonzero((t >= time_s[i]) & (t <= time_s[i + 1]))
                share = (t[rows] - time_s[i]) / (time_s[i + 1] - time_s[i])
                fixed = _lateral(lines[i], poses[i], ego[rows])
                out[name][rows] = fixed + share * (seen - foreseen)
    return out


def _lateral(line: Floats, at: Floats, ego: Floats) -> Floats:
    """Where a line passes the rear axle of each ego pose [k, 3]: [k] m, left positive.

    The line [p, 2] was seen from the pose `at`. The camera sees nothing beside the rear axle: the
    line's first stretch is drawn out backwards, straight.
    """
    out = np.empty(len(ego))
    stretch = line[STRAIGHT] - line[0]
    back = line[0] - 20.0 * stretch / np.linalg.norm(stretch)
    points = np.concatenate([back[None], line])
    c, s = np.cos(at[2]), np.sin(at[2])
    x = at[0] + c * points[:, 0] - s * points[:, 1]
    y = at[1] + s * points[:, 0] + c * points[:, 1]
    for k, (ex, ey, heading) in enumerate(ego):
        c, s = np.cos(heading), np.sin(heading)
        ahead = c * (x - ex) + s * (y - ey)
        beside = -s * (x - ex) + c * (y - ey)
        out[k] = np.interp(0.0, ahead, beside) if ahead[0] <= 0 <= ahead[-1] else np.nan
    return out
