"""The plots of a case as data, for pages and browsers: candidate, baseline and log over time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from suites.metrics.comfort import lateral_acceleration_mps2, lateral_jerk_mps3, rate_of
from suites.metrics.tracking import lane_position_m
from suites.rollout import Trace

Floats = NDArray[np.float64]
Who = Literal["candidate", "baseline", "log"]
Signal = Callable[[Trace], Floats]


class Series(BaseModel):
    """One line."""

    who: Who
    name: str
    dashed: bool = False
    """What was asked for, not what was driven."""
    t_s: list[float]
    """From the window's start."""
    values: list[float | None]


class Panel(BaseModel):
    """One plot."""

    id: str
    title: str
    unit: str
    about: str
    series: list[Series]


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    needs: tuple[str, ...]
    signal: Signal
    log: bool = False
    """Of the log, at the nearest point of its path: taken from whichever trace is longer."""
    dashed: bool = False


class _Plot(NamedTuple):
    id: str
    title: str
    unit: str
    about: str


def _column(name: str) -> Signal:
    return lambda trace: np.asarray(trace[name], np.float64)


def _drawn(name: str, column: str, *, log: bool = False, dashed: bool = False) -> _Line:
    """A line that is a column of the trace as it stands."""
    return _Line(name, (column,), _column(column), log, dashed)


def _log_lateral_acceleration(trace: Trace) -> Floats:
    return np.asarray(trace["log_curvature"] * trace["log_speed_mps"] ** 2, np.float64)


def _log_lateral_jerk(trace: Trace) -> Floats:
    return rate_of(_log_lateral_acceleration(trace), trace.rate_hz)


def _lataccel_rate(trace: Trace) -> Floats:
    return rate_of(np.asarray(trace["lataccel_mps2"], np.float64), trace.rate_hz)


def _log_lane_position(trace: Trace) -> Floats:
    """Where the log's own drive was in the lane, at the same place."""
    return np.asarray(lane_position_m(trace) - trace["lateral_offset_m"], np.float64)


_LANE = ("lane_left_m", "lane_right_m")
_MOTION = ("curvature", "speed_mps")
_LOG_MOTION = ("log_curvature", "log_speed_mps")

PLOTS: dict[_Plot, tuple[_Line, ...]] = {
    _Plot("lateral", "Lateral offset from the log", "m", "Left of the logged path is positive."): (
        _drawn("driven", "lateral_offset_m"),
        _Line("log", ("lateral_offset_m",), lambda trace: np.zeros(len(trace)), log=True),
    ),
    _Plot(
        "curvature",
        "Curvature",
        "1/m",
        "What each model asked for (dotted) and what the vehicle drove; left is positive.",
    ): (
        _drawn("driven", "curvature"),
        _drawn("asked for", "curvature_command", dashed=True),
        _drawn("log", "log_curvature", log=True),
    ),
    _Plot("speed", "Speed", "m/s", "The log's at the nearest point of its path."): (
        _drawn("driven", "speed_mps"),
        _drawn("log", "log_speed_mps", log=True),
    ),
    _Plot(
        "lateral-acceleration", "Lateral acceleration", "m/s²", "Curvature times speed squared."
    ): (
        _Line("driven", _MOTION, lateral_acceleration_mps2),
        _Line("log", _LOG_MOTION, _log_lateral_acceleration, log=True),
    ),
    _Plot("lateral-jerk", "Lateral jerk", "m/s³", "Change of lateral acceleration per second."): (
        _Line("driven", _MOTION, lateral_jerk_mps3),
        _Line("log", _LOG_MOTION, _log_lateral_jerk, log=True),
    ),
    _Plot(
        "lane",
        "Position in the lane",
        "m",
        "From the middle of the lane; left is positive. Gaps: edges unknown.",
    ): (
        _Line("driven", _LANE, lane_position_m),
        _Line("log", (*_LANE, "lateral_offset_m"), _log_lane_position, log=True),
    ),
    _Plot("controls", "Lateral acceleration", "m/s²", "Simulated against wanted."): (
        _drawn("driven", "lataccel_mps2"),
        _drawn("wanted", "target_lataccel_mps2", log=True),
    ),
    _Plot("controls-jerk", "Lateral jerk", "m/s³", "Change of lateral acceleration per second."): (
        _Line("driven", ("lataccel_mps2",), _lataccel_rate),
    ),
    _Plot("action", "Steer action", "1", "What each controller answered."): (
        _drawn("answered", "action"),
    ),
}


def panels(candidate: Trace | None, baseline: Trace | None) -> list[Panel]:
    """The plots whose columns these traces have."""
    both: dict[Who, Trace | None] = {"candidate": candidate, "baseline": baseline}
    traces = {who: trace for who, trace in both.items() if trace is not None}
    drawn = []
    for plot, lines in PLOTS.items():
        series = [series for line in lines for series in _series(line, traces)]
        if any(one.who != "log" and any(v is not None for v in one.values) for one in series):
            drawn.append(Panel(**plot._asdict(), series=series))
    return drawn


def _series(line: _Line, traces: dict[Who, Trace]) -> list[Series]:
    able: dict[Who, Trace] = {
        who: trace for who, trace in traces.items() if trace.columns.keys() >= set(line.needs)
    }
    if line.log and able:
        able = {"log": max(able.values(), key=len)}
    return [
        Series(
            who=who,
            name=line.name,
            dashed=line.dashed,
            t_s=[round(float(t), 4) for t in trace["t_s"]],
            values=[float(f"{v:.5g}") if np.isfinite(v) else None for v in line.signal(trace)],
        )
        for who, trace in able.items()
    ]


class TableRow(BaseModel):
    """The values of a panel at one time."""

    t_s: float
    values: list[float | None]
    """In the order of the panel's series; null where a series has none."""


def table(panel: Panel, every_s: float = 0.5) -> list[TableRow]:
    """The panel's numbers, a row every `every_s` seconds: the plot for those who can't see it."""
    times = [dict(zip(series.t_s, series.values, strict=True)) for series in panel.series]
    longest = max((t for t in times), key=len, default={})
    rows = []
    due = 0.0
    for t in longest:
        if t >= due - 1e-6:
            rows.append(TableRow(t_s=t, values=[by_time.get(t) for by_time in times]))
            due = t + every_s
    return rows
