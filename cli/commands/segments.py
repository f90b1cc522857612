"""`redrive segments`: import, list, show, verify."""

import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from cli.options import HERE, AsJson, Data, Segment, argument, option
from cli.printing import Columns, print_items, print_json
from suites.errors import DataError, Finding, SubmitterError
from suites.segment import DRIVER_CODES, DepthSource, Facts, SegmentMeta, Weather
from suites.segment_lookup import find_segment
from workers.segments.store import StoredSegment, list_segments, read_segment

app = typer.Typer(no_args_is_help=True)
imports = typer.Typer(help="Bring logs into the store.", no_args_is_help=True)
app.add_typer(imports, name="import")

Tags = Annotated[
    list[str] | None, option("State a tag that suites select by.", "REDRIVE_STATED_TAG", "--tag")
]
Sky = Annotated[Weather | None, option("State the weather.", "REDRIVE_WEATHER", "--weather")]
Crossing = Annotated[
    bool | None,
    option(
        "State whether it drives through one.",
        "REDRIVE_INTERSECTION",
        "--intersection/--no-intersection",
    ),
]
Car = Annotated[
    str | None, option("State the car, where the log does not.", "REDRIVE_PLATFORM", "--platform")
]
TAG = re.compile(r"[a-z0-9][a-z0-9_]*")
EMPTY = "no segment yet: redrive segments import openpilot DIR, or redrive world"
INTERSECTION = {True: "drives through an intersection", False: "no intersection", None: "unknown"}


@imports.command("openpilot")
def from_openpilot(
    folders: Annotated[
        list[Path], argument("A segment's folder (qlog or rlog, qcamera.ts), or a folder of such.")
    ],
    route: Annotated[
        str | None, option("The route's name, where folder names do not tell it.", "REDRIVE_ROUTE")
    ] = None,
    width: Annotated[
        int, option("Width of the stored frames.", "REDRIVE_WIDTH", min=64, max=2048)
    ] = 320,
    depth_model: Annotated[
        Path | None,
        option("ONNX depth model: one RGB input, inverse or metric depth.", "REDRIVE_DEPTH_MODEL"),
    ] = None,
    depth_output: Annotated[
        Literal["inverse", "metric"],
        option("What the depth model answers.", "REDRIVE_DEPTH_OUTPUT"),
    ] = "inverse",
    tag: Tags = None,
    weather: Sky = None,
    intersection: Crossing = None,
    platform: Car = None,
    data: Data = HERE,
) -> None:
    """Import openpilot segments.

    One that is damaged is named and left out; the others are stored.
    """
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
        failed = f"{len(findings)} of {len(found)} segments could not be imported"
        raise DataError(failed, tuple(findings))


@imports.command("controls-csv")
def from_controls_csv(
    files: Annotated[list[Path], argument("CSV files of the controls dataset, one a segment.")],
    tag: Tags = None,
    weather: Sky = None,
    intersection: Crossing = None,
    platform: Car = None,
    data: Data = HERE,
) -> None:
    """Import segments of the controls dataset; all files are checked before the first is stored."""
    from workers.segments.controls_csv import import_controls_csv

    stated = _stated(tag, weather, intersection, platform)
    metas = import_controls_csv(files, data / "segments", stated)
    print(f"{len(metas)} stored: {metas[0].segment_id} to {metas[-1].segment_id}", file=sys.stderr)


