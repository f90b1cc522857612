"""Single views against rendered truth: by eye (PSNR, SSIM) and by what a policy answers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.policy.policy import Observation, Policy
from workers.simulation.fidelity.likeness import psnr, ssim
from workers.simulation.fidelity.shots import FULL, Depth, Displacement, Frame, Shot, virtual
from workers.simulation.fidelity.view_sources import SOURCES, ViewSource
from workers.simulation.world.drive import render_view

Floats = NDArray[np.float64]

LATERAL_M = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
LONGITUDINAL_M = (1.0, 2.0, 4.0)
HEADING_DEG = (1.0, 2.0, 4.0, 6.0, 9.0, 12.0)
COMBINED = (
    (0.5, 1.0, 2.0),
    (-0.5, -1.0, -2.0),
    (1.0, 2.0, -3.0),
    (-1.0, -2.0, 3.0),
    (1.5, 1.0, 4.0),
    (-1.5, 1.0, -4.0),
)
"""lateral m, longitudinal m, heading degrees."""
GROUPS = ("day", "night", "near_vehicle")


def displacements() -> list[Displacement]:
    """The grid, each to both sides, none first."""
    out = [Displacement()]
    out += [Displacement(lateral_m=sign * v) for v in LATERAL_M for sign in (1, -1)]
    out += [Displacement(longitudinal_m=sign * v) for v in LONGITUDINAL_M for sign in (1, -1)]
    out += [
        Displacement(heading_rad=sign * math.radians(v)) for v in HEADING_DEG for sign in (1, -1)
    ]
    out += [
        Displacement(lateral_m=a, longitudinal_m=b, heading_rad=math.radians(c))
        for a, b, c in COMBINED
    ]
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
    out = []
    for by in grid:
        truth = [shot.truth(by, FULL) for shot in shots]
        for source in sources:
            views = [source.view(shot, by, FULL) for shot in shots]
            quality = np.array([psnr(view, real) for view, real in zip(views, truth, strict=True)])
            groups = {
                name: float(quality[[name in words(shot) for shot in shots]].mean())
                for name in GROUPS
                if any(name in words(shot) for shot in shots)
            }
            alike = float(
                np.mean([ssim(view, real) for view, real in zip(views, truth, strict=True)])
            )
            out.append(
                Likeness(
                    by=by,
                    source=source.name,
                    psnr_db=float(quality.mean()),
                    ssim=alike,
                    groups=groups,
                )
            )
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
            for source in sources:
                off = (
                    answers(policy, shots, [source.view(shot, by, camera) for shot in shots]) - real
                )
                out.append(
                    Response(
                        by=by,
                        source=source.name,
                        model=name,
                        error=_rms(off),
                        bias=float(off.mean()),
                        true=_rms(real - centred),
                    )
                )
    return out


def answers(policy: Policy, shots: Sequence[Shot], frames: Sequence[Frame]) -> Floats:
    """[n] m/s²: lateral acceleration asked for at sight of `frames`; the log tells the rest."""
    n = len(shots)

    def of(column: str) -> Floats:
        return np.array(
            [getattr(shot.drive.columns, column)[shot.row] for shot in shots], np.float64
        )

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
            there = [
                Shot(s.drive, s.row + round(seconds * rate), s.tags, *_pictures(s)) for s in shots
            ]
            seen, real, distance = [], [], []
            for now, then in zip(shots, there, strict=True):
                x, y, z, roll, pitch, yaw = (float(v) for v in then.pose)
                tilt = (z, roll, pitch)
                seen.append(render_view(then.drive, then.time_s, x, y, yaw, camera, tilt=tilt)[0])
                real.append(render_view(then.drive, now.time_s, x, y, yaw, camera, tilt=tilt)[0])
                distance.append(float(np.hypot(*(then.pose - now.pose)[:2])) * np.sign(seconds))
            off = answers(policy, there, seen) - answers(policy, there, real)
            out.append(
                Slip(ahead_s=seconds, ahead_m=float(np.mean(distance)), model=name, error=_rms(off))
            )
    return out


def _pictures(shot: Shot) -> tuple[Frame, Depth, Frame, Depth]:
    return shot.picture, shot.depth, shot.stored_picture, shot.stored_depth
