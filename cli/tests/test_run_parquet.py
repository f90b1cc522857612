"""Parquet holds what the CSV holds: the same header, the same cells, typed."""

import sys
from pathlib import Path

import pytest

from cli.run_parquet import is_parquet, read_parquet, write_parquet
from suites.errors import SubmitterError
from suites.exported_run import Cells

CELLS = Cells(
    '{"run":"ü"}',
    ["position", "role", "reason", "repeat", "instant_s", "cost"],
    [
        ["0", "candidate", 'left, "the\nroad"', "0", "1.5", "0.30000000000000004"],
        ["1", "baseline", "", "0", "", "1e-300"],
        ["2", "candidate", "", "0", "", ""],
    ],
)


def test_cells_come_back_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    write_parquet(path, CELLS)
    assert is_parquet(path)
    found = read_parquet(path)
    assert found.header == CELLS.header
    assert [list(row) for row in found.rows] == CELLS.rows
    assert list(found.names) == CELLS.names


def test_other_files_are_told_apart(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    parquet = pytest.importorskip("pyarrow.parquet")
    other = tmp_path / "other.parquet"
    parquet.write_table(arrow.table({"a": [1]}), other)
    with pytest.raises(SubmitterError, match="is no exported run"):
        read_parquet(other)
    other.write_bytes(b"PAR1 and nothing more")
    with pytest.raises(SubmitterError, match="cannot be read"):
        read_parquet(other)


def test_without_pyarrow_it_is_said_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SubmitterError, match="Parquet needs pyarrow") as raised:
        write_parquet(tmp_path / "run.parquet", CELLS)
    assert raised.value.findings[0].remedy == "install redrive[parquet], or use CSV"
    (tmp_path / "a.csv").write_text("segment,model\n")
    assert not is_parquet(tmp_path / "a.csv")
    assert not is_parquet(tmp_path / "absent")
