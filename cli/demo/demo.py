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

from cli.connection import push_local
from cli.demo.demo_comparison import compare
from cli.demo.surprise_demo import surprise
from cli.exit_codes import EXIT_OURS
from cli.options import HERE, Data, Port, argument, option
from cli.printing import print_json
from cli.supervision.supervisor import running_service, say, serving
from server.client import Client

app = typer.Typer(context_settings={"allow_interspersed_args": True})

SUITE = Path(__file__).parents[2] / "suites" / "overall.toml"
ROUTES = 20
SEGMENTS_PER_ROUTE = 3
SEED = 0


@dataclass(frozen=True, slots=True)
class DemoRun:
    title: str
    candidate: str
    routes: int | None
    expected: str


COMPARISONS = (
    DemoRun("the near-twin on the full suite", "twin", None, "pass"),
    DemoRun("the behaviour-cloning model", "cloned", None, "fail"),
    DemoRun("the near-twin on six routes", "twin", 6, "inconclusive"),
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
        argument("Three verdicts, or how a surprise becomes a test."),
    ] = "verdicts",
    data: Data = HERE,
    port: Port = None,
    workers: Annotated[int, option("Workers that drive rollouts.", "REDRIVE_WORKERS", min=1)] = 2,
    leave: Annotated[
        bool, option("Stop after the verdicts instead of serving the dashboard.", name="--exit")
    ] = False,
    as_json: Annotated[
        bool, option("The verdicts alone on standard output.", name="--json")
    ] = False,
) -> None:
    """Start everything, make the demo corpus, submit three comparisons and print their verdicts."""
    verdicts: list[dict[str, Any]] = []
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        url = serving(data)
        service = None
        if url is None:
            service = stack.enter_context(running_service(data, port=port, workers=workers))
            url = service.url
        size = f"{ROUTES * SEGMENTS_PER_ROUTE} segments over {ROUTES} routes"
        with timed(f"making the demo corpus: {size}"):
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
            back = f"`redrive up --data {data}` brings it back"
            say(f"The dashboard is at {url}. Ctrl-C stops it; {back}.")
            if shutil.which("redrive") is None:
                path = f"{Path(sys.executable).parent}:$PATH"
                say(f"For the commands that it shows: export PATH={path}")
            service.children.wait()
    if not verdicts or any(v["verdict"] != v["expected"] for v in verdicts):
        raise typer.Exit(EXIT_OURS)


def compare_all(client: Client) -> list[dict[str, Any]]:
    """The three comparisons with their verdicts, and what each should be."""
    names = (BASELINE, *(comparison.candidate for comparison in COMPARISONS))
    digests = {name: push_local(client, name) for name in names}
    suite = client.push_suite(SUITE.read_text())["digest"]
    return [
        compare(
            client,
            title=one.title,
            expected=one.expected,
            candidate=digests[one.candidate],
            baseline=digests[BASELINE],
            suite=suite,
            max_routes=one.routes,
        )
        for one in COMPARISONS
    ]


def make_corpus(data: Path) -> None:
    """The demo world's segments, those that are not stored yet."""
    from workers.simulation.world.corpus import make_corpus as make

    make(data / "segments", ROUTES, SEGMENTS_PER_ROUTE, SEED, 2, counter("segments"))


def counter(what: str) -> Callable[[int, int], None]:
    """Progress on standard error: a moving line on a terminal, four lines elsewhere."""

    def tell(done: int, total: int) -> None:
        if sys.stderr.isatty():
            last = "\n" if done == total else ""
            print(f"\r  {done} of {total} {what}", end=last, file=sys.stderr, flush=True)
        elif done * 4 // total != (done - 1) * 4 // total:
            print(f"  {done} of {total} {what}", file=sys.stderr, flush=True)

    return tell
