"""The state before the first step: segments, starts with their noise, vehicles, trust."""

from collections.abc import Callable, Sequence

import numpy as np

from suites.errors import DataError, Finding, SubmitterError
from suites.manifest import Manifest
from suites.parameters import Parameters
from suites.rollout import DriveKey
from suites.segment import SegmentMeta
from workers.simulation.road import logged_path, vehicle
from workers.simulation.road import plan_tracking as plan
from workers.simulation.road.driving_state import DrivingState, Place, Start
from workers.simulation.road.logged_path import Floats
from workers.simulation.road.trace_record import empty_record
from workers.simulation.road.trust import TRUST, trust_of
from workers.simulation.road.view_protocol import DrivenSegment, MakeViews


def check_action(manifest: Manifest, simulator: str) -> None:
    """Raises SubmitterError for a model whose answers cannot steer."""
    action = manifest.action
    steers = action is not None and action.kind in ("curvature", "plan")
    if not steers or manifest.kind != "camera":
        problem = "a camera model with a curvature or a plan as its action expected"
        finding = Finding("manifest.action", problem)
        raise SubmitterError(f"{manifest.name} cannot drive {simulator}", (finding,))
    if action is not None and action.kind == "plan":
        plan.check_times(action.plan_times_s)


def at_the_start(
    keys: Sequence[DriveKey],
    manifest: Manifest,
    segments: Sequence[DrivenSegment],
    parameters: Parameters,
    make_views: MakeViews,
    depth_of: Callable[[SegmentMeta], str],
) -> DrivingState:
    """B rows at step 0 of their windows, not yet placed on the road. Raises DataError.

    segments [S]: each that some key names, once.
    """
    slots = {segment.meta.segment_id: k for k, segment in enumerate(segments)}
    slot = np.array([slots[key.scenario.segment_id] for key in keys], np.int64)
    logs = logged_path.join([(s.meta.segment_id, s.columns) for s in segments])
    dt = 1.0 / manifest.rate_hz
    own = [segments[i] for i in slot]
    planned = np.array([_planned(key, segment, dt) for key, segment in zip(keys, own, strict=True)])
    # Four draws a row, in this order, used or not: one that is added later must come last.
    draws = np.stack([np.random.default_rng(key.seed).standard_normal(4) for key in keys])
    depth = tuple(depth_of(s.meta) for s in segments)
    trust = [trust_of(TRUST[depth[i]], parameters) for i in slot]
    device = keys[0].execution.device
    camera = manifest.camera
    return DrivingState(
        keys=tuple(keys),
        manifest=manifest,
        logs=logs,
        views=make_views(segments, camera, parameters, device) if camera else None,
        depth=depth,
        step=0,
        slot=slot,
        planned=planned,
        trust=np.array([[t.lateral_m, t.longitudinal_m, t.heading_rad] for t in trust]),
        record=empty_record(len(keys), int(planned.max())),
        start=_starts(keys, draws),
        place=Place(*[np.zeros(len(keys))] * 5),
        vehicles=_vehicles(keys, own, draws),
        motion=vehicle.standing(len(keys), vehicle.pending_slots(dt)),
    )


def _starts(keys: Sequence[DriveKey], draws: Floats) -> Start:
    offsets = [key.scenario.offset for key in keys]
    noise = [key.scenario.noise for key in keys]
    lateral = np.array([o.lateral_m for o in offsets])
    heading = np.array([o.heading_rad for o in offsets])
    return Start(
        time_s=np.array([key.scenario.start_s for key in keys]),
        lateral_m=lateral + draws[:, 0] * [n.pose_m for n in noise],
        longitudinal_m=np.array([o.longitudinal_m for o in offsets]),
        heading_rad=heading + draws[:, 1] * [n.heading_rad for n in noise],
        nominal_lateral_m=lateral,
    )


def _vehicles(
    keys: Sequence[DriveKey], own: Sequence[DrivenSegment], draws: Floats
) -> vehicle.Vehicles:
    noise = [key.scenario.noise for key in keys]
    believed = [segment.meta.vehicle for segment in own]
    true = [vehicle.overridden(car, key.vehicle) for car, key in zip(believed, keys, strict=True)]
    delay_noise = draws[:, 2] * [n.delay_s for n in noise]
    gain = np.maximum(1.0 + draws[:, 3] * [n.curvature_gain for n in noise], 0.1)
    return vehicle.vehicles(believed, true, delay_noise, gain)


def _planned(key: DriveKey, segment: DrivenSegment, dt: float) -> int:
    """Steps of the window. Raises DataError where the segment is another, or too short for it."""
    scenario, meta, times = key.scenario, segment.meta, segment.columns.t_s
    asked, stored = scenario.segment_digest, segment.digest
    if stored != asked:
        problem = f"digest {asked[:12]}… was asked for, {stored[:12]}… is stored"
        raise DataError(
            f"segment {meta.segment_id} is another one than was asked for",
            (Finding("meta.json", problem),),
        )
    steps = round((scenario.end_s - scenario.start_s) / dt)
    end_s = max(times[-1] + 1.5 / meta.rate_hz, meta.duration_s + 1e-6)
    if steps < 1 or scenario.end_s > end_s:
        window = f"{scenario.start_s:g} to {scenario.end_s:g} s"
        problem = f"the window {window} does not lie in its {times[-1]:g} s"
        raise DataError(
            f"segment {meta.segment_id} cannot be driven: {problem}",
            (Finding("scenario", problem),),
        )
    return steps
