"""`redrive selfcheck`: does the test itself hold?

Equal models, planted regressions, bad workers, rollouts that do not repeat.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.connection import connect
from cli.cost_csv import paired, read_costs
from cli.exit_codes import EXIT_OURS
from cli.hand_suite import MARGIN, RATE_MARGIN, hand_suite
from cli.judged_columns import declared_kinds
from cli.options import (
    DEFAULT_URL,
    AsJson,
    AsRate,
    HigherIsBetter,
    LowerIsBetter,
    Metric,
    RateMargin,
    RouteColumn,
    Url,
    argument,
    option,
)
from cli.printing import Columns, print_items, print_json
from cli.stored_pairs import replayed_table, run_table
from server.client import Client
from server.services.health.night_choice import LOOK_BACK, PROBES, FinishedRun, newest_of_suites
from suites.definition.suite_schema import Suite
from suites.definition.suite_toml import load_suite
from suites.errors import Finding, SubmitterError
from suites.pair_table import PairTable
from suites.verdict.planted_effects import SelfCheck, self_check

app = typer.Typer(context_settings={"allow_interspersed_args": True})

OVERALL = Path(__file__).parents[2] / "suites" / "overall.toml"
LOOK_S = 2.0


@dataclass
class Found:
    """What this call has checked."""

    self_checks: list[dict[str, Any]] = field(default_factory=list)
    workers: list[dict[str, Any]] | None = None
    probes: list[dict[str, Any]] | None = None
    faults: list[str] = field(default_factory=list)


@app.callback(invoke_without_command=True)
def selfcheck(
    results: Annotated[
        list[Path] | None,
        argument(
            "Without a service: two answers of `redrive replay --json`, or one CSV of paired costs."
        ),
    ] = None,
    run: Annotated[
        str | None, option("Check on the stored results of this run.", "REDRIVE_RUN")
    ] = None,
    nightly: Annotated[
        bool,
        option(
            "All that the service does every night, now: the newest run of each suite, "
            "the workers, some probes; kept."
        ),
    ] = False,
    workers: Annotated[bool, option("Look for a worker whose rollouts lie differently.")] = False,
    probe: Annotated[
        int | None, option("Stored rollouts to drive again.", "REDRIVE_PROBE", min=1, max=1000)
    ] = None,
    show: Annotated[
        bool,
        option("What the service keeps: nights, self-checks, probes, open alarms.", name="--show"),
    ] = False,
    acknowledge: Annotated[
        int | None, option("Close the alarm of this number: somebody has looked.", min=1)
    ] = None,
    actor: Annotated[str, option("Who has looked.", "REDRIVE_ACTOR")] = "",
    suite: Annotated[
        Path, option("The suite whose gates judge two replays.", "REDRIVE_SUITE_FILE")
    ] = OVERALL,
    baseline: Annotated[
        str | None, option("CSV: one of two near-equal models.", "REDRIVE_BASELINE")
    ] = None,
    candidate: Annotated[str | None, option("CSV: the other one.", "REDRIVE_CANDIDATE")] = None,
    metric: Metric = None,
    lower_is_better: LowerIsBetter = None,
    higher_is_better: HigherIsBetter = None,
    rate: AsRate = None,
    route_column: RouteColumn = None,
    margin: Annotated[
        float, option("CSV: the gates' margin.", "REDRIVE_MARGIN", min=1e-6, max=10)
    ] = MARGIN,
    rate_margin: RateMargin = RATE_MARGIN,
    runs: Annotated[int, option("Simulated runs of each kind.", "REDRIVE_RUNS", min=1)] = 200,
    seed: Annotated[int, option("Seed of the swaps and plants.", "REDRIVE_SEED", min=0)] = 0,
    timeout: Annotated[
        float, option("Wait for probes at most so long, s.", "REDRIVE_TIMEOUT", min=0)
    ] = 600.0,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Check the judge: equal models must rarely alarm, planted regressions must be found.

    It simulates runs on stored results, with labels swapped or costs made worse.

    Exit code 0: sound as far as was seen, 4: something errs more often than it may.
    """
    if show or acknowledge is not None:
        _kept(url, acknowledge, actor, as_json)
        return
    found = Found()
    if results:
        if len(results) == 2:
            judged_by = load_suite(suite)
            table = replayed_table(results[0], results[1], judged_by)
        elif len(results) == 1 and baseline is not None and candidate is not None:
            declared = declared_kinds(lower_is_better, higher_is_better, rate)
            costs = read_costs(results[0], metric or (), route_column, declared)
            table = paired(costs, candidate, baseline, 0)
            judged_by = hand_suite(costs.kinds, margin=margin, rate_margin=rate_margin)
        else:
            remedy = "two replays, or one CSV with --baseline and --candidate"
            finding = Finding("RESULTS", f"{len(results)} files", remedy)
            raise SubmitterError("it is not clear what is compared with what", finding)
        _judge(found, table, judged_by, runs, seed, ", ".join(map(str, results)))
    elif run is None and not (nightly or workers or probe):
        remedy = "--run ID, --nightly, --workers, --probe N, or files"
        finding = Finding("selfcheck", "nothing was named", remedy)
        raise SubmitterError("there is nothing to check", finding)
    else:
        with connect(url) as client:
            for run_id in _newest(client) if nightly else [run] if run else []:
                _check_run(found, client, run_id, runs, seed, keep=nightly)
            if workers or nightly:
                _check_workers(found, client)
            if probe or nightly:
                _check_probes(found, client, probe or PROBES, timeout, optional=nightly)
    print_json(asdict(found)) if as_json else _show(found)
    raise typer.Exit(EXIT_OURS if found.faults else 0)


