"""`redrive world`: procedural segments with exact depth, lane edges and poses, as many as wanted, without a download."""

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from cli.connection import AsJson, print_json

app = typer.Typer()


@app.callback(invoke_without_command=True)
def world(
    routes: Annotated[
        int,
        typer.Option(
            envvar="REDRIVE_ROUTES", min=1, help="So many worlds, each with its own road."
        ),
    ] = 20,
    per_route: Annotated[
        int, typer.Option(envvar="REDRIVE_PER_ROUTE", min=1, help="Segments on each road.")
    ] = 3,
    seed: Annotated[
        int,
        typer.Option(
            envvar="REDRIVE_SEED",
            min=0,
            help="Another seed, other worlds; the same, the same bytes.",
        ),
    ] = 0,
    processes: Annotated[
        int, typer.Option(envvar="REDRIVE_PROCESSES", min=1, help="Processes that render.")
    ] = 2,
    data: Annotated[
        Path, typer.Option(envvar="REDRIVE_DATA", help="Folder of the installation.")
    ] = Path(".redrive"),
    preview: Annotated[
        Path | None,
        typer.Option(envvar="REDRIVE_PREVIEW", help="Write a sheet of views to this PNG."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make procedural segments; those that are there already are kept."""
    from workers.segments.world_segments import make_corpus  # the compiler takes a while to load

    def progress(done: int, total: int) -> None:
        last = "\n" if done == total or not sys.stderr.isatty() else ""
        print(f"\r{done} of {total} segments", end=last, file=sys.stderr, flush=True)

    metas = make_corpus(data / "segments", routes, per_route, seed, processes, progress)
    if preview is not None:
        from workers.segments.world_sheet import write_sheet

        write_sheet(preview, data / "segments", metas)
        print(f"views of the segments: {preview}", file=sys.stderr)
    if as_json:
        print_json(
            [
                {
                    "segment": m.segment_id,
                    "tags": m.tags,
                    "duration_s": m.duration_s,
                    "frames": m.frame_count,
                }
                for m in metas
            ]
        )
        return
    tags = Counter(tag for meta in metas for tag in meta.tags)
    minutes = sum(meta.duration_s for meta in metas) / 60
    print(
        f"{len(metas)} segments, {minutes:.1f} minutes, in {data / 'segments'}: "
        + ", ".join(f"{n} {t}" for t, n in tags.most_common())
    )
