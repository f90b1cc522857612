"""Paired results as the judge reads them: of a stored run, or of two answers of a replay."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cli.cost_csv import in_order
from server.client import Client
from suites.definition.suite_schema import Suite
from suites.errors import Finding, SubmitterError
from suites.pair_table import PairTable
from suites.verdict.run_file import csv_cells, run_file
from suites.vocabulary import Outcome


def run_table(client: Client, run_id: str) -> tuple[PairTable, Suite]:
    """The pairs of a run that both models have driven, in its order, and its suite with its seed.
    Must-pass cases are left out, as the gates leave them out. Raises SubmitterError where no gate
    judges anything."""
    text = "".join(client.parts(f"/v1/runs/{run_id}/export.csv"))
    run = run_file(f"run {run_id}", csv_cells(text))
    if not run.header.metrics:
        problem = f"suite {run.header.suite.name} has no gate: there is nothing to check"
        raise SubmitterError(problem, Finding("run", run_id))
    return run.pairs, run.header.suite


def replayed_table(candidate: Path, baseline: Path, suite: Suite) -> PairTable:
    """The rollouts that two `redrive replay --json` answers share, ordered by the suite's seed.

    A route is the part of a segment id before the `/`. A rollout that left the trust region has no
    value here: it is counted at its best and at its worst. Raises SubmitterError for a file that
    is no such answer, and where no rollout is shared.
    """
    metrics = tuple(dict.fromkeys(gate.metric for gate in suite.gates))
    answers = [_answer(path, metrics) for path in (candidate, baseline)]
    names = sorted(answers[0].keys() & answers[1].keys())
    if not names:
        problem = f"no rollout is in {baseline} as well"
        finding = Finding(str(candidate), problem, "replay the same segments and offsets")
        raise SubmitterError("nothing is paired", finding)
    order = in_order(names, [_route(name) for name in names], suite.order_seed or 0)
    candidates, baselines = (
        [Outcome(answer[name]["outcome"]) for name in order] for answer in answers
    )
    values = np.array(
        [[[_number(answer[name].get(m)) for m in metrics] for name in order] for answer in answers]
    )
    for model, outcomes in zip(values, (candidates, baselines), strict=True):
        model[[outcome is Outcome.LEFT_TRUST_REGION for outcome in outcomes]] = np.nan
    return PairTable(
        case_ids=tuple(order),
        routes=tuple(_route(name) for name in order),
        metrics=metrics,
        results=np.stack([values] * 3),
        outcomes=tuple(zip(candidates, baselines, strict=True)),
    )


def _route(name: str) -> str:
    return name.partition("/")[0]


def _answer(path: Path, metrics: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Rollouts by segment and offset."""
    try:
        rollouts = json.loads(path.read_text())["rollouts"]
        found = {f"{r['segment']}@{r['offset']}": r for r in rollouts}
        for rollout in rollouts:
            Outcome(rollout["outcome"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        remedy = "write it with `redrive replay ... --json > FILE`"
        finding = Finding(str(path), f"{type(error).__name__}: {error}", remedy)
        raise SubmitterError(f"{path} is not the answer of a replay", finding) from None
    lacking = [metric for metric in metrics if not any(metric in r for r in rollouts)]
    if lacking:
        finding = Finding(str(path), "the suite's gates need them")
        raise SubmitterError(f"{path} lacks {', '.join(lacking)}", finding)
    return found


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
