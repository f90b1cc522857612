"""Single views against rendered truth: by eye (PSNR, SSIM) and by what a policy answers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from workers.policy.policy import Observation, Policy
from workers.simulation.fidelity.likeness import psnr, ssim
from workers.simulation.fidelity.shots import FULL, Displacement, Frame, Shot, virtual
from workers.simulation.fidelity.view_sources import SOURCES, ViewSource
from workers.simulation.world.drive import render_pose

Floats = NDArray[np.float64]

LATERAL_M = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
LONGITUDINAL_M = (1.0, 2.0, 4.0)
HEADING_DEG = (1.0, 2.0, 4.0, 6.0, 9.0, 12.0)
COMBINED = (
    (0.5, 1.0, 2.0), (-0.5, -1.0, -2.0), (1.0, 2.0, -3.0),
    (-1.0, -2.0, 3.0), (1.5, 1.0, 4.0), (-1.5, 1.0, -4.0),
)  # fmt: skip
"""lateral m, longitudinal m, heading degrees."""
GROUPS = ("day", "night", "near_vehicle")


def displacements() -> list[Displacement]:
    """The grid, each to both sides, none first."""
    turns = [math.radians(v) for v in HEADING_DEG]
    out = [Displacement()]
    out += [Displacement(lateral_m=sign * v) for v in LATERAL_M for sign in (1, -1)]
    out += [Displacement(longitudinal_m=sign * v) for v in LONGITUDINAL_M for sign in (1, -1)]
    out += [Displacement(heading_rad=sign * v) for v in turns for sign in (1, -1)]
    for left, ahead, degrees in COMBINED:
        turn = math.radians(degrees)
        out.append(Displacement(lateral_m=left, longitudinal_m=ahead, heading_rad=turn))
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """One source at one displacement, the mean over the shots."""

    by: Displacement
    source: str
    psnr_db: float
    ssim: float
    groups: dict[str, float]
    """PSNR over the shots of each of GROUPS that has any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A model's answers at one displacement as lateral acceleration (curvature · speed²), m/s²."""

    by: Displacement
    source: str
    model: str
    error: float
    """Root mean square over the shots of re-projected less true answer."""
    bias: float
    """Its mean."""
    true: float
    """Root mean square of the true answer's change by the displacement: what is to be preserved."""


def likeness(
    shots: Sequence[Shot], grid: Sequence[Displacement], sources: Sequence[ViewSource] = SOURCES
) -> list[Likeness]:
    """PSNR and SSIM at FULL resolution."""
    among = {name: [name in words(shot) for shot in shots] for name in GROUPS}
    out = []
    for by in grid:
        truth = [shot.truth(by, FULL) for shot in shots]
        for source in sources:
            pairs = [(source.view(s, by, FULL), real) for s, real in zip(shots, truth, strict=True)]
            db = np.array([psnr(view, real) for view, real in pairs])
            alike = float(np.mean([ssim(view, real) for view, real in pairs]))
            groups = {name: float(db[rows].mean()) for name, rows in among.items() if any(rows)}
            mean = float(db.mean())
            name = source.name
            out.append(Likeness(by=by, source=name, psnr_db=mean, ssim=alike, groups=groups))
    return out


def responses(
    shots: Sequence[Shot],
    grid: Sequence[Displacement],
    models: Mapping[str, Policy],
    sources: Sequence[ViewSource] = SOURCES,
) -> list[Response]:
    """How each model's answers to truth and view differ. A model with history sees one view."""
    out = []
    for name, policy in models.items():
        camera = policy.manifest.camera
        assert camera is not None
        centred = answers(policy, shots, [shot.truth(Displacement(), camera) for shot in shots])
        for by in grid:
            real = answers(policy, shots, [shot.truth(by, camera) for shot in shots])
            true = _rms(real - centred)
            for source in sources:
                seen = [source.view(shot, by, camera) for shot in shots]
                off = answers(policy, shots, seen) - real
                figures = {"error": _rms(off), "bias": float(off.mean()), "true": true}
                out.append(Response(by=by, source=source.name, model=name, **figures))
    return out


def answers(policy: Policy, shots: Sequence[Shot], frames: Sequence[Frame]) -> Floats:
    """[n] m/s²: lateral acceleration asked for at sight of `frames`; the log tells the rest."""
    n = len(shots)

    def of(column: str) -> Floats:
        values = [getattr(shot.drive.columns, column)[shot.row] for shot in shots]
        return np.array(values, np.float64)

    desire = np.stack([np.zeros(n), of("left_blinker"), of("right_blinker")], axis=1)
    desire[:, 0] = 1.0 - desire[:, 1:].max(axis=1)
    scalars = {
        "speed": of("speed_mps"),
        "acceleration": of("acceleration_mps2"),
        "curvature": of("curvature"),
        "desire": desire,
        "traffic": np.tile([1.0, 0.0], (n, 1)),
    }
    policy.start(n)
    action = policy.act(Observation(frames=np.stack(frames), scalars=scalars))
    if action.curvature is None:
        assert action.plan is not None
        assert policy.manifest.action is not None
        when = np.array(policy.manifest.action.plan_times_s)
        k = int(np.argmin(np.abs(when - 1.0)))
        return np.asarray(2.0 * action.plan[:, k, 1] / when[k] ** 2)  # y = a t² / 2
    return np.asarray(action.curvature.reshape(n) * scalars["speed"] ** 2)


def words(shot: Shot) -> tuple[str, ...]:
    return (*shot.tags, *(() if "night" in shot.tags else ("day",)))


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Slip:
    """What a wrong time of moving things changes: the ego is `ahead_s` ahead of the log."""

    ahead_s: float
    ahead_m: float
    """Mean over the shots."""
    model: str
    error: float
    """Root mean square of the answer to the frame logged there less the true one, m/s²."""


SLIPS_S = (-1.0, -0.5, -0.25, 0.25, 0.5, 1.0)


def slips(
    shots: Sequence[Shot], models: Mapping[str, Policy], ahead: Sequence[float] = SLIPS_S
) -> list[Slip]:
    """The frame is chosen by arc length: early or late, only what moves is wrong."""
    out = []
    for name, policy in models.items():
        assert policy.manifest.camera is not None
        camera = virtual(policy.manifest.camera)
        for seconds in ahead:
            rate = shots[0].drive.spec.rate_hz
            there = [replace(s, row=s.row + round(seconds * rate)) for s in shots]
            seen, real, distance = [], [], []
            for now, then in zip(shots, there, strict=True):
                seen.append(render_pose(then.drive, then.time_s, then.pose, camera)[0])
                real.append(render_pose(then.drive, now.time_s, then.pose, camera)[0])
                distance.append(float(np.hypot(*(then.pose - now.pose)[:2])) * np.sign(seconds))
            off = answers(policy, there, seen) - answers(policy, there, real)
            ahead_m = float(np.mean(distance))
            out.append(Slip(ahead_s=seconds, ahead_m=ahead_m, model=name, error=_rms(off)))
    return out
