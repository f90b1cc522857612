"""Several candidates against one baseline, on one suite digest or not at all.

Each run was judged by itself at the suite's alpha, so that of twenty candidates as good as the baseline one would err.
Beside each word stands the one that is corrected for the number m of candidates: what the run has stored is judged again in
the same registered order, with the same signs, at alpha / m. Each kind of error (a gate wrongly called better or worse; a
run wrongly passed) then has at most that probability in each of them, at whatever look it stopped, and at most alpha in any,
whatever they share, the baseline's drives above all (Bonferroni; Dunn 1961, JASA 56(293)). A run that stopped when alone it
was decided may be open at the smaller alpha: submitted with `--full` it has all the evidence there is. Only the candidates
that are asked for together are counted.
"""

from typing import Any

from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.db.bank_tables import SuiteVersionRow
from server.db.run_tables import RunRow
from server.problems import Refused, not_found
from server.services.bank.register_model import find_model
from server.services.bank.register_suite import find_version
from server.services.runs.judge import RunEvidence, UndecidableError
from server.services.runs.run_views import ModelName, SuiteName
from suites.errors import Finding
from suites.vocabulary import MetricVerdict, RunVerdict, Status


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
_judged: dict[tuple[str, int], Corrected] = {}
"""What finished runs (by id) say among so many candidates: their evidence no longer changes, and judging it again takes about
0.4 s for 2,000 pairs and five gates."""


def compare(
    session: Session, baseline: str, candidates: list[str], suite: str | None
) -> Comparison:
    """The newest finished run of each candidate against the baseline, on `suite` if one is named, else on the suite version
    that was last met by one of them among those that all of them met.

    Raises Refused: 404 for a model that isn't known or was never compared so, 409 when the runs were made on different
    suite digests or runtimes, with the fields that differ."""
    base = find_model(session, baseline)
    models = list(
        {
            model.digest: model
            for model in (find_model(session, reference) for reference in candidates)
        }.values()
    )
    digest = (
        find_version(session, suite).digest
        if suite is not None
        else _common(session, base.digest, [m.digest for m in models])
    )
    rows: list[tuple[ModelName, RunRow]] = []
    for model in models:
        query = select(RunRow).where(
            RunRow.candidate == model.digest,
            RunRow.baseline == base.digest,
            RunRow.status == Status.FINISHED,
        )
        if digest is not None:
            query = query.where(RunRow.suite_digest == digest)
        run = session.scalars(query.order_by(RunRow.created.desc()).limit(1)).first()
        if run is None:
            raise not_found(
                "finished run", f"{model.name} against {base.name}", "submit it: `redrive submit`"
            )
        rows.append((ModelName(digest=model.digest, name=model.name), run))
    first = rows[0][1]
    reference_version = session.get_one(SuiteVersionRow, first.suite_digest)
    for name, run in rows[1:]:
        if run.suite_digest != first.suite_digest:
            other = session.get_one(SuiteVersionRow, run.suite_digest)
            findings = tuple(version_differences(reference_version.document, other.document))
            raise Refused(
                "different-suites",
                f"{rows[0][0].name} and {name.name} were judged on different suite digests",
                findings,
            )
        if run.baseline_execution != first.baseline_execution:
            findings = tuple(
                differences(first.baseline_execution, run.baseline_execution, "execution")
            )
            raise Refused(
                "different-runtimes",
                f"the runs of {rows[0][0].name} and {name.name} met the baseline on different runtimes",
                findings,
            )
    count, alpha = len(rows), float(reference_version.document["suite"]["alpha"])
    return Comparison(
        alpha=alpha,
        alpha_each=alpha / count,
        correction=_correction(count, alpha),
        baseline=ModelName(digest=base.digest, name=base.name),
        suite=SuiteName(
            digest=reference_version.digest,
            name=reference_version.suite,
            number=reference_version.number,
        ),
        candidates=[
            Compared(
                candidate=name,
                run_id=run.id,
                verdict=run.verdict,
                sentence=run.sentence,
                gates=(run.verdict_document or {}).get("gates", []),
                corrected=_corrected(session, run, count),
            )
            for name, run in rows
        ],
    )


def _common(session: Session, baseline: str, candidates: list[str]) -> str | None:
    """The suite version on which every candidate finished a run against the baseline, the last used of several; None: there
    is none."""
    return session.scalars(
        select(RunRow.suite_digest)
        .where(
            RunRow.candidate.in_(candidates),
            RunRow.baseline == baseline,
            RunRow.status == Status.FINISHED,
        )
        .group_by(RunRow.suite_digest)
        .having(func.count(RunRow.candidate.distinct()) == len(candidates))
        .order_by(func.max(RunRow.created).desc(), RunRow.suite_digest)
        .limit(1)
    ).first()


def _correction(count: int, alpha: float) -> str:
    if count == 1:
        return f"One candidate at alpha = {alpha:g}: nothing to correct."
    return (
        f"{count} candidates: each judged again at alpha = {alpha:g} / {count} (Bonferroni). Any gate of any "
        f"of them is wrongly called better or worse with probability at most {alpha:g}, and so is any run wrongly passed."
    )


def _corrected(session: Session, run: RunRow, count: int) -> Corrected:
    known = _judged.get((run.id, count))
    if known is not None:
        return known
    evidence = RunEvidence(session, run, beside=count)
    try:
        evidence.consume(session)
    except UndecidableError as error:
        return Corrected(verdict=None, gates=[], problem=str(error))
    verdict = evidence.verdict(over=True)
    if len(_judged) >= MOST_KEPT:
        _judged.clear()
    corrected = Corrected(
        verdict=verdict.verdict, gates=[gate.verdict for gate in verdict.gates], problem=""
    )
    return _judged.setdefault((run.id, count), corrected)


def version_differences(
    one: dict[str, Any], other: dict[str, Any], most: int = 20
) -> list[Finding]:
    """The fields in which two suite versions differ, what people wrote first: the plan follows from it and from the segments'
    digests, and only two versions that agree in all that differ in their parent."""
    found: list[Finding] = []
    for part in ("suite", "metric_versions", "planned"):
        found += differences(one[part], other[part], part, most - len(found))
    return found or differences(one, other)


def differences(one: Any, other: Any, where: str = "", most: int = 20) -> list[Finding]:
    """The fields in which two JSON documents differ, at most `most` of them."""
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = [
            (f"{where}.{key}".lstrip("."), one.get(key), other.get(key))
            for key in sorted(one.keys() | other.keys())
        ]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{where}.{i}", a, b) for i, (a, b) in enumerate(zip(one, other, strict=True))]
    elif one == other:
        return []
    else:
        return [Finding(where, f"{_brief(one)} in the first, {_brief(other)} in the other")]
    found: list[Finding] = []
    for name, a, b in pairs:
        found += differences(a, b, name, most - len(found))
        if len(found) >= most:
            break
    return found[:most]


def _brief(value: Any) -> str:
    if value is None:
        return "not given"
    if isinstance(value, list):
        return f"{len(value)} entries"
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
