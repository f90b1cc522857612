"""`redrive simulator`: how far it can be trusted, and what a car's steering is really like."""

import json
import sys
from contextlib import ExitStack, closing
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Annotated

import typer

from cli.model_folders import local_model, shipped_models
from cli.options import HERE, AsJson, Data, Segment, option
from cli.printing import Columns, print_items, print_json
from suites.errors import Finding, SubmitterError
from suites.segment_lookup import find_segment

app = typer.Typer(no_args_is_help=True)


@app.command()
def learn(segment: Segment, data: Data = HERE, as_json: AsJson = False) -> None:
    """Estimate steer ratio, stiffness factor and angle offset from a log, and what they change."""
    from workers.segments.store import list_segments, read_segment
    from workers.simulation.road.vehicle_learner import NAMES, held_out_drift
    from workers.simulation.road.vehicle_learner import learn as learn_from

    root = data / "segments"
    stored = read_segment(root, find_segment(segment, list_segments(root)).segment_id)
    start = stored.meta.vehicle
    found = learn_from(stored.columns, start)
    before, after, window = held_out_drift(stored.columns, start)
    intervals = {name: found.interval(name) for name in NAMES}
    if as_json:
        figures = {"before_m_per_minute": before, "after_m_per_minute": after, "window_s": window}
        drift = {name: value if isfinite(value) else None for name, value in figures.items()}
        said = {"segment": stored.meta.segment_id, **asdict(found)}
        print_json(said | {"interval": intervals, "drift": drift})
        return
    columns: Columns = {
        "parameter": str,
        "stored": lambda name: f"{getattr(start, name):.6g}",
        "learned": lambda name: f"{getattr(found.vehicle, name):.6g}",
        "from": lambda name: f"{intervals[name][0]:.6g}",
        "to (95 %)": lambda name: f"{intervals[name][1]:.6g}",
    }
    print_items(NAMES, columns, "")
    if found.stiffness_factor is not None:
        print(f"Tyre stiffness is {found.stiffness_factor:.3f} of the stored vehicle's.")
    worth = f"{found.independent_rows:.0f} independent ones"
    print(f"Learned from {found.rows} rows, which weigh as {worth}.")
    print(_drift(before, after, window))


def _drift(before: float, after: float, window: float) -> str:
    if not isfinite(before + after):
        return (
            "How far the vehicle model drifts is unknown: "
            f"no half of the log has {window:.0f} s in which the wheel is known."
        )
    return (
        f"Open loop, the vehicle model drifts {before:.1f} m per minute from the logged path "
        f"as stored and {after:.1f} m as learned from the other half of the log "
        f"(windows of {window:.0f} s)."
    )


@app.command()
def report(
    out: Annotated[
        Path, option("Where the page goes; a .json of the same figures beside it.", "REDRIVE_OUT")
    ] = Path("simulator.html"),
    model: Annotated[
        list[str] | None,
        option("A shipped camera model or a folder with one; every shipped one if not given."),
    ] = None,
    stereo: Annotated[
        Path | None, option("Rectified stereo pairs, laid out as KITTI odometry.", "REDRIVE_STEREO")
    ] = None,
    routes: Annotated[
        int, option("Worlds that the loop drives, three segments each.", "REDRIVE_ROUTES", min=2)
    ] = 9,
    data: Data = HERE,
) -> None:
    """Measure the fidelity of re-projection.

    It looks at views, a model's answers, the loop, artifacts and real stereo pairs.
    """
    from workers.policy.load import open_policy
    from workers.simulation.fidelity.page import render
    from workers.simulation.fidelity.report import measure

    bundles = [local_model(name) for name in model or shipped_models()]
    cameras = [bundle for bundle in bundles if bundle[0].kind == "camera" and bundle[0].graphs]
    if model and len(cameras) < len(model):
        finding = Finding("--model", "a camera model expected")
        raise SubmitterError("only camera models with a graph can look at views", finding)

    def say(what: str) -> None:
        print(what, file=sys.stderr)

    with ExitStack() as stack:
        policies = {
            m.name: stack.enter_context(closing(open_policy(m, graphs))) for m, graphs in cameras
        }
        found = measure(data / "segments", policies, stereo, routes, say=say)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(render(found))
    out.with_suffix(".json").write_text(json.dumps(found.document(), indent=1))
    print(f"{out} and {out.with_suffix('.json')}")
