"""The logged path: arc length, nearest points and columns at fractional frame indices, in batches.

Every loop is over rows that do not see each other, and nothing is summed across rows: a row's bits
are the same in any batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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

DRIVEN = ("t_s", "x_m", "y_m", "z_m", "yaw_rad", "speed_mps")
"""Columns without which a log cannot be driven."""
TILTS, ESTIMATED = ("roll_rad", "pitch_rad"), ("acceleration_mps2", "curvature")
"""Where missing: a level road; what the poses say."""
MARKS = ("driver", "left_blinker", "right_blinker", "lead_distance_m")
EDGES = ("lane_left_m", "lane_right_m", "road_left_m", "road_right_m")
"""Taken from the nearest frame: they jump (a lane change moves the edges by a lane)."""


class Course(NamedTuple):
    """What `nearest` needs of `Logs`. A kernel that is called often takes its arrays one by one:
    a named tuple costs 2 µs a call."""

    first: Ints
    frames: Ints
    x_m: Floats
    y_m: Floats
    yaw_rad: Floats
    station_m: Floats


@dataclass(frozen=True, slots=True)
class Logs:
    """The logs of S segments, end to end. `slot` [B] is each row's segment; indices are its own."""

    first: Ints
    """[S] where each segment starts in the flat columns."""
    frames: Ints
    """[S]."""
    columns: dict[str, Floats]
    """All the above, and `station_m`: arc length from the first frame; each [sum of frames]."""

    def at(self, name: str, slot: Ints, index: Floats) -> Floats:
        """[B] a column at fractional indices, linear between frames."""
        values: Floats = _interpolated(self.columns[name], self.first, self.frames, slot, index)
        return values

    def mark(self, name: str, slot: Ints, index: Floats) -> Floats:
        """[B] a column at the nearest frame."""
        values: Floats = _nearest_frames(self.columns[name], self.first, self.frames, slot, index)
        return values

    def frame(self, slot: Ints, index: Floats) -> Ints:
        """[B] the frame nearest to a fractional index."""
        return np.clip(np.rint(index).astype(np.int64), 0, self.frames[slot] - 1)

    def index_at_time(self, slot: Ints, t_s: Floats) -> Floats:
        """[B] fractional index at a time from the segment's start, held at both ends."""
        index: Floats = _index_at_time(self.columns["t_s"], self.first, self.frames, slot, t_s)
        return index

    def index_at_station(self, slot: Ints, station_m: Floats, time_index: Floats) -> Floats:
        """[B] fractional index at an arc length.

        Where the log stood still many frames are there: the one nearest to `time_index` is taken.
        """
        stations = self.columns["station_m"]
        index: Floats = _index_at_station(
            stations, self.first, self.frames, slot, station_m, time_index
        )
        return index

    def nearest(
        self, slot: Ints, x_m: Floats, y_m: Floats, hint_m: Floats, ahead_m: Floats
    ) -> tuple[Floats, Floats]:
        """([B] station, [B] lateral offset, left positive, m) of each path's nearest point.

        Searched from BACK_M behind the last station `hint_m` to `ahead_m` beyond it: a path that
        meets itself is followed and never jumped across. It goes on straight beyond its ends.
        """
        c = self.columns
        course = Course(self.first, self.frames, c["x_m"], c["y_m"], c["yaw_rad"], c["station_m"])
        found: tuple[Floats, Floats] = _nearest(course, slot, x_m, y_m, hint_m, ahead_m)
        return found


def join(segments: Sequence[tuple[str, SegmentColumns]]) -> Logs:
    """Logs of (segment id, columns) pairs.

    Raises DataError naming segment, channel and row where a number that driving needs is missing or
    absurd, or the pose jumps.
    """
    tables = [_prepared(name, columns) for name, columns in segments]
    frames = np.array([len(columns) for _, columns in segments], np.int64)
    first = np.concatenate([[0], np.cumsum(frames)[:-1]]).astype(np.int64)
    columns = {key: np.concatenate([t[key] for t in tables]) for key in tables[0]}
    return Logs(first, frames, columns)


def _prepared(name: str, columns: SegmentColumns) -> dict[str, Floats]:
    kept = DRIVEN + TILTS + ESTIMATED + MARKS + EDGES
    table = {key: np.asarray(getattr(columns, key), np.float64) for key in kept}
    for row, where, problem in _damage(table):
        finding_at = f"{where}: row {row}"
        finding = Finding(
            finding_at, problem, "import the segment again, or take it out of the suite"
        )
        raise DataError(f"segment {name} cannot be driven: {finding_at}: {problem}", (finding,))
    t, speed, yaw = table["t_s"], table["speed_mps"], table["yaw_rad"]
    step = np.hypot(np.diff(table["x_m"]), np.diff(table["y_m"]))
    moved = np.where(step < STANDSTILL_M, 0.0, step)
    table["station_m"] = np.concatenate([[0.0], np.cumsum(moved)])
    for key in TILTS:
        table[key] = np.nan_to_num(table[key], nan=0.0)
    still = np.zeros(1)
    gained = np.gradient(speed, t) if len(t) > 1 else still
    turned = np.gradient(yaw, t) / np.maximum(speed, 1.0) if len(t) > 1 else still
    for key, instead in zip(ESTIMATED, (gained, turned), strict=True):
        table[key] = np.where(np.isfinite(table[key]), table[key], instead)
    return table


