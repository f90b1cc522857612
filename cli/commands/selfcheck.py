"""`redrive selfcheck`: does the test itself hold? Nulls, planted regressions, bad workers, rollouts that don't repeat."""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.connection import DEFAULT_URL, EXIT_OURS, Url, connect, print_json, print_table
from cli.cost_csv import paired, read_costs
from cli.stored_pairs import replayed_table, run_table
from server.client import Client
from suites.definition.selector import Selector
from suites.definition.suite_schema import Gate, Suite, load_suite
from suites.errors import Finding, SubmitterError
from suites.judgement import PairTable
from suites.verdict.planted_effects import SelfCheck, self_check

app = typer.Typer(context_settings={"allow_interspersed_args": True})

OVERALL = Path(__file__).parents[2] / "suites" / "overall.toml"
NIGHTLY_RUNS, NIGHTLY_PROBES = 3, 20
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
        typer.Argument(
            help="Without a service: two answers of `redrive replay --json`, or one CSV of paired costs."
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(envvar="REDRIVE_RUN", help="Check on the stored results of this run."),
    ] = None,
    nightly: Annotated[
        bool,
        typer.Option(
            help="All that the service does every night, now: the newest run of each suite, the workers, some probes; kept."
        ),
    ] = False,
    workers: Annotated[
        bool, typer.Option(help="Look for a worker whose rollouts lie differently.")
    ] = False,
    probe: Annotated[
        int | None,
        typer.Option(
            envvar="REDRIVE_PROBE", min=1, max=1000, help="Drive so many stored rollouts again."
        ),
    ] = None,
    show: Annotated[
        bool,
        typer.Option(
            "--show", help="What the service keeps: nights, self-checks, probes, open alarms."
        ),
    ] = False,
    acknowledge: Annotated[
        int | None, typer.Option(min=1, help="Close the alarm of this number: somebody has looked.")
    ] = None,
    actor: Annotated[str, typer.Option(envvar="REDRIVE_ACTOR", help="Who has looked.")] = "",
    suite: Annotated[
        Path,
        typer.Option(envvar="REDRIVE_SUITE_FILE", help="The suite whose gates judge two replays."),
    ] = OVERALL,
    baseline: Annotated[
        str | None,
        typer.Option(envvar="REDRIVE_BASELINE", help="CSV: one of two near-equal models."),
    ] = None,
    candidate: Annotated[
        str | None, typer.Option(envvar="REDRIVE_CANDIDATE", help="CSV: the other one.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(envvar="REDRIVE_METRIC", help="CSV: gate this one; several gate all."),
    ] = None,
    route_column: Annotated[
        str | None, typer.Option(envvar="REDRIVE_ROUTE_COLUMN", help="CSV: column of the route.")
    ] = None,
    margin: Annotated[
        float,
        typer.Option(envvar="REDRIVE_MARGIN", min=1e-6, max=10, help="CSV: the gates' margin."),
    ] = 0.02,
    runs: Annotated[
        int, typer.Option(envvar="REDRIVE_RUNS", min=1, help="Simulated runs of each kind.")
    ] = 200,
    seed: Annotated[
        int, typer.Option(envvar="REDRIVE_SEED", min=0, help="Seed of the swaps and plants.")
    ] = 0,
    timeout: Annotated[
        float,
        typer.Option(envvar="REDRIVE_TIMEOUT", min=0, help="Wait for probes at most so long, s."),
    ] = 600.0,
    url: Url = DEFAULT_URL,
    as_json: Annotated[
        bool, typer.Option("--json", envvar="REDRIVE_JSON", help="JSON alone on standard output.")
    ] = False,
) -> None:
    """Check the judge on stored results: label-swapped nulls must rarely alarm, planted regressions must be found.

    Exit code 0: sound as far as was seen, 4: something errs more often than it may.
    """
    if show or acknowledge is not None:
        _kept(url, acknowledge, actor, as_json)
        return
    found = Found()
    if results:
        table, gates = _from_files(
            results, suite, baseline, candidate, metric or [], route_column, margin
        )
        _judge(found, table, gates, runs, seed, ", ".join(str(path) for path in results))
    elif run is None and not (nightly or workers or probe):
        finding = Finding(
            "selfcheck", "nothing was named", "--run ID, --nightly, --workers, --probe N, or files"
        )
        raise SubmitterError("there is nothing to check", (finding,))
    else:
        with connect(url) as client:
            for run_id in _newest(client) if nightly else [run] if run else []:
                _check_run(found, client, run_id, runs, seed, keep=nightly)
            if workers or nightly:
                _check_workers(found, client)
            if probe or nightly:
                _check_probes(found, client, probe or NIGHTLY_PROBES, timeout, optional=nightly)
    if as_json:
        print_json(asdict(found))
    else:
        _show(found)
    raise typer.Exit(EXIT_OURS if found.faults else 0)


