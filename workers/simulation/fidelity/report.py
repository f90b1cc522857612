"""`redrive simulator report`: measures everything, and keeps it as one document."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from workers.policy.policy import Policy
from workers.simulation.fidelity import loop_agreement as loop
from workers.simulation.fidelity import single_views as views
from workers.simulation.fidelity import trust_bounds as trust
from workers.simulation.fidelity.artifact_probe import ArtifactProbe, probe
from workers.simulation.fidelity.bars import Bar, bars
from workers.simulation.fidelity.shots import (
    FULL,
    HELD_OUT_SEEDS,
    SEED,
    Displacement,
    Frame,
    Shot,
    take,
)
from workers.simulation.fidelity.stereo import Grey, PairFidelity, compare
from workers.simulation.fidelity.view_sources import SOURCES
from workers.simulation.world.corpus import make_segment

ROUTES, PER_ROUTE = 9, 3
"""Of the demo world: what the loop drives."""
PICTURED = (Displacement(lateral_m=1.0), Displacement(lateral_m=-2.0))
SHOWN = ("exact", "lidar", "stereo", "rough", "plane", "backward")
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Report:
    """All figures; pictures are kept apart, by title."""

    scenes: int
    models: tuple[str, ...]
    bars: list[Bar]
    likeness: list[views.Likeness]
    responses: list[views.Response]
    slips: list[views.Slip]
    trust: dict[str, dict[str, float]]
    probes: list[ArtifactProbe]
    loop_segments: int
    agreements: list[loop.Agreement]
    stereo: list[PairFidelity]
    pictures: dict[str, Frame | Grey] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As JSON; without the pictures."""
        out = asdict(self)
        del out["pictures"]
        derived = {"agreements": "verdicts_agree", "bars": "holds", "probes": "excess"}
        for name, figure in derived.items():
            for row, found in zip(out[name], getattr(self, name), strict=True):
                row[figure] = getattr(found, figure)
        return out


def measure(
    root: Path,
    models: Mapping[str, Policy],
    stereo: Path | None = None,
    routes: int = ROUTES,
    say: Say = lambda _: None,
) -> Report:
    """Everything, in half an hour on one core.

    root: the segment store; world segments that are missing are made. models: open camera policies;
    without any, what needs one is left out.
    """
    say("views against rendered truth")
    shots = take(root)
    grid = views.displacements()
    held = bars(worlds(root, shots))
    alike = views.likeness(shots, grid)
    say("what the models answer to them")
    answers = views.responses(shots, grid, models)
    late = views.slips(shots, models)
    say("the artifact probe")
    probes = probe()
    agreements = []
    count = 0
    if models:
        numbers = range(PER_ROUTE)
        segments = [
            make_segment(root, SEED, r, number) for r in range(routes) for number in numbers
        ]
        count = len(segments)
        tables = {}
        with TemporaryDirectory() as scratch:
            say(f"depth as sensors would log it: {count} segments")
            sensed = loop.sensed_segments(root, Path(scratch), segments)
            for name, simulator in loop.simulators(root, Path(scratch)).items():
                say(f"the loop: {count} segments, {len(models)} models, {name}")
                tables[name] = loop.drive_all(simulator, models, sensed.get(name, segments))
        truth = tables.pop("rendered")
        agreements = [loop.agreement(name, truth, found) for name, found in tables.items()]
    pairs: list[PairFidelity] = []
    pictures: dict[str, Frame | Grey] = _pictures(shots)
    if stereo is not None:
        say("stereo pairs")
        pairs, moved = compare(stereo)
        pictures |= {
            f"Frame {pair.frame}: moved {pair.offset_m:+.2f} m, real, difference": picture
            for pair, picture in zip(pairs, moved, strict=True)
        }
    return Report(
        scenes=len(shots),
        models=tuple(models),
        bars=held,
        likeness=alike,
        responses=answers,
        slips=late,
        probes=probes,
        trust=trust.table(answers, late, [s.name for s in SOURCES]) if models else {},
        loop_segments=count,
        agreements=agreements,
        stereo=pairs,
        pictures=pictures,
    )


def worlds(root: Path, shots: list[Shot]) -> dict[str, list[Shot]]:
    """By name, the shots on which the warp's rules were chosen, and those on which none was."""
    out = {f"procedural world, seed {SEED}": shots}
    for seed in HELD_OUT_SEEDS:
        out[f"held-out world, seed {seed}"] = take(root, seed=seed, sensors=())
    return out


def _pictures(shots: list[Shot]) -> dict[str, Frame | Grey]:
    """A day and a night scene: truth, and every source beside its error, three times as bright."""
    shown = [s for s in SOURCES if s.name in SHOWN]
    near = [s for s in shots if "near_vehicle" in s.tags]
    out: dict[str, Frame | Grey] = {}
    for night in (False, True):
        shot = next((s for s in near if ("night" in s.tags) == night), shots[0])
        for by in PICTURED:
            truth = shot.truth(by, FULL)
            columns = [np.concatenate([truth, np.zeros_like(truth)])]
            for source in shown:
                view = source.view(shot, by, FULL)
                error = np.clip(3 * np.abs(view.astype(np.int16) - truth), 0, 255).astype(np.uint8)
                columns.append(np.concatenate([view, error]))
            light = "night" if "night" in shot.tags else "day"
            title = f"{light}, {by.name}: truth, then {', '.join(s.name for s in shown)}"
            out[title] = np.concatenate(columns, axis=1)
    return out