def _damage(table: dict[str, Floats]) -> Iterator[tuple[int, str, str]]:
    """(row, channel, problem) of what no drive can have logged."""
    for key in DRIVEN:
        if (bad := ~np.isfinite(table[key])).any():
            yield int(np.argmax(bad)), key, "a number expected, found none"
    for key, most in MOST.items():
        if (bad := np.abs(table[key]) > most).any():
            row = int(np.argmax(bad))
            yield row, key, f"at most {most:g} expected, found {table[key][row]:g}"
    passed = np.diff(table["t_s"])
    speed = table["speed_mps"]
    if (bad := passed <= 0).any():
        yield int(np.argmax(bad)) + 1, "t_s", "times must increase"
    bound = 2.0 * np.maximum(speed[:-1], speed[1:]) * passed + 2.0
    along = np.hypot(np.diff(table["x_m"]), np.diff(table["y_m"]))
    for where, moved in (("x_m, y_m", along), ("z_m", np.abs(np.diff(table["z_m"])))):
        if (bad := moved > bound).any():
            row = int(np.argmax(bad))
            yield row + 1, where, f"the pose jumps {moved[row]:.1f} m at {speed[row]:.1f} m/s"
    turn = np.abs(np.diff(table["yaw_rad"]))
    if (bad := turn > MAX_YAW_RATE * passed + 0.2).any():
        row = int(np.argmax(bad))
        yield row + 1, "yaw_rad", f"the heading jumps {np.degrees(turn[row]):.0f}°"


@njit(cache=True)
def _interpolated(column, first, frames, slot, index):  # type: ignore[no-untyped-def]
    out = np.empty(len(slot))
    for row in range(len(slot)):
        start = first[slot[row]]
        last = frames[slot[row]] - 1
        low = min(max(int(np.floor(index[row])), 0), max(last - 1, 0))
        weight = min(max(index[row] - low, 0.0), 1.0)
        a = column[start + low]
        b = column[start + min(low + 1, last)]
        out[row] = a if weight == 0.0 else a + weight * (b - a)
    return out


@njit(cache=True)
def _nearest_frames(column, first, frames, slot, index):  # type: ignore[no-untyped-def]
    out = np.empty(len(slot))
    for row in range(len(slot)):
        frame = min(max(int(np.rint(index[row])), 0), frames[slot[row]] - 1)
        out[row] = column[first[slot[row]] + frame]
    return out


@njit(cache=True)
def _index_at_time(t, first, frames, slot, times):  # type: ignore[no-untyped-def]
    out = np.empty(len(slot))
    for row in range(len(slot)):
        start, n = first[slot[row]], frames[slot[row]]
        log = t[start : start + n]
        time = times[row]
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
def _index_at_station(station, first, frames, slot, s, time_index):  # type: ignore[no-untyped-def]
    out = np.empty(len(slot))
    for row in range(len(slot)):
        start = first[slot[row]]
        log = station[start : start + frames[slot[row]]]
        low = _at(log, s[row] - PLATEAU_M, 0)
        high = _at(log, s[row] + PLATEAU_M, 1)
        out[row] = min(max(time_index[row], low), high)
    return out


@njit(cache=True)
def _nearest(course, slot, px, py, hint, ahead):  # type: ignore[no-untyped-def]
    x, y, yaw = course.x_m, course.y_m, course.yaw_rad
    out_s, out_e = np.empty(len(slot)), np.empty(len(slot))
    for row in range(len(slot)):
        start, n = course.first[slot[row]], course.frames[slot[row]]
        log = course.station_m[start : start + n]
        last = n - 2
        low = max(np.searchsorted(log, hint[row] - BACK_M, side="right") - 1, 0)
        # An edge that carries the path beyond its ends: the first and last that have a length.
        head = 0
        tail = last
        while head < last and log[head + 1] == log[head]:
            head += 1
        while tail > 0 and log[tail + 1] == log[tail]:
            tail -= 1
        best = np.inf
        s_best = hint[row]
        e_best = 0.0
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
                best = distance
                s_best = log[k] + along
                side = ux * dy - uy * dx
                e_best = np.sqrt(distance) if side >= 0.0 else -np.sqrt(distance)
        if best == np.inf:  # the log never moves here: its heading is all there is
            i = start + min(max(low, 0), n - 1)
            dx, dy = px[row] - x[i], py[row] - y[i]
            e_best = dy * np.cos(yaw[i]) - dx * np.sin(yaw[i])
            s_best = log[i - start]
        out_s[row], out_e[row] = s_best, e_best
    return out_s, out_e
