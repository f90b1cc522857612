"""The same models drive the same segments, rendered and re-projected: do the verdicts agree?"""

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom
from scipy.stats import t as student

from suites.parameters import Parameters
from suites.rollout import DriveKey, ExecutionClass, Offset, Rollout, Scenario
from suites.segment import SegmentColumns, SegmentMeta
from suites.simulators import simulator_spec
from suites.vocabulary import Outcome
from workers.policy.policy import Policy
from workers.segments.store import StoredSegment, read_segment
from workers.simulation.fidelity.sensors import SENSORS, with_sensor
from workers.simulation.fidelity.view_sources import ROUGH_BLUR, ROUGH_SHARE
from workers.simulation.loop import drive
from workers.simulation.road.log_driving import DrivingSimulator
from workers.simulation.views import rendered
from workers.simulation.views.reprojection import over_segments

Floats = NDArray[np.float64]

OFFSETS_M = (0.0, 0.5, -1.0, 1.5)
"""Lateral, at the start of the window."""
START_S = 1.0
EXECUTION = ExecutionClass(runtime="onnxruntime", version="here")
ENOUGH = 0.95
"""Of the two-sided interval by which one model is called worse than another."""
ROWS_AT_ONCE = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """What a loop comes to."""

    failed: bool
    cost_m: float
    """Root mean square of the offset from the log; it stays at the bound after a failure."""
    lateral_m: Floats
    """[T]"""


