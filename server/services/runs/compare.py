"""Several candidates against one baseline, on one suite digest or not at all.

Each run was judged by itself at the suite's alpha: of twenty candidates as good as the baseline
one would err. Each word is shown with one that is corrected for the number m of candidates: what
the run has stored is judged again at alpha / m, in the same registered order, with the same signs.
Each kind of error (a gate wrongly called better or worse; a run wrongly passed) then has at most
that probability in each of them, at whatever look it stopped. In any of them it has at most alpha,
whatever they share, the baseline's drives above all (Bonferroni; Dunn 1961, JASA 56(293)).

A run that stopped when it was decided alone may be open at the smaller alpha: completed, it has
all the evidence there is. Only the candidates that are asked for together count.
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.db.bank_tables import ModelRow, SuiteVersionRow
from server.db.run_tables import RunRow
from server.problems import Refused, not_found
from server.services.bank.register_model import find_model
from server.services.bank.register_suite import find_version
from server.services.runs.document_differences import differences, version_differences
from server.services.runs.judge import RunEvidence, UndecidableError
from server.services.runs.run_views import ModelName, SuiteName, is_provisional
from suites.vocabulary import MetricVerdict, RunVerdict


class Corrected(BaseModel):
    """The verdict among the candidates compared."""

    verdict: RunVerdict | None
    """Null where the run can't be judged again."""
    gates: list[MetricVerdict]
    """In the suite's order."""
    problem: str
    """Why it can't be judged again; else empty."""


class Compared(BaseModel):
    """One candidate."""

    candidate: ModelName
    run_id: str
    verdict: RunVerdict | None
    provisional: bool
    withdrawn_at: datetime | None
    sentence: str
    gates: list[dict[str, Any]]
    """suites.judgement.GateVerdict, in the suite's order: judged alone, at the suite's alpha."""
    corrected: Corrected


class Comparison(BaseModel):
    """Models by gates against one baseline."""

    baseline: ModelName
    suite: SuiteName
    alpha: float
    """Wrong claims accepted over all candidates together."""
    alpha_each: float
    """Of each candidate, over all its gates: alpha over their number."""
    correction: str
    """What was done about there being several, in a sentence."""
    candidates: list[Compared]


MOST_KEPT = 10_000
_judged: dict[tuple[str, datetime, int], Corrected] = {}
"""What finished runs (by id and when: a completed one ends twice) say, by number of candidates.
Judging 2,000 pairs and five gates again takes about 0.4 s."""


def compare(
    session: Session, baseline: str, candidates: list[str], suite: str | None
) -> Comparison:
    """The newest decided run of each candidate against the baseline.

    On `suite` if one is named, else on the suite version that all of them met; of several, on the
    one that was last used. Raises Refused: 404 for a model that isn't known or was never compared
    so, 409 when the runs were made on different suite digests or runtimes, with the fields that
    differ."""
    base = find_model(session, baseline)
    models = list({m.digest: m for m in (find_model(session, c) for c in candidates)}.values())
    if suite is not None:
        digest: str | None = find_version(session, suite).digest
    else:
        digest = _common(session, base.digest, [model.digest for model in models])
    runs = [_newest_run(session, model, base, digest) for model in models]
    version = session.get_one(SuiteVersionRow, runs[0].suite_digest)
    _check_comparable(session, models, runs, version)
    count = len(runs)
    alpha = float(version.document["suite"]["alpha"])
    return Comparison(
        alpha=alpha,
        alpha_each=alpha / count,
        correction=_correction(count, alpha),
        baseline=ModelName(digest=base.digest, name=base.name),
        suite=SuiteName(digest=version.digest, name=version.suite, number=version.number),
        candidates=[
            Compared(
                candidate=ModelName(digest=model.digest, name=model.name),
                run_id=run.id,
                verdict=run.verdict,
                provisional=is_provisional(run),
                withdrawn_at=run.withdrawn_at,
                sentence=run.sentence,
                gates=(run.verdict_document or {}).get("gates", []),
                corrected=_corrected(session, run, count),
            )
            for model, run in zip(models, runs, strict=True)
        ],
    )


def _common(session: Session, baseline: str, candidates: list[str]) -> str | None:
    """The suite version on which every candidate has a verdict against the baseline. The last used
    of several; None: there is none."""
    return session.scalars(
        select(RunRow.suite_digest)
        .where(RunRow.candidate.in_(candidates), RunRow.baseline == baseline)
        .where(RunRow.verdict.is_not(None))
        .group_by(RunRow.suite_digest)
        .having(func.count(RunRow.candidate.distinct()) == len(candidates))
        .order_by(func.max(RunRow.created).desc(), RunRow.suite_digest)
        .limit(1)
    ).first()


def _newest_run(
    session: Session, candidate: ModelRow, baseline: ModelRow, suite_digest: str | None
) -> RunRow:
    query = select(RunRow).where(
        RunRow.candidate == candidate.digest,
        RunRow.baseline == baseline.digest,
        RunRow.verdict.is_not(None),
    )
    if suite_digest is not None:
        query = query.where(RunRow.suite_digest == suite_digest)
    run = session.scalars(query.order_by(RunRow.created.desc()).limit(1)).first()
    if run is None:
        both = f"{candidate.name} against {baseline.name}"
        raise not_found("finished run", both, "submit it: `redrive submit`")
    return run


def _check_comparable(
    session: Session, models: list[ModelRow], runs: list[RunRow], version: SuiteVersionRow
) -> None:
    """All on the suite version of the first, the baseline on one runtime. Raises Refused (409)."""
    first = runs[0]
    for model, run in zip(models[1:], runs[1:], strict=True):
        both = f"{models[0].name} and {model.name}"
        if run.suite_digest != first.suite_digest:
            other = session.get_one(SuiteVersionRow, run.suite_digest)
            found = version_differences(version.document, other.document)
            sentence = f"{both} were judged on different suite digests"
            raise Refused("different-suites", sentence, tuple(found))
        if run.baseline_execution != first.baseline_execution:
            found = differences(first.baseline_execution, run.baseline_execution, "execution")
            sentence = f"the runs of {both} met the baseline on different runtimes"
            raise Refused("different-runtimes", sentence, tuple(found))


def _correction(count: int, alpha: float) -> str:
    if count == 1:
        return f"One candidate at alpha = {alpha:g}: nothing to correct."
    return (
        f"{count} candidates: each judged again at alpha = {alpha:g} / {count} (Bonferroni). "
        "Any gate of any of them is wrongly called better or worse with probability at most "
        f"{alpha:g}, and so is any run wrongly passed."
    )


def _corrected(session: Session, run: RunRow, count: int) -> Corrected:
    if run.finished is not None and (known := _judged.get((run.id, run.finished, count))):
        return known
    evidence = RunEvidence(session, run, beside=count)
    try:
        while evidence.consume(session, beyond=evidence.consumed > 0):
            pass
    except UndecidableError as error:
        return Corrected(verdict=None, gates=[], problem=str(error))
    verdict = evidence.verdict(over=True)
    gates = [gate.verdict for gate in verdict.gates]
    corrected = Corrected(verdict=verdict.verdict, gates=gates, problem="")
    if len(_judged) >= MOST_KEPT:
        _judged.clear()
    if run.finished is not None:
        _judged[run.id, run.finished, count] = corrected
    return corrected
