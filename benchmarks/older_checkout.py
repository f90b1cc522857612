"""Runs judged by an older checkout of this repository: its engine beside the present one.

    python older_checkout.py        in the root of that checkout: answers lines of JSON

The child imports that checkout's packages alone. A line of its input is one run, the answer is
[its first verdict or null, pairs consumed].
"""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, fields, replace
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benchmarks.driven_runs import SimulatedRun


class OlderCheckout:
    """A process that judges what it is sent, until it is closed."""

    def __init__(self, root: Path) -> None:
        command = [sys.executable, "-P", str(Path(__file__).resolve())]
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(command, cwd=root, stdin=pipe, stdout=pipe, text=True)

    def stopped(self, simulated: "SimulatedRun") -> tuple[str | None, int]:
        """`driven_runs.stopped` by the older engine."""
        suite = simulated.suite
        document = {
            "values": simulated.table.results[0].tolist(),
            "routes": simulated.table.routes,
            "metrics": simulated.table.metrics,
            "outcomes": simulated.table.outcomes,
            "suite": {k: getattr(suite, k) for k in ("name", "kind", "flips", "order_seed")},
            "gates": [asdict(gate) for gate in suite.gates],
        }
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(document) + "\n")
        self._child.stdin.flush()
        verdict, pairs = json.loads(self._child.stdout.readline())
        return verdict, pairs

    def close(self) -> None:
        """Ends the process."""
        self._child.communicate()


def _answer(line: str) -> tuple[str | None, int]:
    """Judges one run as `driven_runs.stopped` does, with the packages of the checkout."""
    from suites.definition.selector import Selector
    from suites.definition.suite_schema import Gate, Suite
    from suites.pair_table import PairTable
    from suites.verdict.run_judge import RunJudge
    from suites.vocabulary import Estimand, Outcome

    sent: dict[str, Any] = json.loads(line)
    known = {field.name for field in fields(Gate)}
    gates = [{k: v for k, v in gate.items() if k in known} for gate in sent["gates"]]
    rules = tuple(Gate(**gate | {"estimand": Estimand(gate["estimand"])}) for gate in gates)
    suite = Suite(**sent["suite"], gates=rules, select=Selector())
    candidate, baseline = np.array(sent["values"])
    of_all = {"routes": sent["routes"], "metrics": sent["metrics"]}
    table = replace(
        PairTable.completed(candidate, baseline, **of_all),
        outcomes=tuple((Outcome(c), Outcome(b)) for c, b in sent["outcomes"]),
    )
    routes = sent["routes"]
    plan: Any = len(routes)
    if "plan" in signature(RunJudge).parameters:  # the oldest are told the number of pairs alone
        from suites.run_plan import RunPlan

        plan = RunPlan(len(routes), Counter(routes))
    judge = RunJudge(suite, plan)
    start = 0
    while start < len(table) and judge.reached is None:
        block = table.rows(slice(start, start + judge.room))
        judge.extend(block)
        start += len(block)
    return judge.reached, start


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    for line in sys.stdin:
        print(json.dumps(_answer(line)), flush=True)
