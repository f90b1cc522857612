"""reports: a backlog from CSV, and refusals with what to do."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.commands.tests.commands_at_a_service import Redrive
from cli.main import build
from suites.errors import SubmitterError

BACKLOG = """route,time,text,reporter,severity
r0--0,0:05,"hugging the line, again",ada,high
r0/0,6,it hugs the lane line,bo,
r7--0,5,swerved,ada,low
r0--0,99,too late,ada,low
r0--0,soon,no time,ada,low
"""


@pytest.mark.services
def test_a_backlog_is_imported_line_by_line(redrive: Redrive, tmp_path: Path) -> None:
    backlog = tmp_path / "backlog.csv"
    backlog.write_text(BACKLOG)
    for _ in range(2):
        imported = redrive("reports", "import", str(backlog), "--json")
        assert imported.exit_code == 1
        answer = json.loads(imported.stdout)
        assert answer["counts"] == {"located": 2, "awaiting data": 1, "refused": 2}
    assert (
        answer["lines"][0]["cluster"] == answer["lines"][1]["cluster"] == answer["lines"][0]["id"]
    )
    assert "12 s" in answer["lines"][3]["error"]
    assert "minutes:seconds" in answer["lines"][4]["error"]
    listed = redrive("reports", "list", "--json")
    assert len(json.loads(listed.stdout)) == 3, "sending the file again adds nothing"
    backlog.write_text("route,when\n")
    lacking = redrive("reports", "import", str(backlog))
    assert isinstance(lacking.exception, SubmitterError)
    assert "time, text, reporter" in str(lacking.exception)


@pytest.mark.parametrize(
    "content",
    [
        "route,time,text,reporter\nr0,5,caf\xe9,ada\n".encode("latin1"),
        b'route,time,text,reporter\n"' + b"x" * 200_000,
    ],
)
def test_what_is_no_csv_is_refused_before_anything_is_sent(tmp_path: Path, content: bytes) -> None:
    backlog = tmp_path / "backlog.csv"
    backlog.write_bytes(content)
    refused = CliRunner().invoke(
        build("reports"), ["reports", "import", str(backlog), "--url", "http://127.0.0.1:1"]
    )
    assert isinstance(refused.exception, SubmitterError), refused.exception
    assert "UTF-8" in refused.exception.findings[0].remedy
