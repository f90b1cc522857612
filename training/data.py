"""Training samples: what a model sees on or beside the path, and the curvature to ask for."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suites.manifest import VirtualCamera
from workers.simulation.world.drive import STORED_CAMERA, drive_spec, make_drive, render_view
from workers.simulation.world.route import route_spec

VIEW = VirtualCamera(width=128, height=64, fx=100.0, fy=100.0, cx=63.5, cy=29.5)
"""Half the stored resolution at the same horizon, and 20 % less of the width: room for offsets."""
CAMERA = replace(STORED_CAMERA, **asdict(VIEW))
AHEAD_S = 0.3
"""Actuator delay and lag: the curvature asked for now is driven then."""
RETURN_RADPS = 0.7
"""Natural frequency of the critically damped return to the human's path."""
MAX_LATERAL_MPS2 = 3.0
OFFSET_STD_M, HEADING_STD_RAD = 0.6, 0.025
WORLD_SEED = 7001
"""Never the demo corpus's seed: what is driven in a suite was not seen in training."""


@dataclass(frozen=True, slots=True)
class Samples:
    frames: NDArray[np.uint8]
    """[n, 3, H, W] RGB."""
    speed_mps: NDArray[np.float32]
    curvature: NDArray[np.float32]
    """[n] 1/m that the human drove at that moment."""
    desire: NDArray[np.float32]
    """[n, 3] one-hot: none, left, right."""
    target: NDArray[np.float32]
    """[n] 1/m to ask for."""

    @property
    def inputs(self) -> tuple[NDArray[Any], ...]:
        """What the model reads, in the order of its inputs."""
        return self.frames, self.speed_mps, self.curvature, self.desire


def corrective_curvature(
    ahead: float, offset_m: float, heading_rad: float, speed_mps: float
) -> float:
    """The human's curvature ahead plus a critically damped return to the path, bounded.

    e'' = v² (k - k_ref), with e'' + 2 w e' + w² e = 0 and e' = v * heading.
    """
    v = max(speed_mps, 3.0)
    back = RETURN_RADPS**2 * offset_m + 2 * RETURN_RADPS * v * np.sin(heading_rad)
    wanted = ahead - back / v**2
    bound = MAX_LATERAL_MPS2 / v**2
    return float(np.clip(wanted, -bound, bound))


def of_drive(route: int, number: int, count: int, displaced: bool) -> Samples:
    """`count` samples of one drive, at the logged poses or displaced and turned at random."""
    rng = np.random.default_rng([WORLD_SEED, route, number, displaced])
    spec = route_spec(WORLD_SEED, route)
    drive = make_drive(spec, drive_spec(spec, WORLD_SEED, number))
    log = drive.columns
    usable = len(log) - round(AHEAD_S / 0.05) - 1
    rows = np.sort(rng.choice(usable, size=min(count, usable), replace=False))
    away = displaced & (rng.random(len(rows)) < 0.8)
    offset = np.where(away, np.clip(rng.normal(0, OFFSET_STD_M, len(rows)), -1.8, 1.8), 0.0)
    heading = np.where(away, np.clip(rng.normal(0, HEADING_STD_RAD, len(rows)), -0.08, 0.08), 0.0)
    frames = np.empty((len(rows), 3, VIEW.height, VIEW.width), dtype=np.uint8)
    target = np.empty(len(rows), dtype=np.float32)
    for k, i in enumerate(rows):
        yaw = float(log.yaw_rad[i])
        x = float(log.x_m[i] - np.sin(yaw) * offset[k])
        y = float(log.y_m[i] + np.cos(yaw) * offset[k])
        rgb, _ = render_view(drive, float(log.t_s[i]), x, y, yaw + float(heading[k]), CAMERA)
        frames[k] = rgb.transpose(2, 0, 1)
        ahead = float(np.interp(log.t_s[i] + AHEAD_S, log.t_s, log.curvature))
        away_m, turned, speed = float(offset[k]), float(heading[k]), float(log.speed_mps[i])
        target[k] = corrective_curvature(ahead, away_m, turned, speed)
    desire = np.zeros((len(rows), 3), dtype=np.float32)
    turn = np.where(log.left_blinker[rows], 1, np.where(log.right_blinker[rows], 2, 0))
    desire[np.arange(len(rows)), turn] = 1
    speeds, curvatures = (c[rows].astype(np.float32) for c in (log.speed_mps, log.curvature))
    return Samples(frames, speeds, curvatures, desire, target)


def collect(
    routes: int, per_drive: int, displaced: bool, cache: Path, processes: int = 2
) -> Samples:
    """Samples of three drives a route, kept in `cache`: rendering takes longer than training."""
    path = cache / f"samples-{routes}-{per_drive}-{int(displaced)}.npz"
    if not path.exists():
        drives = [(route, number) for route in range(routes) for number in range(3)]
        with ProcessPoolExecutor(processes) as pool:
            jobs = [pool.submit(of_drive, *drive, per_drive, displaced) for drive in drives]
            parts = [job.result() for job in jobs]
        cache.mkdir(parents=True, exist_ok=True)
        names = Samples.__dataclass_fields__
        arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        np.savez(path, allow_pickle=False, **arrays)
    with np.load(path) as file:
        return Samples(**{name: file[name] for name in file.files})