@app.command("list")
def list_stored(
    tag: Annotated[
        list[str] | None, option("Only segments with all of these tags.", "REDRIVE_TAG")
    ] = None,
    route: Annotated[str | None, option("Only this route.", "REDRIVE_ROUTE")] = None,
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
    columns: Columns = {
        "segment": lambda m: m.segment_id,
        "kind": lambda m: m.kind,
        "seconds": lambda m: f"{m.duration_s:.1f}",
        "depth": lambda m: m.depth_source,
        "m/s": lambda m: _number(m.facts.mean_speed_mps, ".1f"),
        "max 1/m": lambda m: _number(m.facts.max_curvature, ".4f"),
        "light": lambda m: m.facts.time_of_day,
        "platform": lambda m: m.facts.platform,
        "tags": lambda m: ",".join(m.tags),
        "missing": lambda m: ",".join(m.missing),
        "source": lambda m: m.source,
    }
    print_items(metas, columns, EMPTY)


@app.command()
def show(
    name: Segment,
    sheet: Annotated[
        Path | None, option("Write a contact sheet (PNG) here.", "REDRIVE_SHEET")
    ] = None,
    as_json: AsJson = False,
    data: Data = HERE,
) -> None:
    """What is in a segment and what is missing."""
    segment = _read(data, name)
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
    name: Segment,
    lidar: Annotated[
        Path | None,
        option("Folder of 16-bit PNGs, one a frame: metres times 256, or 0.", "REDRIVE_LIDAR"),
    ] = None,
    stereo: Annotated[
        Path | None,
        option("The rectified right camera's pictures: a folder, or a video.", "REDRIVE_RIGHT"),
    ] = None,
    baseline_m: Annotated[
        float | None, option("Between the two cameras.", "REDRIVE_BASELINE_M", min=0.01, max=10.0)
    ] = None,
    data: Data = HERE,
) -> None:
    """Give a stored segment the depth that its log has.

    It becomes a segment of another digest: make suite versions anew.
    """
    from workers.segments.depth.from_log import lidar_depth, stereo_depth
    from workers.segments.store import replace_depth

    segment = _read(data, name, verify=True)
    source: DepthSource
    origin: dict[str, str | float]
    if lidar is not None and stereo is None and baseline_m is None:
        source = "lidar"
        origin = {"folder": lidar.name}
        images = lidar_depth(lidar, segment)
    elif stereo is not None and lidar is None and baseline_m is not None:
        source = "stereo"
        origin = {"right": stereo.name, "baseline_m": baseline_m}
        images = stereo_depth(stereo, baseline_m, segment)
    else:
        expected = "either --lidar, or --stereo with --baseline-m, expected"
        raise SubmitterError("one source of depth is needed", Finding("--lidar", expected))
    meta = replace_depth(data / "segments", segment, images, source, origin)
    told = f"depth from {meta.depth_source}; digest {meta.digest}"
    print(f"{meta.segment_id}: {told}", file=sys.stderr)


@app.command()
def verify(
    names: Annotated[list[str] | None, argument("Segments; all if none is named.")] = None,
    data: Data = HERE,
) -> None:
    """Read stored segments through.

    Every file is compared with its sha256, every frame and depth image decoded.
    """
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


def _read(data: Path, name: str, verify: bool = False) -> StoredSegment:
    root = data / "segments"
    found = find_segment(name, list_segments(root, _tell))
    return read_segment(root, found.segment_id, verify=verify)


def _stated(
    tags: list[str] | None, weather: Weather | None, intersection: bool | None, platform: str | None
) -> Any:
    from workers.segments.facts import Stated

    if wrong := [tag for tag in tags or () if not TAG.fullmatch(tag)]:
        problem = f"{wrong[0]!r} found, lower-case letters, digits and '_' expected"
        raise SubmitterError("a tag is one word", Finding("--tag", problem))
    facts = Facts(weather=weather, intersection=intersection, platform=platform)
    return Stated(facts=facts, tags=tuple(tags or ()))


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
    """Label and text of each line."""
    meta = segment.meta
    columns = segment.columns
    facts = meta.facts
    drivers = {
        name: int((columns.driver == code).sum()) / meta.rate_hz
        for name, code in DRIVER_CODES.items()
    }
    sizes = {name: (segment.folder / name).stat().st_size / 1e6 for name in sorted(meta.files)}
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
        ("crossing", INTERSECTION[facts.intersection]),
        ("platform", facts.platform or "unknown"),
        ("driver", ", ".join(f"{name} {s:.1f} s" for name, s in drivers.items() if s)),
        ("tags", ", ".join(meta.tags) or "none"),
        ("missing", ", ".join(meta.missing) or "nothing"),
        ("files", ", ".join(f"{name} {size:.2f} MB" for name, size in sizes.items())),
    ]
    if camera := meta.camera:
        focal = f"focal length {camera.fx:.1f} x {camera.fy:.1f} px"
        place = f"{camera.up_m:.2f} m up, {camera.forward_m:.2f} m ahead of the rear axle"
        depth = meta.depth
        size = f"{meta.depth_source}, {depth['width']}x{depth['height']}" if depth else "none"
        lines.append(("camera", f"{camera.width}x{camera.height}, {focal}, {place}"))
        lines.append(("depth", size))
    return lines + [("note", note) for note in meta.notes]


def _range(values: np.ndarray, unit: str) -> str:
    known = values[np.isfinite(values)]
    return f"{known.min():.4g} to {known.max():.4g} {unit}" if len(known) else "missing"


def _number(value: float | None, form: str) -> str | None:
    return None if value is None else format(value, form)


def _summary(meta: SegmentMeta) -> str:
    tags = ", ".join(meta.tags) or "none"
    missing = ", ".join(meta.missing) or "nothing"
    return f"{meta.frame_count} frames; tags: {tags}; missing: {missing}"


def _document(meta: SegmentMeta) -> dict[str, Any]:
    return {"digest": meta.digest, **asdict(meta)}


def _tell(error: DataError) -> None:
    print(f"left out: {error}", file=sys.stderr)
