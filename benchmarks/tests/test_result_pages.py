"""A benchmark's report is printed, and a tracked page replaced only where asked."""

from pathlib import Path

import pytest

from benchmarks import result_pages as reports


@pytest.mark.parametrize("arguments", [[], ["--write"]])
def test_a_report_is_kept_only_where_asked(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(reports, "RESULTS", tmp_path)
    parser = reports.command_line("What it measures.")
    reports.can_write(parser)
    reports.publish("# Measured", "page.md", parser.parse_args(arguments).write)
    assert capsys.readouterr().out == "# Measured\n"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["# Measured"] * len(arguments)


def test_share_with_its_interval() -> None:
    assert reports.share([1.0] * 8 + [0.0] * 2) == "80 % [49, 94]"
    assert reports.share([0.0] * 4, digits=1) == "0.0 % [0.0, 49.0]"