def _kept(url: str, acknowledge: int | None, actor: str, as_json: bool) -> None:
    with connect(url) as client:
        if acknowledge is not None:
            client.post(f"/v1/alarms/{acknowledge}/acknowledge", {"actor": actor})
        kept = client.get("/v1/checks")
    if as_json:
        print_json(kept)
        return
    nights = [
        (
            n["night"],
            n["error"]
            or ("; ".join(n["report"]["faults"]) or "no fault seen" if n["finished"] else "begun"),
            len(n["report"]["self_checks"]),
            len(n["report"]["probes"]),
        )
        for n in kept["nights"]
    ]
    print_table(
        ("night", "result", "self-checks", "probes"),
        nights,
        "no night yet: redrive selfcheck --nightly does the same now",
    )
    checks = [
        (c["run_id"], "; ".join(c["faults"]) or "sound", c["report"]["runs"], c["created"][:16])
        for c in kept["self_checks"]
    ]
    print_table(
        ("self-check of run", "result", "simulated runs", "when"),
        checks,
        "no self-check yet: redrive selfcheck --nightly",
    )
    print("probes: " + ", ".join(f"{count} {word}" for word, count in kept["probes"].items()))
    alarms = [
        (a["id"], a["kind"], a["created"][:16], str(a["detail"])[:100]) for a in kept["alarms"]
    ]
    print_table(("alarm", "kind", "when", "what"), alarms, "no open alarm")


def _from_files(
    paths: Sequence[Path],
    suite: Path,
    baseline: str | None,
    candidate: str | None,
    metrics: Sequence[str],
    route_column: str | None,
    margin: float,
) -> tuple[PairTable, Suite]:
    if len(paths) == 2:
        judged_by = load_suite(suite)
        return replayed_table(paths[0], paths[1], judged_by), judged_by
    if len(paths) != 1 or baseline is None or candidate is None:
        finding = Finding(
            "RESULTS",
            f"{len(paths)} files",
            "two replays, or one CSV with --baseline and --candidate",
        )
        raise SubmitterError("it is not clear what is compared with what", (finding,))
    costs = read_costs(paths[0], metrics, route_column)
    table = paired(costs, candidate, baseline, 0)
    gates = tuple(Gate(metric=name, margin=margin) for name in costs.metrics)
    return table, Suite(name="by_hand", kind="overall", select=Selector(), gates=gates)


def _newest(client: Client) -> list[str]:
    """The newest finished run of each suite, of two distinct models."""
    newest: dict[str, str] = {}
    for run in client.items("/v1/runs", status="finished", most=200):
        if run["candidate"]["digest"] != run["baseline"]["digest"]:
            newest.setdefault(run["suite"]["name"], run["id"])
    return list(newest.values())[:NIGHTLY_RUNS]


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
    bad = sorted({view["worker"] for view in found.workers if view["bad"]})
    if bad and len({view["worker"] for view in found.workers}) == 2:
        found.faults.append(
            f"workers {' and '.join(bad)} differ; of two it can't be said which is wrong: probe both"
        )
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
    numbers, deadline = [probe["id"] for probe in asked], time.monotonic() + timeout_s
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


def _show(found: Found) -> None:
    for check in found.self_checks:
        print(
            f"{check['of']}, suite {check['suite']}: {check['pairs']:,} pairs on {check['routes']} routes"
        )
        print_table(("simulated", "", "share", "95 % interval", "runs"), _rates(check), "")
        for text in check["not_planted"]:
            print(f"not planted: {text}")
        print()
    if found.workers is not None:
        rows = [
            (
                v["worker"],
                v["population"],
                v["rollouts"],
                f"{v['chi_square']:.1f}",
                f"{v['p']:.2g}",
                f"{v['shift']:+.3g}",
                "bad" if v["bad"] else "",
            )
            for v in found.workers[:10]
        ]
        print_table(
            ("worker", "models and metric", "rollouts", "chi-square", "adjusted p", "shift", ""),
            rows,
            "workers: too few rollouts by different workers to compare them",
        )
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


def _rates(check: dict[str, Any]) -> Iterable[tuple[Any, ...]]:
    nulls = check["nulls"]
    rows = [
        ("equal models", "a difference is claimed (false alarm)", nulls["alarms"]),
        ("equal models", "run fails", nulls["failed"]),
        ("equal models", "run passes", nulls["passed"]),
        ("equal models", "naive peeking test alarms (control)", nulls["naive"]),
    ]
    for planted in check["planted"]:
        name = f"worse by {planted['multiple']:g} margins, {planted['kind']}"
        after = (
            ""
            if planted["median_pairs"] is None
            else f", median after {planted['median_pairs']:g} pairs"
        )
        rows += [
            (name, f"run fails{after}", planted["failed"]),
            (name, 'called "not worse" (wrong)', planted["asserted"]),
        ]
    for name, what, rate in rows:
        share = 100 * rate["hits"] / rate["runs"]
        yield (
            name,
            what,
            f"{share:.1f} %",
            f"[{100 * rate['low']:.1f}, {100 * rate['high']:.1f}]",
            f"{rate['runs']:,}",
        )
