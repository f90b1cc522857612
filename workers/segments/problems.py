"""The error of an importer, with the place of what is wrong."""

from pathlib import Path

from suites.errors import DataError, Finding


def not_importable(path: Path, where: str, problem: str, remedy: str = "") -> DataError:
    """What is wrong at `where` in the file `path`."""
    message = f"{path.name} cannot be imported: {where}: {problem}"
    return DataError(message, (Finding(f"{path}: {where}", problem, remedy),))
