"""Waivers in force: each bound of time counts, and only what did not pass is touched."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session, sessionmaker

from server.db.bank_tables import SuiteRow
from server.db.failure_tables import WaiverRow
from server.services.bank.waivers_in_force import in_force

AT = datetime(2026, 3, 1, tzinfo=UTC)


def waiver(created: int, expires: int, revoked: int | None, suite: str = "kept") -> WaiverRow:
    """Of case `bend`; times are days after AT."""
    created_at, expires_at = (AT + timedelta(days=days) for days in (created, expires))
    return WaiverRow(
        id=f"{suite}-waiver",
        suite=suite,
        case="bend",
        owner="bo",
        reason="fixed by the next camera",
        created=created_at,
        expires=expires_at,
        revoked=None if revoked is None else AT + timedelta(days=revoked),
    )


@pytest.mark.services
@pytest.mark.usefixtures("client")  # which closes the connections of `sessions`
@pytest.mark.parametrize(
    ("created", "expires", "revoked", "counts"),
    [
        (-2, 2, None, True),
        (0, 2, None, True),
        (1, 2, None, False),
        (-2, -1, None, False),
        (-2, 0, None, False),
        (-2, 2, 1, True),
        (-2, 2, 0, False),
        (-2, 2, -1, False),
    ],
    ids=[
        "it lasts",
        "given at that time",
        "given later",
        "expired before",
        "expires at that time",
        "revoked later",
        "revoked at that time",
        "revoked before",
    ],
)
def test_a_waiver_counts_while_it_lasts(
    sessions: sessionmaker[Session], created: int, expires: int, revoked: int | None, counts: bool
) -> None:
    with sessions() as session:
        session.add_all([SuiteRow(name="kept"), SuiteRow(name="other")])
        session.flush()
        session.add_all([waiver(created, expires, revoked), waiver(-2, 2, None, "other")])
        session.flush()
        found = {case: row.id for case, row in in_force(session, "kept", AT).items()}
    assert found == ({"bend": "kept-waiver"} if counts else {})