Table = dict[tuple[str, str, float], Driven]
"""(model, segment id, offset m) to what came of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """One re-projecting source against the renderer."""

    source: str
    rollouts: int
    failures_rendered: int
    failures: int
    failures_agree: float
    """Share of the rollouts that failed in both or in neither."""
    failures_agree_by_offset: dict[float, float]
    path_difference_m: float
    """Root mean square difference of the two paths, over the steps that both drove."""
    path_difference_by_offset: dict[float, float]
    cost_correlation: float
    ranking: tuple[str, ...]
    """Models by mean cost, the best first."""
    ranking_rendered: tuple[str, ...]
    verdicts: dict[str, tuple[str, str]]
    """`a against b` to what (rendered, re-projected) says of a: better, worse or undecided."""

    @property
    def verdicts_agree(self) -> float:
        same = [a == b for a, b in self.verdicts.values()]
        return float(np.mean(same)) if same else float("nan")


@dataclass(frozen=True)
class RoughDepth:
    """A stored segment with depth as rough as a network's: `rough`, one error for all of it."""

    stored: StoredSegment

    @property
    def meta(self) -> SegmentMeta:
        return replace(self.stored.meta, depth_source="model")

    @property
    def digest(self) -> str:
        return self.stored.digest

    @property
    def columns(self) -> SegmentColumns:
        return self.stored.columns

    def frames(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        return self.stored.frames(start, stop)

    def depth(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        depth = np.nan_to_num(self.stored.depth(start, stop), nan=1000.0)
        coarse = np.random.default_rng(int(self.digest[:8], 16)).normal(0.0, ROUGH_SHARE, (8, 16))
        wrong = zoom(coarse, (depth.shape[1] / 8, depth.shape[2] / 16), order=1)
        blurred = gaussian_filter(np.log(depth), (0, ROUGH_BLUR, ROUGH_BLUR))
        return np.asarray(np.exp(blurred - wrong), np.float32)


def sensed_segments(
    root: Path, scratch: Path, segments: Sequence[SegmentMeta]
) -> dict[str, list[SegmentMeta]]:
    """By sensor, the same segments with the depth it would log, in a store `scratch`/sensor."""
    out: dict[str, list[SegmentMeta]] = {}
    for sensor in SENSORS:
        for meta in segments:
            shutil.copytree(root / meta.segment_id, scratch / sensor / meta.segment_id)
            out.setdefault(sensor, []).append(with_sensor(scratch / sensor, meta, sensor))
    return out


def simulators(root: Path, scratch: Path) -> dict[str, DrivingSimulator]:
    """Those that are compared, the renderer first; `scratch` as `sensed_segments` left it.

    The trust region is open: the question is where it should end.
    """
    open_end = Parameters(trust_lateral_m=1e3, trust_longitudinal_m=1e3, trust_heading_rad=10.0)

    def stored(name: str, root: Path = root) -> StoredSegment:
        return read_segment(root, name)

    sensed: dict[str, DrivingSimulator] = {
        sensor: over_segments(partial(stored, root=scratch / sensor), open_end)
        for sensor in SENSORS
    }
    return {
        "rendered": rendered.open_simulator(root, {}, {}),
        "stored": over_segments(stored, open_end),
        **sensed,
        "rough": over_segments(lambda name: RoughDepth(stored(name)), open_end),
        "plane": over_segments(stored, replace(open_end, warp="plane")),
        "backward": over_segments(stored, replace(open_end, warp="backward")),
    }


def drive_all(
    simulator: DrivingSimulator,
    models: Mapping[str, Policy],
    segments: Sequence[SegmentMeta],
    offsets: Sequence[float] = OFFSETS_M,
    progress: Callable[[int], None] = lambda _: None,
) -> Table:
    """Every model on every segment from every offset; `progress` gets the count of ended ones."""
    spec = simulator_spec(simulator.name, {})
    scenarios = [
        Scenario(
            segment_id=meta.segment_id,
            segment_digest=meta.digest,
            start_s=START_S,
            end_s=meta.duration_s,
            offset=Offset(lateral_m=offset),
        )
        for meta in segments
        for offset in offsets
    ]
    out: Table = {}
    for model, policy in models.items():
        keys = [
            DriveKey(model=model, simulator=spec, execution=EXECUTION, scenario=scenario)
            for scenario in scenarios
        ]
        for start in range(0, len(keys), ROWS_AT_ONCE):
            for rollout in drive(simulator, policy, keys[start : start + ROWS_AT_ONCE]):
                scenario = rollout.key.scenario
                place = (model, scenario.segment_id, scenario.offset.lateral_m)
                out[place] = _driven(rollout, simulator.parameters.lateral_bound_m)
                progress(len(out))
    return out


def agreement(source: str, truth: Table, found: Table) -> Agreement:
    """Compare two tables of the same keys."""
    keys = sorted(truth)
    same = {key: truth[key].failed == found[key].failed for key in keys}
    apart = {key: _apart(truth[key].lateral_m, found[key].lateral_m) for key in keys}
    names = sorted({key[0] for key in keys})
    costs = np.array([[table[key].cost_m for key in keys] for table in (truth, found)])
    varied = np.ptp(costs, axis=1).min() > 0
    same_by_offset, apart_by_offset = {}, {}
    for offset in sorted({key[2] for key in keys}):
        here = [key for key in keys if key[2] == offset]
        same_by_offset[offset] = float(np.mean([same[key] for key in here]))
        apart_by_offset[offset] = _rms([apart[key] for key in here])
    return Agreement(
        source=source,
        rollouts=len(keys),
        failures_rendered=sum(d.failed for d in truth.values()),
        failures=sum(d.failed for d in found.values()),
        failures_agree=float(np.mean(list(same.values()))),
        failures_agree_by_offset=same_by_offset,
        path_difference_m=_rms(list(apart.values())),
        path_difference_by_offset=apart_by_offset,
        cost_correlation=float(np.corrcoef(costs)[0, 1]) if varied else float("nan"),
        ranking=_ranking(found, names),
        ranking_rendered=_ranking(truth, names),
        verdicts={
            f"{a} against {b}": (verdict(truth, a, b), verdict(found, a, b))
            for a, b in combinations(names, 2)
        },
    )


def verdict(table: Table, candidate: str, baseline: str) -> str:
    """better, worse or undecided: paired differences of costs against Student's interval.

    They are averaged within each route first, since its segments are not independent.
    """
    routes: dict[str, list[float]] = {}
    for (model, segment, offset), driven in table.items():
        if model == candidate:
            difference = driven.cost_m - table[baseline, segment, offset].cost_m
            routes.setdefault(segment.rsplit("/", 1)[0], []).append(difference)
    means = np.array([np.mean(values) for values in routes.values()])
    if len(means) < 2:
        return "undecided"
    quantile = student.ppf(0.5 + ENOUGH / 2, len(means) - 1)
    half = float(quantile * means.std(ddof=1) / math.sqrt(len(means)))
    mean = float(means.mean())
    return "worse" if mean - half > 0 else "better" if mean + half < 0 else "undecided"


def _driven(rollout: Rollout, bound_m: float) -> Driven:
    lateral = np.zeros(0)
    planned = 0
    if rollout.trace is not None:
        lateral = np.asarray(rollout.trace["lateral_offset_m"])
        planned = rollout.trace.planned_steps
    failed = rollout.outcome is not Outcome.COMPLETED
    missed = np.full(planned - len(lateral), bound_m)
    full = np.concatenate([np.clip(lateral, -bound_m, bound_m), missed])
    return Driven(failed=failed, cost_m=_rms(full), lateral_m=lateral)


def _apart(a: Floats, b: Floats) -> float:
    n = min(len(a), len(b))
    return _rms(a[:n] - b[:n])


def _ranking(table: Table, names: Sequence[str]) -> tuple[str, ...]:
    def cost(name: str) -> float:
        return float(np.mean([d.cost_m for k, d in table.items() if k[0] == name]))

    return tuple(sorted(names, key=cost))


def _rms(values: Sequence[float] | Floats) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else 0.0
