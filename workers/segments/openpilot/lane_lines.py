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
    """Columns of LINES [N] at the frames, lateral position at the rear axle, left positive, NaN where not known.

    x, y, yaw [N]: poses of the rear axle. Each sample's line lies fixed on the ground: where the ego has got to since is
    read off it, and the difference to what the next sample saw is spread evenly over the time between.
    """
    t = (eof_ns - eof_ns[0]) / 1e9
    out = {name: np.full(len(t), np.nan) for name in LINES}
    if "modelV2" not in log:
        return out
    model = log["modelV2"]
    time_s = (model["eof"].astype(np.int64) - eof_ns[0]) / 1e9
    poses = np.stack([np.interp(time_s, t, column) for column in (x, y, yaw)], axis=1)
    ego = np.stack([x, y, yaw], axis=1)
    for name, (kind, number) in LINES.items():
        sure = model.valid & (
            model["line_prob"][:, number] >= SURE_PROBABILITY
            if kind == "lines"
            else model["edge_std"][:, number] <= SURE_EDGE_STD_M
        )
        lines = np.stack(
            [model[kind][:, number, 0] + forward_m, -model[kind][:, number, 1]], axis=2
        )
        for i in np.flatnonzero(sure[:-1] & sure[1:]):
            if not 0 < time_s[i + 1] - time_s[i] <= MAX_SPAN_S:
                continue
            foreseen = _lateral(lines[i], poses[i], poses[i + 1][None])[0]
            seen = _lateral(lines[i + 1], poses[i + 1], poses[i + 1][None])[0]
            rows = np.flatnonzero((t >= time_s[i]) & (t <= time_s[i + 1]))
            if abs(seen - foreseen) <= MAX_DISAGREEMENT_M:
                share = (t[rows] - time_s[i]) / (time_s[i + 1] - time_s[i])
                out[name][rows] = _lateral(lines[i], poses[i], ego[rows]) + share * (
                    seen - foreseen
                )
    return out


def _lateral(line: Floats, at: Floats, ego: Floats) -> Floats:
    """Where a line [p, 2] (seen from the pose `at`) passes each ego pose [k, 3] at its rear axle: [k] m, left positive.

    The camera sees nothing beside the rear axle: the line's first stretch is drawn out backwards, straight.
    """
    out = np.empty(len(ego))
    stretch = line[STRAIGHT] - line[0]
    back = line[0] - 20.0 * stretch / np.linalg.norm(stretch)
    points = np.concatenate([back[None], line])
    c, s = np.cos(at[2]), np.sin(at[2])
    ground = np.stack(
        [at[0] + c * points[:, 0] - s * points[:, 1], at[1] + s * points[:, 0] + c * points[:, 1]],
        axis=1,
    )
    for k, (ex, ey, heading) in enumerate(ego):
        c, s = np.cos(heading), np.sin(heading)
        ahead = c * (ground[:, 0] - ex) + s * (ground[:, 1] - ey)
        beside = -s * (ground[:, 0] - ex) + c * (ground[:, 1] - ey)
        out[k] = np.interp(0.0, ahead, beside) if ahead[0] <= 0 <= ahead[-1] else np.nan
    return out
