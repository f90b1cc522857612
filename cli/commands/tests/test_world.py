"""`redrive world` through its own processes."""

import json
from pathlib import Path

from typer.testing import CliRunner

from cli.commands.world import app
from workers.segments.store import list_segments


def test_segments_are_made_and_a_second_call_keeps_them(tmp_path: Path) -> None:
    call = [
        "--routes",
        "1",
        "--per-route",
        "1",
        "--processes",
        "1",
        "--seed",
        "5",
        "--data",
        str(tmp_path),
    ]
    made = CliRunner().invoke(app, [*call, "--json", "--preview", str(tmp_path / "sheet.png")])
    assert made.exit_code == 0, made.output
    (segment,) = json.loads(made.stdout)
    assert segment["segment"] == "world-5-000/0"
    assert segment["frames"] == round(segment["duration_s"] * 20)
    assert "1 of 1 segments" in made.stderr
    assert (tmp_path / "sheet.png").is_file()
    (meta,) = list_segments(tmp_path / "segments")
    inode = (tmp_path / "segments" / meta.segment_id).stat().st_ino
    again = CliRunner().invoke(app, call)
    assert again.exit_code == 0
    assert "1 segments" in again.stdout
    assert [m.digest for m in list_segments(tmp_path / "segments")] == [meta.digest]
    assert (tmp_path / "segments" / meta.segment_id).stat().st_ino == inode
