"""`redrive demo`: from nothing to three verdicts on this machine, over HTTP as CI would."""

import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli.connection import EXIT_OURS, print_json
from cli.demo.surprise_demo import surprise
from cli.model_folders import local_model
from cli.progress_line import follow
from cli.supervision.supervisor import running_service, say, serving
from server.client import Client

app = typer.Typer(
    context_settings={"allow_interspersed_args": True}
)  # options may follow the argument

SUITE = Path(__file__).parents[2] / "suites" / "overall.toml"
ROUTES, SEGMENTS_PER_ROUTE, SEED = 20, 3, 0


@dataclass(frozen=True, slots=True)
class Comparison:
    title: str
    candidate: str
    routes: int | None
    expected: str


COMPARISONS = (
    Comparison("the near-twin on the full suite", "twin", None, "pass"),
    Comparison("the behaviour-cloning model", "cloned", None, "fail"),
    Comparison("the near-twin on six routes", "twin", 6, "inconclusive"),
)
BASELINE = "baseline"


@contextlib.contextmanager
def timed(what: str) -> Iterator[None]:
    """Say what goes on and how long it took."""
    say(what)
    start = time.monotonic()
    yield
    say(f"  done in {time.monotonic() - start:.1f} s")


@app.callback(invoke_without_command=True)
def demo(
    what: Annotated[
        Literal["verdicts", "surprise"],
        typer.Argument(help="Three verdicts, or how a surprise becomes a test."),
    ] = "verdicts",
    data: Annotated[
        Path, typer.Option(envvar="REDRIVE_DATA", help="Folder of the installation.")
    ] = Path(".redrive"),
    port: Annotated[
        int | None,
        typer.Option(
            envvar="REDRIVE_PORT",
            help="Port to listen on.",
            show_default="8700, or the next free one",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(envvar="REDRIVE_WORKERS", min=1, help="Workers that drive rollouts.")
    ] = 2,
    leave: Annotated[
        bool,
        typer.Option("--exit", help="Stop after the verdicts instead of serving the dashboard."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The verdicts alone on standard output.")
    ] = False,
) -> None:
    """Start everything, make the demo corpus, submit three comparisons and print their verdicts."""
    verdicts: list[dict[str, Any]] = []
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        url, service = serving(data), None
        if url is None:
            service = stack.enter_context(running_service(data, port=port, workers=workers))
            url = service.url
        with timed(
            f"making the demo corpus: {ROUTES * SEGMENTS_PER_ROUTE} segments over {ROUTES} routes"
        ):
            make_corpus(data)
        with Client(url) as client:
            client.index_segments()
            verdicts = surprise(client, data) if what == "surprise" else compare_all(client)
        if as_json:
            print_json({"verdicts": verdicts, "dashboard": url})
            sys.stdout.flush()
        if service is None:
            say(f"The dashboard is at {url}, where it was served already.")
        elif not leave:
            say(
                f"The dashboard is at {url}. Ctrl-C stops it; `redrive up --data {data}` brings it back."
            )
            if shutil.which("redrive") is None:
                say(
                    f"For the commands that it shows: export PATH={Path(sys.executable).parent}:$PATH"
                )
            service.children.wait()
    if not verdicts or any(v["verdict"] != v["expected"] for v in verdicts):
        raise typer.Exit(EXIT_OURS)


def compare_all(client: Client) -> list[dict[str, Any]]:
    """The three comparisons with their verdicts, and what each should be."""
    digests = {name: push(client, name) for name in (BASELINE, *(c.candidate for c in COMPARISONS))}
    suite = client.push_suite(SUITE.read_text())
    verdicts = []
    for comparison in COMPARISONS:
        run = compare(client, comparison, digests, suite["digest"])
        verdicts.append(
            {
                "comparison": comparison.title,
                "verdict": run["verdict"],
                "sentence": run["sentence"],
                "url": run["url"],
                "expected": comparison.expected,
            }
        )
    return verdicts


def make_corpus(data: Path) -> None:
    """The demo world's segments, those that are not stored yet."""
    from workers.segments.world_segments import make_corpus as make

    progress = counter("segments")
    make(
        data / "segments",
        routes=ROUTES,
        segments_per_route=SEGMENTS_PER_ROUTE,
        seed=SEED,
        processes=2,
        progress=progress,
    )


def counter(what: str) -> Callable[[int, int], None]:
    """Progress on standard error: a line that moves on a terminal, one line in four steps elsewhere."""

    def tell(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(
                f"\r  {done} of {total} {what}",
                end="\n" if done == total else "",
                file=sys.stderr,
                flush=True,
            )
        elif done * 4 // total != (done - 1) * 4 // total:
            print(f"  {done} of {total} {what}", file=sys.stderr, flush=True)

    return tell


def push(client: Client, name: str) -> str:
    """Upload a shipped model; its digest."""
    return str(client.push_model(*local_model(name))["digest"])


def compare(
    client: Client, comparison: Comparison, digests: dict[str, str], suite: str
) -> dict[str, Any]:
    """Submit one comparison, follow it, say its verdict."""
    run = client.submit(
        {
            "candidate": digests[comparison.candidate],
            "baseline": digests[BASELINE],
            "suite": suite,
            "max_routes": comparison.routes,
            "requested_by": "demo",
        }
    )
    say(f"{comparison.title}: {run['url']}")
    run = follow(client, run["id"], None)
    say(f"  {run['sentence'] if run['verdict'] else run['error'] or run['status']}")
    return run
