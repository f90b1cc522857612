"""Proofs of drafts: demand the rollouts that are needed next, and decide when they are there.

    tick ─▶ search from its beginning ─▶ all rollouts stored ─▶ proven, quarantined, not reproduced
                  └──▶ some are missing ─▶ demanded; look again at the next tick

Rollouts are stored once per drive_key, so nothing but the database is kept between two looks.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from server.db.bank_tables import SegmentRow
from server.db.base import OwnerKind, Role
from server.db.failure_tables import CaseDraftRow
from server.db.queue_tables import DemandRow, RolloutRow
from server.services.failures.case_status import follow, move
from server.services.failures.drafts import SPEC, manifest_of
from server.services.queue.demands import DemandOwner, count_missing, given_up, withdraw
from server.services.queue.new_demands import NewDemand, add_demands
from server.storage import BlobStore
from suites.case_proof.proving import Examined, Proof, examine
from suites.case_proof.trial import DrivenModel, Trial
from suites.errors import error_text
from suites.execution_classes import default_execution
from suites.rollout import DriveKey, Rollout, SimulatorSpec, Trace
from suites.vocabulary import CaseStatus

log = logging.getLogger(__name__)


class _NotDrivenError(Exception):
    """Rollouts were demanded; look again when they are stored."""


def advance_drafts(session: Session, blobs: BlobStore) -> int:
    """Take every waiting draft as far as its rollouts are stored; how many still wait."""
    located = select(CaseDraftRow).where(CaseDraftRow.status == CaseStatus.LOCATED)
    open_drafts = 0
    for draft in session.scalars(located.order_by(CaseDraftRow.created)).all():
        owner = DemandOwner(OwnerKind.PROOF, draft.id)
        lost = given_up(session, owner)
        if lost is not None:
            reason = f"{lost[0]} could not be driven (infra_failed): {lost[1]}"
            _not_reproduced(session, draft, reason)
        elif count_missing(session, owner) > 0:
            open_drafts += 1
        else:
            open_drafts += _advance(session, blobs, draft)
    return open_drafts


def _advance(session: Session, blobs: BlobStore, draft: CaseDraftRow) -> bool:
    """One draft; whether it still waits. What goes wrong with one never holds the others up."""
    try:
        with session.begin_nested():
            try:
                examined = _examine(session, blobs, draft)
            except _NotDrivenError:
                return True
            _decide(session, draft, examined)
    except OperationalError:
        raise
    except Exception as error:
        log.exception("draft %s can't be proven", draft.id)
        _not_reproduced(session, draft, error_text(error))
    return False


def _examine(session: Session, blobs: BlobStore, draft: CaseDraftRow) -> Examined:
    """What became of the draft's surprise. Raises _NotDrivenError."""
    models = (draft.offender, draft.control)
    drivers = [DrivenModel(d, default_execution(manifest_of(session, d))) for d in models]
    segment = session.get_one(SegmentRow, draft.segment_id)
    trial = Trial(
        offender=drivers[0],
        control=drivers[1],
        simulator=SimulatorSpec(**draft.simulator),
        segment_id=draft.segment_id,
        segment_digest=draft.segment_digest,
        duration_s=segment.duration_s,
    )

    def drive(keys: Sequence[DriveKey]) -> Sequence[Rollout]:
        return _rollouts(session, blobs, draft, segment.route, keys)

    asked = SPEC.validate_python(draft.asked)
    return examine(trial, asked, draft.at_s, draft.draws, drive, as_written=draft.as_written)


def _decide(session: Session, draft: CaseDraftRow, examined: Examined) -> None:
    spec, draft.told, proof = examined
    if spec is None or proof is None or proof.answer == "refused":
        _not_reproduced(session, draft, proof.reason if proof is not None else draft.told)
        return
    draft.spec = asdict(spec)
    draft.proof = _document(proof)
    _advance_to(session, draft, CaseStatus.REPRODUCED)
    _advance_to(session, draft, CaseStatus.DRAFTED)
    if proof.answer == "quarantined":
        _advance_to(session, draft, CaseStatus.QUARANTINED, proof.reason)


def _advance_to(session: Session, draft: CaseDraftRow, to: CaseStatus, reason: str = "") -> None:
    move(session, draft, to, reason=reason, actor="coordinator")
    follow(session, draft)


def _document(proof: Proof) -> dict[str, Any]:
    """The proof with its judged rollouts as objects, not as bare tuples."""
    document = asdict(proof)
    for side in ("offender", "control"):
        judged = document[side]
        document[side] = [{"passed": p, "reason": r, "instant_s": t} for p, r, t in judged]
    return document


def _not_reproduced(session: Session, draft: CaseDraftRow, reason: str) -> None:
    withdraw(session, DemandOwner(OwnerKind.PROOF, draft.id), mandatory_too=True)
    _advance_to(session, draft, CaseStatus.NOT_REPRODUCED, reason)


def _rollouts(
    session: Session, blobs: BlobStore, draft: CaseDraftRow, route: str, keys: Sequence[DriveKey]
) -> list[Rollout]:
    stored = select(RolloutRow).where(RolloutRow.drive_key.in_([key.digest for key in keys]))
    rows = {row.drive_key: row for row in session.scalars(stored)}
    missing = [key for key in keys if key.digest not in rows]
    if missing:
        _demand(session, draft, route, missing)
        raise _NotDrivenError
    return [
        Rollout(
            key=key,
            outcome=row.outcome,
            reason=row.reason,
            ended_s=row.ended_s,
            trusted_share=row.trusted_share,
            trace=Trace.from_bytes(blobs.get(row.trace_sha256)) if row.trace_sha256 else None,
        )
        for key, row in ((key, rows[key.digest]) for key in keys)
    ]


def _demand(session: Session, draft: CaseDraftRow, route: str, keys: Sequence[DriveKey]) -> None:
    owner = DemandOwner(OwnerKind.PROOF, draft.id)
    following = select(func.coalesce(func.max(DemandRow.position) + 1, 0)).where(owner.owns())
    first = session.scalar(following) or 0
    demands = [
        NewDemand(
            position=first + i,
            role=Role.CANDIDATE if key.model == draft.offender else Role.BASELINE,
            case_id=f"{draft.name}#{key.repeat}",
            route=route,
            mandatory=True,
            key=key,
        )
        for i, key in enumerate(keys)
    ]
    add_demands(session, owner, demands)
