"""The artifact probe: can a small regressor read the offset from traces of re-projection?

The log itself is put at a random place in the lane, so the lane tells little of the offset from the
log. What a regressor on re-projected views reads beyond one on rendered truth, it reads from
artifacts (the warning of Goff et al. 2025). The figure is the difference of the two R² on drives
that were not trained on.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suites.manifest import VirtualCamera
from workers.simulation.fidelity.likeness import luma
from workers.simulation.fidelity.shots import SEED, Displacement, Frame, Shot
from workers.simulation.fidelity.view_sources import SOURCES
from workers.simulation.world.drive import Drive, drive_spec, logged_pose, make_drive, render_pose
from workers.simulation.world.reduce import halved
from workers.simulation.world.route import route_spec

Floats = NDArray[np.float64]

CAMERA = VirtualCamera(width=128, height=64, fx=100.0, fy=100.0, cx=63.5, cy=29.5)
"""What the shipped models see."""
LOG_M, OFFSET_M = 1.0, 1.5
"""Half widths of the two uniform draws."""
CELL = 8
RIDGES = (1.0, 10.0, 100.0, 1e3, 1e4)
TRAIN_SHARE = 0.7
PROBED = ("exact", "rough", "plane")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactProbe:
    source: str
    r2: float
    r2_truth: float

    @property
    def excess(self) -> float:
        """What artifacts give away."""
        return self.r2 - self.r2_truth


def probe(drives: int = 24, per_drive: int = 50) -> list[ArtifactProbe]:
    """Over drives of the demo world (three on each route)."""
    rng = np.random.default_rng(SEED)
    offsets: list[float] = []
    groups: list[int] = []
    features: dict[str, list[Floats]] = {name: [] for name in ("truth", *PROBED)}
    for number in range(drives):
        spec = route_spec(SEED, number // 3)
        drive = make_drive(spec, drive_spec(spec, SEED, number % 3))
        for _ in range(per_drive):
            row = int(rng.integers(10, len(drive.columns) - 10))
            shot = _logged_at(drive, row, float(rng.uniform(-LOG_M, LOG_M)))
            offset = float(rng.uniform(-OFFSET_M, OFFSET_M))
            by = Displacement(lateral_m=offset)
            features["truth"].append(_features(shot.truth(by, CAMERA)))
            for source in SOURCES:
                if source.name in PROBED:
                    features[source.name].append(_features(source.view(shot, by, CAMERA)))
            offsets.append(offset)
            groups.append(number)
    train = np.array(groups) < TRAIN_SHARE * drives
    r2 = {
        name: _held_out_r2(np.stack(rows), np.array(offsets), train, np.array(groups))
        for name, rows in features.items()
    }
    return [ArtifactProbe(source=name, r2=r2[name], r2_truth=r2["truth"]) for name in PROBED]


@dataclass(frozen=True, slots=True)
class _Moved(Shot):
    """A shot of a log that drove beside the human's."""

    aside_m: float = 0.0

    @property
    def pose(self) -> Floats:
        pose = logged_pose(self.drive, self.row)
        pose[:2] += self.aside_m * np.array([-math.sin(pose[5]), math.cos(pose[5])])
        pose[2] += self.aside_m * pose[3]
        return pose


def _logged_at(drive: Drive, row: int, aside_m: float) -> Shot:
    blank = np.empty((0, 0, 3), np.uint8)
    empty = np.empty((0, 0), np.float32)
    at = _Moved(drive, row, (), blank, empty, blank, empty, aside_m=aside_m)
    picture, depth = render_pose(drive, at.time_s, at.pose)
    return _Moved(drive, row, (), picture, halved(depth), picture, depth, aside_m=aside_m)


def _features(view: Frame) -> Floats:
    """Luma of each CELL x CELL cell: mean, deviation and mean steepness along both axes."""
    grey = luma(view) / 255.0
    across = np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    down = np.abs(np.diff(grey, axis=0, append=grey[-1:]))
    h, w = grey.shape[0] // CELL, grey.shape[1] // CELL

    def cells(image: Floats) -> Floats:
        blocks = image[: h * CELL, : w * CELL].reshape(h, CELL, w, CELL)
        return np.asarray(blocks.mean(axis=(1, 3)).ravel())

    mean = cells(grey)
    deviation = np.sqrt(np.maximum(cells(grey**2) - mean**2, 0.0))
    return np.concatenate([mean, deviation, cells(across), cells(down)])


def _held_out_r2(
    x: Floats, y: Floats, train: NDArray[np.bool_], groups: NDArray[np.int64]
) -> float:
    """R² on the other rows, with the ridge that does best on a third of the drives trained on."""
    inner = train & (groups % 3 != 0)
    rest = train & ~inner
    tuned = max(RIDGES, key=lambda ridge: _r2(x[inner], y[inner], x[rest], y[rest], ridge))
    return _r2(x[train], y[train], x[~train], y[~train], tuned)


def _r2(x: Floats, y: Floats, x_new: Floats, y_new: Floats, ridge: float) -> float:
    centre = x.mean(axis=0)
    wide = x.std(axis=0) + 1e-6
    a = (x - centre) / wide
    weights = np.linalg.solve(a.T @ a + ridge * np.eye(a.shape[1]), a.T @ (y - y.mean()))
    left = y_new - y.mean() - (x_new - centre) / wide @ weights
    return float(1.0 - np.mean(left**2) / np.var(y_new))
