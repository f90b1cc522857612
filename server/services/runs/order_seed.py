"""The seed of a run's order: its own, which nobody can foresee.

With one order for all, the first hundreds of segments would be all that anyone ever improves on.
The same candidate on the same suite version meets the same order again: asking twice draws no
other luck.
"""

import hmac
import secrets

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.db.run_tables import SecretRow
from suites.definition.suite_schema import Suite

SECRET = "order"
SEED_BYTES = 6
"""JSON's numbers hold integers below 2**53 exactly."""


def order_seed(session: Session, suite: Suite, candidate: str, suite_digest: str) -> int:
    """The suite's where it fixes one or all of it is driven (enriched); else from the digests of
    candidate and suite version, keyed with a secret of this installation (HMAC-SHA-256)."""
    if suite.order_seed is not None or suite.enriched is not None:
        return suite.order_seed or 0
    digests = f"{candidate} {suite_digest}".encode()
    return int.from_bytes(hmac.digest(_secret(session), digests, "sha256")[:SEED_BYTES], "big")


def _secret(session: Session) -> bytes:
    stored = select(SecretRow.value).where(SecretRow.name == SECRET)
    value = session.scalar(stored)
    if value is None:  # of two that come first at once the later waits and takes the other's
        made = insert(SecretRow).values(name=SECRET, value=secrets.token_hex(32))
        session.execute(made.on_conflict_do_nothing())
        value = session.scalars(stored).one()
    return value.encode()
