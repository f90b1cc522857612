"""`redrive segments`: import, list, show, verify."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from cli.connection import AsJson, print_json, print_table
from suites.errors import DataError, Finding, SubmitterError
from suites.segment import DRIVER_CODES, Facts, SegmentMeta, Weather
from suites.segment_lookup import find_segment
from workers.segments.store import StoredSegment, list_segments, read_segment

app = typer.Typer(help="Import, list and show logged segments.", no_args_is_help=True)
imports = typer.Typer(help="Bring logs into the store.", no_args_is_help=True)
app.add_typer(imports, name="import")

Data = Annotated[
    Path, typer.Option("--data", envvar="REDRIVE_DATA", help="Folder of the installation.")
]
Name = Annotated[
    str, typer.Argument(help="Segment, in any form: route/3, dongle|route--3, a connect address.")
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", envvar="REDRIVE_STATED_TAG", help="State a tag that suites select by."),
]
Sky = Annotated[
    Weather | None, typer.Option("--weather", envvar="REDRIVE_WEATHER", help="State the weather.")
]
Crossing = Annotated[
    bool | None,
    typer.Option(
        "--intersection/--no-intersection",
        envvar="REDRIVE_INTERSECTION",
        help="State whether it drives through one.",
    ),
]
Car = Annotated[
    str | None,
    typer.Option(
        "--platform", envvar="REDRIVE_PLATFORM", help="State the car, where the log does not."
    ),
]
TAG = re.compile(r"[a-z0-9][a-z0-9_]*")
HERE = Path(".redrive")
EMPTY = "no segment yet: redrive segments import openpilot DIR, or redrive world"


@imports.command("openpilot")
def from_openpilot(
    folders: Annotated[
        list[Path],
        typer.Argument(help="A segment's folder (qlog or rlog, qcamera.ts), or a folder of such."),
    ],
    route: Annotated[
        str | None,
        typer.Option(
            envvar="REDRIVE_ROUTE", help="The route's name, where folder names do not tell it."
        ),
    ] = None,
    width: Annotated[
        int,
        typer.Option(envvar="REDRIVE_WIDTH", min=64, max=2048, help="Width of the stored frames."),
    ] = 320,
    depth_model: Annotated[
        Path | None,
        typer.Option(
            envvar="REDRIVE_DEPTH_MODEL",
            help="ONNX depth model: one RGB input, inverse or metric depth.",
        ),
    ] = None,
    depth_output: Annotated[
        Literal["inverse", "metric"],
        typer.Option(envvar="REDRIVE_DEPTH_OUTPUT", help="What the depth model answers."),
    ] = "inverse",
    tag: Tags = None,
    weather: Sky = None,
    intersection: Crossing = None,
    platform: Car = None,
    data: Data = HERE,
) -> None:
    """Import openpilot segments. One that is damaged is named and left out; the others are stored."""
    from workers.segments.depth.monocular import open_depth_model
    from workers.segments.openpilot.importer import import_openpilot, segment_folders

    stated = _stated(tag, weather, intersection, platform)
    model = open_depth_model(depth_model, depth_output) if depth_model else None
    found = [segment for folder in folders for segment in segment_folders(folder)]
    findings: list[Finding] = []
    for number, folder in enumerate(found, 1):
        try:
            meta = import_openpilot(folder, data / "segments", route, width, model, stated)
            print(f"{number} of {len(found)}: {meta.segment_id}, {_summary(meta)}", file=sys.stderr)
        except DataError as error:
            print(f"{number} of {len(found)}: {folder} is left out: {error}", file=sys.stderr)
            findings += error.findings
    if findings:
        raise DataError(
            f"{len(findings)} of {len(found)} segments could not be imported", tuple(findings)
        )


@imports.command("controls-csv")
def from_controls_csv(
    files: Annotated[
        list[Path], typer.Argument(help="CSV files of the controls dataset, one a segment.")
    ],
    tag: Tags = None,
    weather: Sky = None,
    intersection: Crossing = None,
    platform: Car = None,
    data: Data = HERE,
) -> None:
    """Import segments of the controls dataset; all files are checked before the first is stored."""
    from workers.segments.controls_csv import import_controls_csv

    metas = import_controls_csv(
        files, data / "segments", _stated(tag, weather, intersection, platform)
    )
    print(f"{len(metas)} stored: {metas[0].segment_id} to {metas[-1].segment_id}", file=sys.stderr)


@app.command("list")
def list_stored(
    tag: Annotated[
        list[str] | None,
        typer.Option(envvar="REDRIVE_TAG", help="Only segments with all of these tags."),
    ] = None,
    route: Annotated[
        str | None, typer.Option(envvar="REDRIVE_ROUTE", help="Only this route.")
    ] = None,
    as_json: AsJson = False,
    data: Data = HERE,
) -> None:
    """What is stored here."""
    metas = [
        meta
        for meta in list_segments(data / "segments", _tell)
        if set(tag or ()) <= set(meta.tags) and route in (None, meta.route)
    ]
    if as_json:
        print_json([_document(meta) for meta in metas])
        return
    rows = [
        (
            m.segment_id,
            m.kind,
            f"{m.duration_s:.1f}",
            m.depth_source,
            _number(m.facts.mean_speed_mps, ".1f"),
            _number(m.facts.max_curvature, ".4f"),
            m.facts.time_of_day,
            m.facts.platform,
            ",".join(m.tags),
            ",".join(m.missing),
            m.source,
        )
        for m in metas
    ]
    print_table(
        (
            "segment",
            "kind",
            "seconds",
            "depth",
            "m/s",
            "max 1/m",
            "light",
            "platform",
            "tags",
            "missing",
            "source",
        ),
        rows,
        EMPTY,
    )


@app.command()
def show(
    name: Name,
    sheet: Annotated[
        Path | None, typer.Option(envvar="REDRIVE_SHEET", help="Write a contact sheet (PNG) here.")
    ] = None,
    as_json: AsJson = False,
    data: Data = HERE,
) -> None:
    """What is in a segment and what is missing."""
    root = data / "segments"
    segment = read_segment(root, find_segment(name, list_segments(root, _tell)).segment_id)
    if sheet:
        from workers.segments.sheet import write_sheet

        write_sheet(sheet, segment)
        print(f"contact sheet: {sheet}", file=sys.stderr)
    if as_json:
        print_json(_document(segment.meta))
        return
    for label, text in _description(segment):
        print(f"{label:<10} {text}")


@app.command()
def depth(
    name: Name,
    lidar: Annotated[
        Path | None,
        typer.Option(
            envvar="REDRIVE_LIDAR",
            help="Folder of 16-bit PNGs, one a frame: metres times 256, or 0.",
        ),
    ] = None,
    stereo: Annotated[
        Path | None,
        typer.Option(
            envvar="REDRIVE_RIGHT",
            help="The rectified right camera's pictures: a folder, or a video.",
        ),
    ] = None,
    baseline_m: Annotated[
        float | None,
        typer.Option(
            envvar="REDRIVE_BASELINE_M", min=0.01, max=10.0, help="Between the two cameras."
        ),
    ] = None,
    data: Data = HERE,
) -> None:
    """Give a stored segment the depth that its log has. It becomes a segment of another digest: make suite versions anew."""
    from workers.segments.depth.from_log import lidar_depth, stereo_depth
    from workers.segments.store import replace_depth

    root = data / "segments"
    segment = read_segment(
        root, find_segment(name, list_segments(root, _tell)).segment_id, verify=True
    )
    if lidar is not None and stereo is None and baseline_m is None:
        meta = replace_depth(
            root, segment, lidar_depth(lidar, segment), "lidar", {"folder": lidar.name}
        )
    elif stereo is not None and lidar is None and baseline_m is not None:
        origin = {"right": stereo.name, "baseline_m": baseline_m}
        meta = replace_depth(
            root, segment, stereo_depth(stereo, baseline_m, segment), "stereo", origin
        )
    else:
        raise SubmitterError(
            "one source of depth is needed",
            (Finding("--lidar", "either --lidar, or --stereo with --baseline-m, expected"),),
        )
    print(
        f"{meta.segment_id}: depth from {meta.depth_source}; digest {meta.digest}", file=sys.stderr
    )


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Segments; all if none is named.")
    ] = None,
    data: Data = HERE,
) -> None:
    """Read stored segments through: every file against its sha256, every frame and depth image decoded."""
    root = data / "segments"
    findings: list[Finding] = []
    stored = list_segments(root, lambda error: findings.extend(error.findings))
    chosen = [find_segment(name, stored) for name in names] if names else stored
    for number, meta in enumerate(chosen, 1):
        try:
            _decode(read_segment(root, meta.segment_id, verify=True))
            print(f"{number} of {len(chosen)}: {meta.segment_id} is whole", file=sys.stderr)
        except DataError as error:
            print(f"{number} of {len(chosen)}: {meta.segment_id}: {error}", file=sys.stderr)
            findings += error.findings
    if findings:
        raise DataError(f"{len(findings)} stored segments are damaged", tuple(findings))


def _stated(
    tags: list[str] | None, weather: Weather | None, intersection: bool | None, platform: str | None
) -> Any:
    from workers.segments.facts import Stated

    if wrong := [tag for tag in tags or () if not TAG.fullmatch(tag)]:
        problem = f"{wrong[0]!r} found, lower-case letters, digits and '_' expected"
        raise SubmitterError("a tag is one word", (Finding("--tag", problem),))
    return Stated(
        facts=Facts(weather=weather, intersection=intersection, platform=platform),
        tags=tuple(tags or ()),
    )


def _decode(segment: StoredSegment) -> None:
    """Everything in it once, a stretch at a time."""
    readers: list[Callable[[int, int], Any]] = []
    readers += [segment.frames] if "frames.mp4" in segment.meta.files else []
    readers += [segment.depth] if "depth.zst" in segment.meta.files else []
    for start in range(0, segment.meta.frame_count, 100):
        for read in readers:
            read(start, min(start + 100, segment.meta.frame_count))
    _ = segment.columns, segment.table


def _description(segment: StoredSegment) -> list[tuple[str, str]]:
    meta, columns, facts = segment.meta, segment.columns, segment.meta.facts
    seconds = {
        name: int((columns.driver == code).sum()) / meta.rate_hz
        for name, code in DRIVER_CODES.items()
    }
    lines = [
        ("segment", meta.segment_id),
        ("digest", segment.digest),
        ("route", meta.route),
        ("source", meta.source),
        ("length", f"{meta.duration_s:.2f} s, {meta.frame_count} frames at {meta.rate_hz:g} Hz"),
        ("speed", _range(columns.speed_mps, "m/s")),
        ("curvature", _range(columns.curvature, "1/m")),
        ("light", facts.time_of_day or "unknown"),
        ("weather", facts.weather or "unknown"),
        (
            "crossing",
            {True: "drives through an intersection", False: "no intersection", None: "unknown"}[
                facts.intersection
            ],
        ),
        ("platform", facts.platform or "unknown"),
        (
            "driver",
            ", ".join(f"{name} {length:.1f} s" for name, length in seconds.items() if length),
        ),
        ("tags", ", ".join(meta.tags) or "none"),
        ("missing", ", ".join(meta.missing) or "nothing"),
        (
            "files",
            ", ".join(
                f"{name} {(segment.folder / name).stat().st_size / 1e6:.2f} MB"
                for name in sorted(meta.files)
            ),
        ),
    ]
    if camera := meta.camera:
        view = f"{camera.width}x{camera.height}, focal length {camera.fx:.1f} x {camera.fy:.1f} px"
        lines += [
            (
                "camera",
                f"{view}, {camera.up_m:.2f} m up, {camera.forward_m:.2f} m ahead of the rear axle",
            )
        ]
        lines += [
            (
                "depth",
                f"{meta.depth_source}, {meta.depth['width']}x{meta.depth['height']}"
                if meta.depth
                else "none",
            )
        ]
    return lines + [("note", note) for note in meta.notes]


def _range(values: np.ndarray, unit: str) -> str:
    known = values[np.isfinite(values)]
    return f"{known.min():.4g} to {known.max():.4g} {unit}" if len(known) else "missing"


def _number(value: float | None, form: str) -> str | None:
    return None if value is None else format(value, form)


def _summary(meta: SegmentMeta) -> str:
    return f"{meta.frame_count} frames; tags: {', '.join(meta.tags) or 'none'}; missing: {', '.join(meta.missing) or 'nothing'}"


def _document(meta: SegmentMeta) -> dict[str, Any]:
    from dataclasses import asdict

    return {"digest": meta.digest, **asdict(meta)}


def _tell(error: DataError) -> None:
    print(f"left out: {error}", file=sys.stderr)
