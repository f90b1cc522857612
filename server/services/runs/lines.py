"""Lines: the checkpoints of one branch are tries of one line, and each is another draw of luck."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.db.bank_tables import ModelRow, SuiteVersionRow
from server.db.run_tables import RunRow

KINDS = {"branch": "branch", "pull_request": "pull request"}
"""What CI may say of a candidate's source, and the word for it; else its name is its line."""


def read_line(session: Session, run: RunRow, *, candidate: str, suite: str) -> tuple[str, int]:
    """The line of a run, by the names of its candidate and suite, and which of its tries it is. A
    try is a candidate on a version of the suite: these two make an order."""
    line = _name(run.source, candidate)
    tries = session.scalar(
        select(func.count((RunRow.candidate + RunRow.suite_digest).distinct()))
        .join(ModelRow, ModelRow.digest == RunRow.candidate)
        .join(SuiteVersionRow, SuiteVersionRow.digest == RunRow.suite_digest)
        .where(SuiteVersionRow.suite == suite, RunRow.created <= run.created, _line == line)
    )
    return line, tries or 1


def _name(source: dict[str, Any], model: str) -> str:
    said = (f"{word} {source[key]}" for key, word in KINDS.items() if source.get(key))
    return next(said, f"model {model}")


_SAID = [f"{word} " + func.nullif(RunRow.source[key].astext, "") for key, word in KINDS.items()]
_line = func.coalesce(*_SAID, "model " + ModelRow.name)
"""`_name` in SQL."""
