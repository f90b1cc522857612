"""Rare incidents of a run: how often, on how many hours and places, and what more would tell.

A rate per 1,000 h is of natural driving. Drives that began beside the logged path are driven to
provoke. They count for the rate only where the suite states its distribution of offsets
(`offset_weights`), each with its importance weight. Where it states none, nobody knows how often
such a beginning occurs on the road: only drives from the logged path count. Drives of an enriched
suite count with the weight that their draw gave them, once all are driven; those of a suite that
draws by cost for the pairs like them. Must-pass cases were chosen, and never count. Every offset is
reported by itself as well, as shares of drives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from server.db.queue_tables import DemandRow, ResultRow
from server.db.run_tables import RunRow
from server.services.bank.register_suite import find_version, stored_version
from server.services.queue.demands import run_owner
from server.services.queue.paired_demands import PairedDemands
from server.services.runs.run_demands import times_counted
from server.services.runs.run_views import find_run
from server.storage import BlobStore
from suites.definition.suite_schema import SuiteVersion, offset_name
from suites.enriched_rates import natural_weights
from suites.errors import DataError
from suites.metrics.incidents import DETECTORS, incidents
from suites.metrics.registry import METRICS
from suites.rollout import Offset, Trace
from suites.statistics.incident_rates import (
    DrivenTwice,
    EnrichedSample,
    IncidentKind,
    compare_incidents,
    enriched_sample,
)
from suites.vocabulary import FAILING, NOT_SCORED, Outcome

Floats = NDArray[np.float64]

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
    """Offset to its probability in natural driving, as the suite states it; null where it states
    none, so that only drives from the logged path count per hour."""
    enriched: EnrichedSample | None
    """What the drives are worth; null where the suite is not enriched."""
    kinds: list[IncidentKind]


ON_THE_LOG = Offset()


class _Drive(NamedTuple):
    """One stored rollout."""

    drive_key: str
    outcome: Outcome
    ended_s: float
    trace_sha256: str | None


class _DrivenPair(NamedTuple):
    """Both rollouts at one position."""

    position: int
    route: str
    mandatory: bool
    segment_id: str
    offset: Offset
    candidate: _Drive
    baseline: _Drive


_Happened = Mapping[tuple[str, str], bool]
"""(drive_key, kind) to whether the 0/1 metric says that it happened; absent: it can't tell."""


def read_incidents(session: Session, blobs: BlobStore, run_id: str) -> IncidentsView:
    """Every kind of incident over the pairs of a run that are driven. Raises Refused (404)."""
    run = find_run(session, run_id)
    version = stored_version(find_version(session, run.suite_digest))
    suite = version.suite
    driven = _driven_pairs(session, run_id)
    complete = len(driven) == run.planned
    pairs = [p for p in driven if not NOT_SCORED & {p.candidate.outcome, p.baseline.outcome}]
    measured = _measured(session, run_id)
    stated: dict[Offset, float] | None = None
    if suite.offset_weights:
        stated = dict(zip(suite.offsets, suite.offset_weights, strict=True))
    run_row = session.get_one(RunRow, run_id)
    stands_for = times_counted(run_row, version, sum(not pair.mandatory for pair in driven))
    weights = _weights(pairs, version, stated, complete, stands_for)
    drives = [
        DrivenTwice(
            route=pair.route,
            segment=pair.segment_id,
            weight=weight,
            offset="" if pair.offset == ON_THE_LOG else offset_name(pair.offset),
            hours=(pair.candidate.ended_s / 3600, pair.baseline.ended_s / 3600),
            happened=(
                _happened(blobs, pair.candidate, measured),
                _happened(blobs, pair.baseline, measured),
            ),
        )
        for pair, weight in zip(pairs, weights, strict=True)
    ]
    return IncidentsView(
        run_id=run_id,
        pairs=len(drives),
        routes=len({d.route for d in drives}),
        alpha=suite.alpha,
        complete=complete,
        offset_weights=stated and {offset_name(o): p for o, p in stated.items()},
        enriched=enriched_sample(drives) if suite.enriched is not None else None,
        kinds=_compared(drives, version, complete, stands_for),
    )


