"""Errors of logs and stored segments, with the place of what is wrong."""

from pathlib import Path

from suites.errors import DataError, Finding

IMPORT_AGAIN = "import the segment again"


def data_error(what: str, where: Path | str, problem: str, remedy: str = "") -> DataError:
    """`what` is wrong, with one finding."""
    return DataError(f"{what}: {problem}", (Finding(str(where), problem, remedy),))


def not_importable(path: Path, where: str, problem: str, remedy: str = "") -> DataError:
    """What is wrong at `where` in the file `path`."""
    what = f"{path.name} cannot be imported: {where}"
    return data_error(what, f"{path}: {where}", problem, remedy)
