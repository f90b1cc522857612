"""The logged path: arc length, nearest points and columns at fractional frame indices, for rows of a batch at once.

Every loop is over rows that do not see each other, and nothing is summed across rows: a row's bits are the same in any
batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from suites.errors import DataError, Finding
from suites.segment import SegmentColumns

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STANDSTILL_M = 1e-3
"""Two frames closer than this are one place: pose jitter of a standing car adds no arc length."""
PLATEAU_M = 1e-2
"""Stations closer than this are one place when a frame is chosen: among them time decides."""
MAX_YAW_RATE = 4.0
"""rad/s: a heading that turns faster has jumped, or is not unwrapped."""
MOST = {
    "speed_mps": 150.0,
    "acceleration_mps2": 1e4,
    "curvature": 10.0,
    "roll_rad": 1.0,
    "pitch_rad": 1.0,
}
"""Magnitudes beyond are damage, not driving."""
BACK_M = 3.0
"""How far behind the last nearest point the next is searched."""

NUMBERS = (
    "t_s",
    "x_m",
    "y_m",
    "z_m",
    "roll_rad",
    "pitch_rad",
    "yaw_rad",
    "speed_mps",
    "acceleration_mps2",
    "curvature",
)
"""Columns that are interpolated."""
MARKS = (
    "driver",
    "left_blinker",
    "right_blinker",
    "lane_left_m",
    "lane_right_m",
    "road_left_m",
    "road_right_m",
    "lead_distance_m",
)
"""Columns that are taken from the nearest frame: they jump (a lane change moves the ego lane's edges by a lane)."""


@dataclass(frozen=True, slots=True)
class Logs:
    """The logs of S segments, end to end. `slot` [B] below names each row's segment; indices are local to it."""

    first: Ints
    """[S] where each segment starts in the flat columns."""
    count: Ints
    """[S] frames."""
    columns: dict[str, Floats]
    """NUMBERS, MARKS and `station_m` (arc length from the first frame, m), each [sum of count] float64."""

    def at(self, name: str, slot: Ints, index: Floats) -> Floats:
        """[B] a column of NUMBERS (or `station_m`) at fractional indices, linear between frames."""
        values: Floats = _interpolated(self.columns[name], self.first, self.count, slot, index)
        return values

    def mark(self, name: str, slot: Ints, index: Floats) -> Floats:
        """[B] a column at the nearest frame."""
        values: Floats = _nearest_frames(self.columns[name], self.first, self.count, slot, index)
        return values

    def frame(self, slot: Ints, index: Floats) -> Ints:
        """[B] the frame nearest to a fractional index."""
        return np.clip(np.rint(index).astype(np.int64), 0, self.count[slot] - 1)

    def index_at_time(self, slot: Ints, t_s: Floats) -> Floats:
        """[B] fractional index at a time from the segment's start, held at the first and last frame."""
        index: Floats = _index_at_time(self.columns["t_s"], self.first, self.count, slot, t_s)
        return index

    def index_at_station(self, slot: Ints, station_m: Floats, time_index: Floats) -> Floats:
        """[B] fractional index at an arc length. Where the log stood still, many frames are at that place: the one
        nearest to `time_index` is taken."""
        index: Floats = _index_at_station(
            self.columns["station_m"], self.first, self.count, slot, station_m, time_index
        )
        return index

    def nearest(
        self, slot: Ints, x_m: Floats, y_m: Floats, hint_m: Floats, ahead_m: Floats
    ) -> tuple[Floats, Floats]:
        """([B] station, [B] lateral offset, left positive, m) of the nearest point of each row's path.

        Searched from BACK_M behind the last station `hint_m` to `ahead_m` beyond it, so that a path that meets itself
        is followed and never jumped across. Before the first and after the last frame the path goes on straight.
        """
        c = self.columns
        found: tuple[Floats, Floats] = _nearest(
            c["x_m"],
            c["y_m"],
            c["yaw_rad"],
            c["station_m"],
            self.first,
            self.count,
            slot,
            x_m,
            y_m,
            hint_m,
            ahead_m,
        )
        return found


def join(segments: Sequence[tuple[str, SegmentColumns]]) -> Logs:
    """Logs of (segment id, columns) pairs. Raises DataError naming segment, channel and row where a number that driving
    needs is missing or absurd, or the pose jumps."""
    tables = [_prepared(name, columns) for name, columns in segments]
    count = np.array([len(columns) for _, columns in segments], np.int64)
    first = np.concatenate([[0], np.cumsum(count)[:-1]]).astype(np.int64)
    return Logs(
        first=first,
        count=count,
        columns={key: np.concatenate([t[key] for t in tables]) for key in tables[0]},
    )


def _prepared(name: str, columns: SegmentColumns) -> dict[str, Floats]:
    table = {key: np.asarray(getattr(columns, key), np.float64) for key in NUMBERS + MARKS}
    for key in ("t_s", "x_m", "y_m", "z_m", "yaw_rad", "speed_mps"):
        bad = ~np.isfinite(table[key])
        if bad.any():
            raise _bad(name, f"{key}: row {int(np.argmax(bad))}", "a number expected, found none")
    for key, most in MOST.items():
        if (bad := np.abs(table[key]) > most).any():
            row = int(np.argmax(bad))
            raise _bad(
                name, f"{key}: row {row}", f"at most {most:g} expected, found {table[key][row]:g}"
            )
    t, speed = table["t_s"], table["speed_mps"]
    if np.any(np.diff(t) <= 0):
        raise _bad(name, f"t_s: row {int(np.argmax(np.diff(t) <= 0)) + 1}", "times must increase")
    step = np.hypot(np.diff(table["x_m"]), np.diff(table["y_m"]))
    bound = 2.0 * np.maximum(speed[:-1], speed[1:]) * np.diff(t) + 2.0
    for where, moved in (("x_m, y_m", step), ("z_m", np.abs(np.diff(table["z_m"])))):
        if (jump := moved > bound).any():
            row = int(np.argmax(jump))
            raise _bad(
                name,
                f"{where}: row {row + 1}",
                f"the pose jumps {moved[row]:.1f} m at {speed[row]:.1f} m/s",
            )
    turn = np.abs(np.diff(table["yaw_rad"]))
    if (spun := turn > MAX_YAW_RATE * np.diff(t) + 0.2).any():
        row = int(np.argmax(spun))
        raise _bad(
            name, f"yaw_rad: row {row + 1}", f"the heading jumps {np.degrees(turn[row]):.0f}°"
        )
    table["station_m"] = np.concatenate(
        [[0.0], np.cumsum(np.where(step < STANDSTILL_M, 0.0, step))]
    )
    for key in ("roll_rad", "pitch_rad"):
        table[key] = np.nan_to_num(table[key], nan=0.0)
    if len(t) > 1:
        rate = np.gradient(table["yaw_rad"], t) / np.maximum(speed, 1.0)
        table["acceleration_mps2"] = _filled(table["acceleration_mps2"], np.gradient(speed, t))
        table["curvature"] = _filled(table["curvature"], rate)
    else:
        table["acceleration_mps2"] = _filled(table["acceleration_mps2"], np.zeros(1))
        table["curvature"] = _filled(table["curvature"], np.zeros(1))
    return table


def _filled(values: Floats, instead: Floats) -> Floats:
    return np.where(np.isfinite(values), values, instead)


def _bad(name: str, where: str, problem: str) -> DataError:
    finding = Finding(where, problem, "import the segment again, or take it out of the suite")
    return DataError(f"segment {name} cannot be driven: {where}: {problem}", (finding,))


@njit(cache=True)
def _interpolated(column, first, count, slot, index):  # type: ignore[no-untyped-def]
    out = np.empty(len(slot))
    for row in range(len(slot)):
        start, last = first[slot[row]], count[slot[row]] - 1
        low = min(max(int(np.floor(index[row])), 0), max(last - 1, 0))
        weight = min(max(index[row] - low, 0.0), 1.0)
        a, b = column[start + low], column[start + min(low + 1, last)]
        out[row] = a if weight == 0.0 else a + weight * (b - a)
    return out


@njit(cache=True)
def _nearest_frames(column, first, count, slot, index):  # type: ignore[no-untyped-def]
    out = np.empty(len(slot))
    for row in range(len(slot)):
        frame = min(max(int(np.rint(index[row])), 0), count[slot[row]] - 1)
        out[row] = column[first[slot[row]] + frame]
    return out


@njit(cache=True)
def _index_at_time(t, first, count, slot, times):  # type: ignore[no-untyped-def]
    out = np.empty(len(slot))
    for row in range(len(slot)):
        start, n = first[slot[row]], count[slot[row]]
        log, time = t[start : start + n], times[row]
        if time <= log[0]:
            out[row] = 0.0
        elif time >= log[n - 1]:
            out[row] = n - 1.0
        else:
            k = np.searchsorted(log, time, side="right") - 1
            out[row] = k + (time - log[k]) / (log[k + 1] - log[k])
    return out


@njit(cache=True)
def _at(stations, s, side):  # type: ignore[no-untyped-def]
    n = len(stations)
    if s <= stations[0] and (side == 0 or s < stations[0]):
        return 0.0
    if s >= stations[n - 1] and (side == 1 or s > stations[n - 1]):
        return n - 1.0
    if side == 0:
        k = np.searchsorted(stations, s, side="left") - 1
    else:
        k = np.searchsorted(stations, s, side="right") - 1
    return k + (s - stations[k]) / (stations[k + 1] - stations[k])


@njit(cache=True)
def _index_at_station(station, first, count, slot, s, time_index):  # type: ignore[no-untyped-def]
    out = np.empty(len(slot))
    for row in range(len(slot)):
        start = first[slot[row]]
        log = station[start : start + count[slot[row]]]
        low, high = _at(log, s[row] - PLATEAU_M, 0), _at(log, s[row] + PLATEAU_M, 1)
        out[row] = min(max(time_index[row], low), high)
    return out


@njit(cache=True)
def _nearest(x, y, yaw, station, first, count, slot, px, py, hint, ahead):  # type: ignore[no-untyped-def]
    out_s, out_e = np.empty(len(slot)), np.empty(len(slot))
    for row in range(len(slot)):
        start, n = first[slot[row]], count[slot[row]]
        log = station[start : start + n]
        last = n - 2
        low = max(np.searchsorted(log, hint[row] - BACK_M, side="right") - 1, 0)
        # An edge that carries the path beyond its ends: the first and last that have a length.
        head, tail = 0, last
        while head < last and log[head + 1] == log[head]:
            head += 1
        while tail > 0 and log[tail + 1] == log[tail]:
            tail -= 1
        best, s_best, e_best = np.inf, hint[row], 0.0
        low = min(low, max(tail, 0))
        for k in range(low, last + 1):
            length = log[k + 1] - log[k]
            if best < np.inf and log[k] > hint[row] + ahead[row]:
                break
            if length <= 0.0:
                continue
            i = start + k
            ux, uy = (x[i + 1] - x[i]) / length, (y[i + 1] - y[i]) / length
            dx, dy = px[row] - x[i], py[row] - y[i]
            along = dx * ux + dy * uy
            if along < 0.0 and k != head:
                along = 0.0
            if along > length and k != tail:
                along = length
            rx, ry = dx - along * ux, dy - along * uy
            distance = rx * rx + ry * ry
            if distance < best:
                best, s_best = distance, log[k] + along
                side = ux * dy - uy * dx
                e_best = np.sqrt(distance) if side >= 0.0 else -np.sqrt(distance)
        if best == np.inf:  # the log never moves here: its heading is all there is
            i = start + min(max(low, 0), n - 1)
            dx, dy = px[row] - x[i], py[row] - y[i]
            e_best = dy * np.cos(yaw[i]) - dx * np.sin(yaw[i])
            s_best = log[i - start]
        out_s[row], out_e[row] = s_best, e_best
    return out_s, out_e
