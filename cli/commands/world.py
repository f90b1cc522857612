"""`redrive world`: procedural segments with exact depth, lane edges and poses."""

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.options import HERE, AsJson, Data, option
from cli.printing import print_json
from suites.segment import SegmentMeta

app = typer.Typer()


@app.callback(invoke_without_command=True)
def world(
    routes: Annotated[
        int, option("So many worlds, each with its own road.", "REDRIVE_ROUTES", min=1)
    ] = 20,
    per_route: Annotated[int, option("Segments on each road.", "REDRIVE_PER_ROUTE", min=1)] = 3,
    seed: Annotated[
        int, option("Another seed, other worlds; the same, the same bytes.", "REDRIVE_SEED", min=0)
    ] = 0,
    processes: Annotated[int, option("Processes that render.", "REDRIVE_PROCESSES", min=1)] = 2,
    data: Data = HERE,
    preview: Annotated[
        Path | None, option("Write a sheet of views to this PNG.", "REDRIVE_PREVIEW")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make procedural segments with exact ground truth; those that are there already are kept."""
    from workers.simulation.world.corpus import make_corpus  # the compiler takes a while to load

    def progress(done: int, total: int) -> None:
        last = "\n" if done == total or not sys.stderr.isatty() else ""
        print(f"\r{done} of {total} segments", end=last, file=sys.stderr, flush=True)

    metas = make_corpus(data / "segments", routes, per_route, seed, processes, progress)
    if preview is not None:
        from workers.simulation.world.corpus_sheet import write_sheet

        write_sheet(preview, data / "segments", metas)
        print(f"views of the segments: {preview}", file=sys.stderr)
    if as_json:
        print_json([_document(meta) for meta in metas])
        return
    counts = Counter(tag for meta in metas for tag in meta.tags).most_common()
    minutes = sum(meta.duration_s for meta in metas) / 60
    tags = ", ".join(f"{count} {tag}" for tag, count in counts)
    print(f"{len(metas)} segments, {minutes:.1f} minutes, in {data / 'segments'}: {tags}")


def _document(meta: SegmentMeta) -> dict[str, Any]:
    return {
        "segment": meta.segment_id,
        "tags": meta.tags,
        "duration_s": meta.duration_s,
        "frames": meta.frame_count,
    }
