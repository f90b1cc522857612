"""Rare incidents of a run: how often, on how many hours, at how many distinct places, and how many hours would tell more.

A rate per 1,000 h is of natural driving. Drives that began beside the logged path are driven to provoke: they count for it
only where the suite states its distribution of offsets (`offset_weights`), each with its importance weight. Where it states
none, nobody knows how often such a beginning occurs on the road: only drives from the logged path count. Drives of an
enriched suite count with the weight that their draw gave them, once all are driven. Must-pass cases were chosen, and never
count. Every offset is reported by itself as well, as shares of drives.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, and_, select, tuple_
from sqlalchemy.orm import Session, aliased

from server.db.base import OwnerKind, Role
from server.db.queue_tables import DemandRow, DriveKeyRow, ResultRow, RolloutRow
from server.services.bank.register_suite import find_version, stored_version
from server.services.runs.run_views import find_run
from server.storage import BlobStore
from suites.definition.suite_schema import offset_name
from suites.errors import DataError
from suites.metrics.incidents import DETECTORS, incidents
from suites.metrics.registry import METRICS
from suites.rollout import Offset, Trace
from suites.statistics.enriched_rates import natural_weights
from suites.statistics.incident_rates import (
    DrivenTwice,
    EnrichedSample,
    IncidentKind,
    compare_incidents,
    enriched_sample,
)
from suites.vocabulary import FAILING, NOT_SCORED, Outcome

FAILURE = "failure"
"""Kind of incident: the rollout failed (left the road or lane bound), or the model itself did."""

KINDS = (FAILURE, *DETECTORS)


class IncidentsView(BaseModel):
    """Rare incidents of one run."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    run_id: str
    pairs: int
    """Scenarios that both models have driven: nothing else is counted."""
    routes: int
    alpha: float
    complete: bool
    """All that was planned was driven, lost rollouts aside: a test at fixed N may be read."""
    offset_weights: dict[str, float] | None
    """Offset to its probability in natural driving, as the suite states it; null where it states none, so that only drives
    from the logged path count per hour."""
    enriched: EnrichedSample | None
    """What the drives are worth; null where the suite is not enriched."""
    kinds: list[IncidentKind]


ON_THE_LOG = Offset()


def read_incidents(session: Session, blobs: BlobStore, run_id: str) -> IncidentsView:
    """Every kind of incident over the pairs of a run that are driven so far. Raises Refused (404)."""
    run = find_run(session, run_id)
    version = stored_version(find_version(session, run.suite_digest))
    suite = version.suite
    driven = _pairs(session, run_id)
    complete = len(driven) == run.planned
    pairs = [pair for pair in driven if not NOT_SCORED & {pair.c_outcome, pair.b_outcome}]
    measured = _measured(session, run_id)
    offsets = [None if pair.mandatory else Offset(**pair.offset) for pair in pairs]
    stated = (
        dict(zip(suite.offsets, suite.offset_weights, strict=True))
        if suite.offset_weights
        else {ON_THE_LOG: 1.0}
    )
    weights = natural_weights(offsets, stated)
    if suite.enriched is not None:
        weights = [
            version.natural_weights[p.position] if complete and not p.mandatory else 0.0
            for p in pairs
        ]
    drives = []
    for pair, weight in zip(pairs, weights, strict=True):
        offset = Offset(**pair.offset)
        sides = (
            (pair.c_key, pair.c_outcome, pair.c_trace),
            (pair.b_key, pair.b_outcome, pair.b_trace),
        )
        drives.append(
            DrivenTwice(
                route=pair.route,
                segment=pair.segment_id,
                weight=weight,
                offset="" if offset == ON_THE_LOG else offset_name(offset),
                hours=(pair.c_ended / 3600, pair.b_ended / 3600),
                happened=(
                    _happened(blobs, *sides[0], measured),
                    _happened(blobs, *sides[1], measured),
                ),
            )
        )
    return IncidentsView(
        run_id=run_id,
        pairs=len(drives),
        routes=len({d.route for d in drives}),
        alpha=suite.alpha,
        complete=complete,
        offset_weights={offset_name(o): p for o, p in stated.items()}
        if suite.offset_weights
        else None,
        enriched=enriched_sample(drives) if suite.enriched is not None else None,
        kinds=compare_incidents(drives, KINDS, suite.alpha, complete),
    )


def _pairs(session: Session, run_id: str) -> Sequence[Row[*tuple[Any, ...]]]:
    ours, theirs, c, b = (
        aliased(DemandRow),
        aliased(DemandRow),
        aliased(RolloutRow),
        aliased(RolloutRow),
    )
    return session.execute(
        select(
            ours.position,
            ours.route,
            ours.mandatory,
            DriveKeyRow.segment_id,
            DriveKeyRow.key["scenario"]["offset"].label("offset"),
            c.drive_key.label("c_key"),
            c.outcome.label("c_outcome"),
            c.ended_s.label("c_ended"),
            c.trace_sha256.label("c_trace"),
            b.drive_key.label("b_key"),
            b.outcome.label("b_outcome"),
            b.ended_s.label("b_ended"),
            b.trace_sha256.label("b_trace"),
        )
        .join(
            theirs,
            and_(
                theirs.owner_kind == ours.owner_kind,
                theirs.owner_id == ours.owner_id,
                theirs.position == ours.position,
                theirs.role == Role.BASELINE,
            ),
        )
        .join(DriveKeyRow, DriveKeyRow.digest == ours.drive_key)
        .join(c, c.drive_key == ours.drive_key)
        .join(b, b.drive_key == theirs.drive_key)
        .where(
            ours.owner_kind == OwnerKind.RUN, ours.owner_id == run_id, ours.role == Role.CANDIDATE
        )
        .order_by(ours.position)
    ).all()


def _measured(session: Session, run_id: str) -> Mapping[tuple[str, str], bool]:
    """(drive_key, kind) to whether the rollout's 0/1 metric says that it happened; absent where it can't tell."""
    versions = [(f"incident_{kind}", METRICS[f"incident_{kind}"].version) for kind in DETECTORS]
    keys = select(DemandRow.drive_key).where(
        DemandRow.owner_kind == OwnerKind.RUN, DemandRow.owner_id == run_id
    )
    rows = session.execute(
        select(ResultRow.drive_key, ResultRow.metric, ResultRow.value).where(
            ResultRow.drive_key.in_(keys),
            tuple_(ResultRow.metric, ResultRow.version).in_(versions),
            ResultRow.valid,
        )
    )
    return {
        (key, metric.removeprefix("incident_")): (value or 0.0) >= 0.5
        for key, metric, value in rows
    }


def _happened(
    blobs: BlobStore,
    key: str,
    outcome: Outcome,
    trace: str | None,
    measured: Mapping[tuple[str, str], bool],
) -> dict[str, bool]:
    """What happened on one drive. A failed one is measured at the worst for what it did not drive: only its trace says what
    happened before."""
    known = {kind: measured[key, kind] for kind in DETECTORS if (key, kind) in measured}
    known[FAILURE] = outcome in FAILING
    if outcome in FAILING and any(known[kind] for kind in DETECTORS if kind in known):
        try:
            seen = (
                {incident.kind for incident in incidents(Trace.from_bytes(blobs.get(trace)))}
                if trace
                else set()
            )
        except DataError:
            return {FAILURE: True}
        known |= {kind: kind in seen for kind in DETECTORS if kind in known}
    return known