def _kept(url: str, acknowledge: int | None, actor: str, as_json: bool) -> None:
    with connect(url) as client:
        if acknowledge is not None:
            client.post(f"/v1/alarms/{acknowledge}/acknowledge", {"actor": actor})
        kept = client.get("/v1/checks")
    if as_json:
        print_json(kept)
        return
    nights: Columns = {
        "night": "night",
        "result": _night,
        "self-checks": lambda night: len(night["report"]["self_checks"]),
        "probes": lambda night: len(night["report"]["probes"]),
    }
    checks: Columns = {
        "self-check of run": "run_id",
        "result": lambda check: "; ".join(check["faults"]) or "sound",
        "simulated runs": "report.runs",
        "when": lambda check: check["created"][:16],
    }
    alarms: Columns = {
        "alarm": "id",
        "kind": "kind",
        "when": lambda alarm: alarm["created"][:16],
        "what": lambda alarm: str(alarm["detail"])[:100],
    }
    same = "redrive selfcheck --nightly"
    print_items(kept["nights"], nights, f"no night yet: {same} does the same now")
    print_items(kept["self_checks"], checks, f"no self-check yet: {same}")
    print("probes: " + ", ".join(f"{count} {word}" for word, count in kept["probes"].items()))
    print_items(kept["alarms"], alarms, "no open alarm")


def _night(night: dict[str, Any]) -> str:
    if night["error"]:
        return str(night["error"])
    if not night["finished"]:
        return "begun"
    return "; ".join(night["report"]["faults"]) or "no fault seen"


def _newest(client: Client) -> list[str]:
    """The runs that a night would check."""
    return newest_of_suites(
        FinishedRun(
            run["id"], run["suite"]["name"], run["candidate"]["digest"], run["baseline"]["digest"]
        )
        for run in client.items("/v1/runs", status="finished", most=LOOK_BACK)
    )


def _check_run(found: Found, client: Client, run_id: str, runs: int, seed: int, keep: bool) -> None:
    try:
        table, suite = run_table(client, run_id)
        report = _judge(found, table, suite, runs, seed, f"run {run_id}")
    except SubmitterError as error:
        if not keep:
            raise
        reasons = "; ".join(f"{f.where}: {f.problem}" for f in error.findings)
        print(f"run {run_id} is left out: {error} ({reasons})", file=sys.stderr)
        return
    if keep:
        client.post(f"/v1/runs/{run_id}/self-checks", asdict(report))


def _judge(
    found: Found, table: PairTable, suite: Suite, runs: int, seed: int, what: str
) -> SelfCheck:
    report = self_check(table, suite, runs=runs, seed=seed, progress=_counter(what))
    found.self_checks.append(
        {"of": what, "suite": suite.name, **asdict(report), "faults": report.faults}
    )
    found.faults += [f"{what}: {fault}" for fault in report.faults]
    return report


def _counter(what: str) -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        if done * 10 // total != (done - 1) * 10 // total:
            print(f"{what}: {done:,} of {total:,} simulated runs", file=sys.stderr)

    return tell


