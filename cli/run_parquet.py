"""An exported run as Parquet, its header in the metadata of the schema. Needs pyarrow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from suites.errors import Finding, SubmitterError
from suites.exported_run import ENDED, PLACE, Cells

KEY = b"redrive"
"""Of the header in the metadata."""
MAGIC = b"PAR1"
COUNTS = {"position", "repeat"}
TEXTS = {"role", "model", *PLACE, *ENDED, "passed", "why"} - COUNTS


def is_parquet(path: Path) -> bool:
    """By the file's first bytes."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def write_parquet(path: Path, cells: Cells) -> None:
    """Texts, whole numbers and float64; an empty cell of numbers is null. Raises SubmitterError
    where pyarrow is missing."""
    arrow, parquet = _arrow()
    columns = {
        name: _column(arrow, name, [row[i] for row in cells.rows])
        for i, name in enumerate(cells.names)
    }
    table = arrow.table(columns).replace_schema_metadata({KEY: cells.header})
    parquet.write_table(table, path)


def read_parquet(path: Path) -> Cells:
    """Raises SubmitterError where it is no exported run, or pyarrow is missing."""
    arrow, parquet = _arrow()
    try:
        table = parquet.read_table(path)
    except (arrow.ArrowException, OSError) as error:
        raise SubmitterError(f"{path} cannot be read: {error}") from None
    header = (table.schema.metadata or {}).get(KEY)
    if header is None:
        finding = Finding(str(path), "no header of a run in it", "export it: redrive runs export")
        raise SubmitterError(f"{path} is no exported run", finding)
    columns = [[_text(cell) for cell in column.to_pylist()] for column in table.columns]
    return Cells(header.decode(), table.column_names, list(zip(*columns, strict=True)))


def _column(arrow: Any, name: str, cells: Sequence[str]) -> Any:
    if name in TEXTS:
        return arrow.array(cells, arrow.string())
    number, kind = (int, arrow.int64()) if name in COUNTS else (float, arrow.float64())
    return arrow.array([number(cell) if cell else None for cell in cells], kind)


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        finding = Finding("pyarrow", "is not installed", "install redrive[parquet], or use CSV")
        raise SubmitterError("Parquet needs pyarrow", finding) from None
    return pyarrow, pyarrow.parquet
