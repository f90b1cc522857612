"""Paired results as the judge reads them, from a service or from files that `redrive replay --json` wrote."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from server.client import Client
from suites.definition.suite_schema import PlannedRollout, Suite, breadth_first
from suites.errors import Finding, SubmitterError
from suites.judgement import PairTable
from suites.rollout import Scenario
from suites.vocabulary import Outcome

_SUITE = TypeAdapter(Suite)

PAGE = 1000

Floats = NDArray[np.float64]


def run_table(client: Client, run_id: str) -> tuple[PairTable, Suite]:
    """The pairs of a stored run that both models have driven, in its order, and its suite: what the coordinator judged.
    Must-pass cases are left out, as the gates leave them out. Raises SubmitterError where no gate judges anything."""
    run = client.run(run_id)
    suite = _SUITE.validate_python(
        client.get(f"/v1/suite-versions/{run['suite']['digest']}")["definition"]
    )
    metrics = tuple(dict.fromkeys(gate.metric for gate in suite.gates))
    if not metrics:
        raise SubmitterError(
            f"suite {suite.name} has no gate: there is nothing to check", (Finding("run", run_id),)
        )
    columns = [
        [
            pair
            for pair in client.items(f"/v1/runs/{run_id}/results", metric=metric, limit=PAGE)
            if (suite.select is None or not pair["mandatory"])
            and pair["candidate"]["outcome"]
            and pair["baseline"]["outcome"]
        ]
        for metric in metrics
    ]
    first = columns[0]
    sides = {
        (side, part): np.array(
            [[_number(pair[side][part]) for pair in column] for column in columns]
        ).T.reshape(-1, len(metrics))
        for side in ("candidate", "baseline")
        for part in ("value", "low", "high")
    }
    return _table(
        [pair["case_id"] for pair in first],
        [pair["route"] for pair in first],
        metrics,
        sides,
        {
            side: tuple(Outcome(pair[side]["outcome"]) for pair in first)
            for side in ("candidate", "baseline")
        },
    ), suite


def replayed_table(candidate: Path, baseline: Path, suite: Suite) -> PairTable:
    """The rollouts that both of two `redrive replay --json` answers hold, in an order registered by the suite's seed.
    A route is what stands before the `/` of a segment id. A rollout that left the trust region has no value here: it is
    counted at its best and at its worst. Raises SubmitterError for a file that is no such answer, or has other rollouts."""
    metrics = tuple(dict.fromkeys(gate.metric for gate in suite.gates))
    answers = [_answer(path, metrics) for path in (candidate, baseline)]
    names = sorted(answers[0].keys() & answers[1].keys())
    if not names:
        finding = Finding(
            str(candidate),
            f"no rollout is in {baseline} as well",
            "replay the same segments and offsets",
        )
        raise SubmitterError("nothing is paired", (finding,))
    nowhere = Scenario(segment_id="", segment_digest="", start_s=0.0, end_s=0.0)
    plan = [
        PlannedRollout(case_id=n, route=n.partition("/")[0], scenario=nowhere, repeat=0)
        for n in names
    ]
    order = [p.case_id for p in breadth_first(plan, suite.order_seed)]
    sides: dict[tuple[str, str], Floats] = {}
    outcomes: dict[str, tuple[Outcome, ...]] = {}
    for side, answer in zip(("candidate", "baseline"), answers, strict=True):
        outcomes[side] = tuple(Outcome(answer[name]["outcome"]) for name in order)
        values = np.array(
            [
                [
                    np.nan if o is Outcome.LEFT_TRUST_REGION else _number(answer[name].get(m))
                    for m in metrics
                ]
                for name, o in zip(order, outcomes[side], strict=True)
            ]
        )
        sides |= {(side, part): values for part in ("value", "low", "high")}
    return _table(order, [name.partition("/")[0] for name in order], metrics, sides, outcomes)


def _answer(path: Path, metrics: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Rollouts by segment and offset."""
    try:
        rollouts = json.loads(path.read_text())["rollouts"]
        found = {f"{r['segment']}@{r['offset']}": r for r in rollouts}
        [Outcome(r["outcome"]) for r in rollouts]
    except (OSError, ValueError, KeyError, TypeError) as error:
        finding = Finding(
            str(path),
            f"{type(error).__name__}: {error}",
            "write it with `redrive replay ... --json > FILE`",
        )
        raise SubmitterError(f"{path} is not the answer of a replay", (finding,)) from None
    lacking = [metric for metric in metrics if not any(metric in r for r in rollouts)]
    if lacking:
        raise SubmitterError(
            f"{path} lacks {', '.join(lacking)}",
            (Finding(str(path), "the suite's gates need them"),),
        )
    return found


def _table(
    names: Sequence[str],
    routes: Sequence[str],
    metrics: tuple[str, ...],
    sides: Mapping[tuple[str, str], Floats],
    outcomes: Mapping[str, tuple[Outcome, ...]],
) -> PairTable:
    return PairTable(
        case_ids=tuple(names),
        routes=tuple(routes),
        metrics=metrics,
        candidate=sides["candidate", "value"],
        candidate_low=sides["candidate", "low"],
        candidate_high=sides["candidate", "high"],
        baseline=sides["baseline", "value"],
        baseline_low=sides["baseline", "low"],
        baseline_high=sides["baseline", "high"],
        candidate_outcome=outcomes["candidate"],
        baseline_outcome=outcomes["baseline"],
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
