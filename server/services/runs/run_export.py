"""A run as one CSV: `suites.exported_run` says what stands in it."""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isnan
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from server.db.bank_tables import ModelRow
from server.db.base import Role
from server.db.queue_tables import DemandRow, DriveKeyRow, RolloutRow
from server.db.run_tables import RunRow
from server.services.queue.demands import run_owner
from server.services.runs.judge_cases import read_repeats
from server.services.runs.judged_pairs import Results, read_results
from server.services.runs.run_rules import RunRules, read_rules
from server.services.runs.run_views import find_run
from suites.definition.suite_schema import PlannedRollout
from suites.exported_run import MARK, PASSED, NamedModel, RunHeader, columns, header_json
from suites.verdict.case_rule import Repeat
from suites.vocabulary import Outcome

BLOCK = 256
"""Positions that are read and written at once."""
WORDS = {passed: word for word, passed in PASSED.items()}

_Demand = Row[int, Role, str, Outcome | None, str | None, str | None]
"""position, role, drive_key, outcome and reason of the rollout, why it could not be driven."""


class RunExport:
    """One run. Results are read and written block by block: memory does not grow with them."""

    def __init__(self, session: Session, run_id: str) -> None:
        """Raises Refused (404)."""
        run = find_run(session, run_id)
        self._run_id = run.id
        self._rules = read_rules(session, run)
        self._header = _header(session, run, self._rules)
        self._stored = self._rules.plan.stored
        self._specs = {spec.name: spec for spec in self._rules.suite.cases}
        self._slices: dict[str, list[str]] = defaultdict(list)
        for name, segments in sorted(self._rules.plan.slices.items()):
            for segment in segments:
                self._slices[segment].append(name)

    def text(self, sessions: Callable[[], Session]) -> Iterator[str]:
        """Header, then a block of rows at a time, each in a session of its own."""
        costs = None if self._stored is None else self._stored.costs
        names = columns(self._header.metrics, costs)
        yield f"{MARK}{header_json(self._header)}\n{_csv([names])}"
        planned = self._rules.places
        for start in range(0, len(planned), BLOCK):
            with sessions() as session:
                yield _csv(self._rows(session, start, planned[start : start + BLOCK]))

    def _rows(
        self, session: Session, start: int, places: tuple[PlannedRollout, ...]
    ) -> Iterator[list[Any]]:
        """Two of each place: the candidate's, then the baseline's."""
        demands = _demands(session, self._run_id, start, start + len(places))
        versions = {m: self._rules.version.metric_versions[m] for m in self._header.metrics}
        results = read_results(session, {row.drive_key for row in demands.values()}, versions)
        spec_of = {p.case_id: self._specs[p.case] for p in places if p.case}
        repeats, _ = read_repeats(session, self._run_id, spec_of)
        models = {Role.CANDIDATE: self._header.candidate, Role.BASELINE: self._header.baseline}
        for position, place in enumerate(places, start):
            for role, model in models.items():
                demand = demands.get((position, role))
                repeat = repeats.get(place.case_id) if role is Role.CANDIDATE else None
                yield [
                    *(position, role.value, model.name),
                    *(place.case_id, place.route, place.case, place.repeat),
                    " ".join(self._slices[place.scenario.segment_id]),
                    *_ended(demand),
                    *_said(repeat),
                    *self._drawn(position),
                    *_measured(demand, results, self._header.metrics),
                ]

    def _drawn(self, position: int) -> list[float | None]:
        """Weight and stored costs of a run that is drawn by cost; of must-pass cases, nothing."""
        if self._stored is None:
            return []
        costs = [row for both in self._stored.costs.values() for row in both]
        drawn = position < self._rules.plan.pairs
        known = [float(row[position]) for row in (self._stored.weights, *costs) if drawn]
        return [None if isnan(cost) else cost for cost in known] or [None] * (1 + len(costs))


def _header(session: Session, run: RunRow, rules: RunRules) -> RunHeader:
    candidate, baseline = (
        NamedModel(name=session.get_one(ModelRow, digest).name, digest=digest)
        for digest in (run.candidate, run.baseline)
    )
    document = run.verdict_document or {}
    method = document.get("method", {})
    return RunHeader(
        run=run.id,
        status=run.status,
        error=run.error,
        candidate=candidate,
        baseline=baseline,
        suite_digest=run.suite_digest,
        suite=rules.suite,
        planned=len(rules.places),
        judged_pairs=_judged(document),
        judged_cases=tuple(case["case"] for case in document.get("cases", ())),
        waivers=rules.waivers,
        baseline_events=dict(rules.plan.baseline_events),
        engine=method.get("engine", ""),
        verdict=document.get("verdict"),
        sentence=document.get("sentence", ""),
    )


def _judged(document: Mapping[str, Any]) -> int:
    """Pairs; earlier engines said only where they decided and where they looked last."""
    consumed, looked = document.get("pairs_consumed", 0), document.get("method", {})
    return int(document.get("pairs_judged") or max(consumed, looked.get("looked_at", 0)))


def _demands(
    session: Session, run_id: str, start: int, stop: int
) -> dict[tuple[int, Role], _Demand]:
    """By place: those at positions [start, stop) that were not withdrawn."""
    demand, rollout = DemandRow, RolloutRow
    rows = session.execute(
        select(
            demand.position,
            demand.role,
            demand.drive_key,
            rollout.outcome,
            rollout.reason,
            DriveKeyRow.failure,
        )
        .join(DriveKeyRow, DriveKeyRow.digest == demand.drive_key)
        .outerjoin(rollout, rollout.drive_key == demand.drive_key)
        .where(run_owner(run_id).owns(), demand.position >= start, demand.position < stop)
    )
    return {(row.position, row.role): row for row in rows}


def _ended(demand: _Demand | None) -> tuple[str | None, str | None]:
    """Outcome and reason."""
    if demand is None or demand.outcome is not None:
        return (None, None) if demand is None else (demand.outcome, demand.reason)
    return (Outcome.INFRA_FAILED, demand.failure) if demand.failure else (None, None)


def _said(repeat: Repeat | None) -> tuple[str | None, str | None, float | None]:
    return (None, None, None) if repeat is None else (WORDS[repeat.passed], *repeat[1:])


def _measured(
    demand: _Demand | None, results: Results, metrics: Iterable[str]
) -> Iterator[float | None]:
    for metric in metrics:
        found = None if demand is None else results.get((demand.drive_key, metric))
        yield from (None, None, None) if found is None else (found.value, found.low, found.high)


def _csv(rows: Iterable[Iterable[Any]]) -> str:
    """Floats by `repr`, which is read back to the bit."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
