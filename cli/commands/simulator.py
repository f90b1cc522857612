"""`redrive simulator`: how far the simulator can be trusted, and what a car's steering is really like."""

import json
import sys
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Annotated

import typer

from cli.connection import AsJson, print_json, print_table

app = typer.Typer(help="Reports on the simulator's own fidelity.", no_args_is_help=True)

Data = Annotated[
    Path, typer.Option("--data", envvar="REDRIVE_DATA", help="Folder of the installation.")
]
HERE = Path(".redrive")


@app.command()
def learn(
    segment: Annotated[
        str,
        typer.Argument(help="Segment, in any form: route/3, dongle|route--3, a connect address."),
    ],
    data: Data = HERE,
    as_json: AsJson = False,
) -> None:
    """Estimate steer ratio, stiffness factor and angle offset from a log, and what they change."""
    from suites.segment_lookup import find_segment
    from workers.segments.store import list_segments, read_segment
    from workers.simulation.road.vehicle_learner import NAMES, held_out_drift
    from workers.simulation.road.vehicle_learner import learn as learn_from

    stored = read_segment(
        data / "segments", find_segment(segment, list_segments(data / "segments")).segment_id
    )
    start = stored.meta.vehicle
    found = learn_from(stored.columns, start)
    before, after, window = held_out_drift(stored.columns, start)
    if as_json:
        figures = {"before_m_per_minute": before, "after_m_per_minute": after, "window_s": window}
        drift = {name: value if isfinite(value) else None for name, value in figures.items()}
        print_json(
            {
                "segment": stored.meta.segment_id,
                **asdict(found),
                "interval": {n: found.interval(n) for n in NAMES},
                "drift": drift,
            }
        )
        return
    rows = [
        (
            name,
            f"{getattr(start, name):.6g}",
            f"{getattr(found.vehicle, name):.6g}",
            *(f"{v:.6g}" for v in found.interval(name)),
        )
        for name in NAMES
    ]
    print_table(("parameter", "stored", "learned", "from", "to (95 %)"), rows, "")
    if found.stiffness_factor is not None:
        print(f"Tyre stiffness is {found.stiffness_factor:.3f} of the stored vehicle's.")
    print(
        f"Learned from {found.rows} rows, which weigh as {found.independent_rows:.0f} independent ones."
    )
    if not isfinite(before + after):
        print(
            f"How far the vehicle model drifts is unknown: no half of the log has {window:.0f} s in which the wheel is known."
        )
        return
    print(
        f"Open loop, the vehicle model drifts {before:.1f} m per minute from the logged path as stored and {after:.1f} m as "
        f"learned from the other half of the log (windows of {window:.0f} s)."
    )


@app.command()
def report(
    out: Annotated[
        Path,
        typer.Option(
            envvar="REDRIVE_OUT", help="Where the page goes; a .json of the same figures beside it."
        ),
    ] = Path("simulator.html"),
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A shipped camera model or a folder with one; every shipped one if not given."
        ),
    ] = None,
    stereo: Annotated[
        Path | None,
        typer.Option(
            envvar="REDRIVE_STEREO", help="Rectified stereo pairs, laid out as KITTI odometry."
        ),
    ] = None,
    routes: Annotated[
        int,
        typer.Option(
            envvar="REDRIVE_ROUTES", min=2, help="Worlds that the loop drives, three segments each."
        ),
    ] = 9,
    data: Data = HERE,
) -> None:
    """Measure the fidelity of re-projection: views, a model's answers, the loop, artifacts, real stereo pairs."""
    from contextlib import ExitStack, closing

    from cli.model_folders import SHIPPED, local_model
    from suites.errors import Finding, SubmitterError
    from workers.policy.load import open_policy
    from workers.simulation.fidelity.page import render
    from workers.simulation.fidelity.report import measure

    shipped = (
        [path.parent.name for path in sorted(SHIPPED.glob("*/manifest.json"))]
        if model is None
        else []
    )
    bundles = [local_model(name) for name in model or shipped]
    cameras = [bundle for bundle in bundles if bundle[0].kind == "camera" and bundle[0].graphs]
    if model and len(cameras) < len(model):
        raise SubmitterError(
            "only camera models with a graph can look at views",
            (Finding("--model", "a camera model expected"),),
        )
    with ExitStack() as stack:
        policies = {
            m.name: stack.enter_context(closing(open_policy(m, graphs))) for m, graphs in cameras
        }
        found = measure(
            data / "segments",
            policies,
            stereo,
            routes,
            say=lambda what: print(what, file=sys.stderr),
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(render(found))
    out.with_suffix(".json").write_text(json.dumps(found.document(), indent=1))
    print(f"{out} and {out.with_suffix('.json')}")