def _check_workers(found: Found, client: Client) -> None:
    found.workers = client.post("/v1/checks/workers", {})["workers"]
    names = {view["worker"] for view in found.workers}
    bad = sorted({view["worker"] for view in found.workers if view["bad"]})
    if bad and len(names) == 2:
        unclear = "of two it can't be said which is wrong: probe both"
        found.faults.append(f"workers {' and '.join(bad)} differ; {unclear}")
    else:
        found.faults += [
            f"worker {name}: its rollouts lie differently from those of all others" for name in bad
        ]


def _check_probes(
    found: Found, client: Client, count: int, timeout_s: float, optional: bool
) -> None:
    try:
        asked = client.post("/v1/probes", {"count": count})["probes"]
    except SubmitterError as error:
        if not optional:
            raise
        print(f"no probes: {error}", file=sys.stderr)
        return
    numbers = [probe["id"] for probe in asked]
    deadline = time.monotonic() + timeout_s
    while True:
        found.probes = client.get("/v1/probes", number=numbers)["probes"]
        left = sum(probe["driven"] is None for probe in found.probes)
        print(f"{len(numbers) - left} of {len(numbers)} probes driven", file=sys.stderr)
        if not left or time.monotonic() > deadline:
            break
        time.sleep(LOOK_S)
    unequal = [probe for probe in found.probes if probe["equal"] is False]
    found.faults += [
        f"rollout {p['drive_key'][:12]} does not repeat to the bit (by {p['worker']})"
        for p in unequal
    ]


WORKERS: Columns = {
    "worker": "worker",
    "models and metric": "population",
    "rollouts": "rollouts",
    "chi-square": lambda view: f"{view['chi_square']:.1f}",
    "adjusted p": lambda view: f"{view['p']:.2g}",
    "shift": lambda view: f"{view['shift']:+.3g}",
    "": lambda view: "bad" if view["bad"] else "",
}
RATES: Columns = {
    "simulated": lambda row: row[0],
    "": lambda row: row[1],
    "share": lambda row: f"{100 * row[2]['hits'] / row[2]['runs']:.1f} %",
    "95 % interval": lambda row: f"[{100 * row[2]['low']:.1f}, {100 * row[2]['high']:.1f}]",
    "runs": lambda row: f"{row[2]['runs']:,}",
}


def _show(found: Found) -> None:
    for check in found.self_checks:
        pairs = f"{check['pairs']:,} pairs on {check['routes']} routes"
        print(f"{check['of']}, suite {check['suite']}: {pairs}")
        print_items(list(_rates(check)), RATES, "")
        for text in check["not_planted"]:
            print(f"not planted: {text}")
        print()
    if found.workers is not None:
        too_few = "workers: too few rollouts by different workers to compare them"
        print_items(found.workers[:10], WORKERS, too_few)
    if found.probes is not None:
        equal = sum(p["equal"] is True for p in found.probes)
        waiting = sum(p["driven"] is None for p in found.probes)
        print(f"probes: {equal} of {len(found.probes)} repeat to the bit, {waiting} still wait")
        for probe in found.probes:
            if probe["error"]:
                print(f"  {probe['drive_key'][:12]} could not be driven: {probe['error']}")
    for fault in found.faults:
        print(f"FAULT {fault}")
    if not found.faults:
        print("Sound, as far as this shows.")


SHAPES = {
    "drawn by cost": ("equal models, drawn by cost", "run fails (wrong)"),
    "skew": ("far better on 2 %, else a little worse", "run fails (wrong)"),
    "mended harm": ("new spikes, as many mended", "run passes without saying so (wrong)"),
}
"""A shape that is planted, and what is wrong of it."""


def _rates(check: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(models, what happens to them, how often)."""
    nulls = check["nulls"]
    equal = "equal models"
    yield equal, "a difference is claimed (false alarm)", nulls["alarms"]
    yield equal, "run fails (wrong)", nulls["failed"]
    yield equal, f"run passes{_after(nulls['passed_pairs'])}", nulls["passed"]
    yield equal, "naive peeking test alarms (control)", nulls["naive"]
    for planted in check["planted"]:
        name = f"worse by {planted['multiple']:g} margins, {planted['kind']}"
        yield name, f"run fails{_after(planted['median_pairs'])}", planted["failed"]
        yield name, 'called "not worse" (wrong)', planted["asserted"]
        yield name, "run passes (wrong)", planted["passed"]
    for shape in check["shapes"]:
        yield *SHAPES[shape["shape"]], shape["wrong"]


def _after(pairs: float | None) -> str:
    return "" if pairs is None else f", median after {pairs:g} pairs"