def _weights(
    pairs: Sequence[_DrivenPair],
    version: SuiteVersion,
    stated: Mapping[Offset, float] | None,
    complete: bool,
    stands_for: Floats | None,
) -> list[float]:
    """What each pair counts for in natural driving."""
    if version.suite.enriched is not None:
        drawn = version.natural_weights
        return [drawn[p.position] if complete and not p.mandatory else 0.0 for p in pairs]
    starts = [None if pair.mandatory else pair.offset for pair in pairs]
    each = None
    if stands_for is not None:
        each = [0.0 if pair.mandatory else float(stands_for[pair.position]) for pair in pairs]
    return natural_weights(starts, stated or {ON_THE_LOG: 1.0}, each)


def _compared(
    drives: Sequence[DrivenTwice], version: SuiteVersion, complete: bool, stands_for: Floats | None
) -> list[IncidentKind]:
    """Every kind, with the largest weight that a drive may have by what was declared."""
    alpha, enriched = version.suite.alpha, version.suite.enriched
    if stands_for is None:
        largest = 0.0 if enriched is None else 1 / enriched.natural_share
        return compare_incidents(drives, KINDS, alpha, complete, largest)
    kinds = compare_incidents(drives, KINDS, alpha, complete, float(stands_for.max()))
    # what the baseline finds hard came first: that it has more incidents there shows nothing yet
    early = not complete
    return [replace(k, word="cannot tell") if early and k.word == "fewer" else k for k in kinds]


def _driven_pairs(session: Session, run_id: str) -> list[_DrivenPair]:
    """Every pair that both models have driven, in order."""
    pairs = PairedDemands(run_owner(run_id))
    demand = pairs.candidate.demand
    key = pairs.candidate.key
    offset = key.key["scenario"]["offset"]
    ends = pairs.both(lambda side: [getattr(side.rollout, name) for name in _Drive._fields])
    columns = (demand.position, demand.route, demand.mandatory, key.segment_id, offset, *ends)
    query = pairs.select(*columns).where(pairs.driven).order_by(demand.position)
    count = len(_Drive._fields)
    found = []
    for position, route, mandatory, segment_id, start, *ended in session.execute(query):
        candidate = _Drive(*ended[:count])
        baseline = _Drive(*ended[count:])
        place = (position, route, mandatory, segment_id, Offset(**start))
        found.append(_DrivenPair(*place, candidate, baseline))
    return found


def _measured(session: Session, run_id: str) -> _Happened:
    versions = [(f"incident_{kind}", METRICS[f"incident_{kind}"].version) for kind in DETECTORS]
    rows = session.execute(
        select(ResultRow.drive_key, ResultRow.metric, ResultRow.value).where(
            ResultRow.drive_key.in_(select(DemandRow.drive_key).where(run_owner(run_id).owns())),
            tuple_(ResultRow.metric, ResultRow.version).in_(versions),
            ResultRow.valid,
        )
    )
    return {
        (key, metric.removeprefix("incident_")): (value or 0.0) >= 0.5
        for key, metric, value in rows
    }


def _happened(blobs: BlobStore, drive: _Drive, measured: _Happened) -> dict[str, bool]:
    """What happened on one drive, by kind. A failed drive is measured at the worst for what it did
    not drive: only its trace says what happened before."""
    key = drive.drive_key
    known = {kind: measured[key, kind] for kind in DETECTORS if (key, kind) in measured}
    known[FAILURE] = drive.outcome in FAILING
    if known[FAILURE] and any(known[kind] for kind in DETECTORS if kind in known):
        trace = drive.trace_sha256
        try:
            driven = incidents(Trace.from_bytes(blobs.get(trace))) if trace else ()
        except DataError:
            return {FAILURE: True}
        seen = {incident.kind for incident in driven}
        known |= {kind: kind in seen for kind in DETECTORS if kind in known}
    return known
