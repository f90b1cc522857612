"""What `redrive verdict` says of fixed costs is stored: JSON, text, errors and exit codes.

`python -m cli.tests.test_verdict_snapshot` stores what it says today.
"""

import gzip
import io
import json
import os
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest

from cli.main import main
from suites.metrics.registry import METRICS
from suites.tests.stored import differences, write

STORED = Path(__file__).with_name("snapshots") / "verdicts.json"
MODULE = "cli.tests.test_verdict_snapshot"
BOTH = ("--baseline", "old", "--candidate", "new")
Costs = Callable[[Random, int], tuple[Any, ...]]
"""Of one segment: its baseline's and candidate's cells, metric by metric."""


def near(effect: float, noise: float = 0.1) -> Costs:
    """Costs of two models, the candidate's larger by `effect`."""

    def cells(random: Random, at: int) -> tuple[Any, ...]:
        cost = random.lognormvariate(0, 0.6)
        old = cost * random.lognormvariate(0, noise)
        return f"{old:.6f}", f"{cost * (1 + effect) * random.lognormvariate(0, noise):.6f}"

    return cells


def spikes(share: float, height: float) -> Costs:
    """Equal but for a few segments on which the candidate costs much more."""
    usual = near(0.0)

    def cells(random: Random, at: int) -> tuple[Any, ...]:
        old, new = usual(random, at)
        return old, f"{float(new) * height:.6f}" if random.random() < share else new

    return cells


def both(*metrics: Costs) -> Costs:
    """Several metrics: all cells of the baseline, then all of the candidate."""

    def cells(random: Random, at: int) -> tuple[Any, ...]:
        pairs = [metric(random, at) for metric in metrics]
        return tuple(old for old, _ in pairs), tuple(new for _, new in pairs)

    return cells


def fixed(old: Any, new: Any) -> Costs:
    return lambda random, at: (old, new)


def holes(share: float, side: int, hole: str = "") -> Costs:
    """A model has no value on some of the segments."""
    usual = near(0.0)

    def cells(random: Random, at: int) -> tuple[Any, ...]:
        pair = usual(random, at)
        return tuple(hole if i == side and random.random() < share else pair[i] for i in (0, 1))

    return cells


def ties(random: Random, at: int) -> tuple[Any, ...]:
    """Whole numbers, most of them the same."""
    old = random.randrange(1, 5)
    return old, old + (random.random() < 0.1)


def zeros(random: Random, at: int) -> tuple[Any, ...]:
    """A count that is mostly none."""
    return int(random.random() < 0.1), int(random.random() < 0.12)


def one_sided_zeros(random: Random, at: int) -> tuple[Any, ...]:
    return 0, f"{random.lognormvariate(0, 0.5):.4f}"


def crossing(random: Random, at: int) -> tuple[Any, ...]:
    """The typical drive is a little better, a few are much worse."""
    old = random.lognormvariate(0, 0.2)
    return f"{old:.6f}", f"{old * (15 if random.random() < 0.06 else 0.75):.6f}"


EQUAL = near(0.0)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file and the options; `text` instead of generated rows where the file itself is wrong."""

    costs: Costs = EQUAL
    segments: int = 120
    routes: int | None = 40
    metrics: tuple[str, ...] = ("cost",)
    options: tuple[str, ...] = ()
    model: str = "model"
    text: str | None = None
    name: str = "costs.csv"
    arguments: tuple[str, ...] = BOTH
    extra: dict[str, str] = field(default_factory=dict)
    """Further columns, the same in every row."""
    declared: tuple[str, ...] | None = None
    """Costs named as such; those of `metrics` that are not registered if nothing else is said."""


CASES: dict[str, Case] = {
    "equal": Case(options=("--margin", "0.1")),
    "equal, tight margin": Case(options=("--margin", "0.001")),
    "worse by 2 %": Case(costs=near(0.02, 0.02), options=("--margin", "0.05")),
    "worse by 5 %": Case(costs=near(0.05, 0.05), segments=200),
    "worse by 20 %": Case(costs=near(0.2), segments=200),
    "better by 20 %": Case(costs=near(-0.2), segments=200),
    "not worse": Case(costs=near(-0.03, 0.2), options=("--margin", "0.1")),
    "the same on every segment": Case(costs=fixed(5, 5)),
    "zero on every segment": Case(costs=fixed(0, 0)),
    "one step worse everywhere": Case(costs=fixed(5, 6), segments=60),
    "ties": Case(costs=ties, options=("--margin", "0.2")),
    "zeros": Case(costs=zeros, options=("--margin", "0.5")),
    "baseline is zero": Case(costs=one_sided_zeros),
    "spikes, typical": Case(costs=spikes(0.04, 40), options=("--margin", "0.1")),
    "spikes, mean": Case(
        costs=spikes(0.04, 40),
        options=("--margin", "0.1", "--estimand", "mean", "--cap", "cost=20"),
    ),
    "spikes, mean without a cap": Case(costs=spikes(0.04, 40), options=("--estimand", "mean")),
    "mean of equals, capped": Case(
        options=("--estimand", "mean", "--cap", "cost=6", "--margin", "0.2"),
        segments=300,
        routes=100,
    ),
    "mean of many equals": Case(
        costs=near(0.0, 0.02),
        segments=500,
        routes=None,
        options=("--estimand", "mean", "--cap", "cost=3", "--margin", "0.5"),
    ),
    "mean twice as large": Case(
        costs=near(1.0),
        segments=300,
        routes=None,
        options=("--estimand", "mean", "--cap", "cost=4"),
    ),
    "mixed": Case(
        costs=crossing, segments=600, routes=None, options=("--margin", "0.1", "--cap", "cost=20")
    ),
    "mean worse by 30 %": Case(
        costs=near(0.3), options=("--estimand", "mean", "--cap", "cost=10"), segments=200
    ),
    "everything above the cap": Case(
        costs=fixed(5, 6), options=("--estimand", "mean", "--cap", "cost=2")
    ),
    "typical better, mean worse": Case(costs=crossing, options=("--margin", "0.1")),
    "few routes": Case(costs=near(0.3), routes=3),
    "one route": Case(costs=near(0.3), routes=1),
    "many segments a route": Case(costs=near(0.1), segments=240, routes=8),
    "no route column": Case(routes=None, options=("--margin", "0.1")),
    "four metrics": Case(
        costs=both(near(0.0), near(0.3), near(-0.3), ties),
        metrics=("a", "b", "c", "d"),
        options=("--margin", "0.1"),
    ),
    "two of four metrics": Case(
        costs=both(near(0.0), near(0.3), near(-0.3), ties),
        metrics=("a", "b", "c", "d"),
        declared=("c", "a"),
        options=("--margin", "0.15", "--cap", "a=9"),
    ),
    "twelve metrics": Case(
        costs=both(*(near(0.0, 0.05) for _ in range(12))),
        metrics=tuple(f"m{i}" for i in range(12)),
        options=("--margin", "0.2"),
        segments=60,
        routes=30,
    ),
    "better when higher": Case(
        costs=near(-0.2), metrics=("time_to_failure_s",), options=("--margin", "0.05")
    ),
    "the candidate has holes": Case(costs=holes(0.2, 1), options=("--margin", "0.1")),
    "the baseline has holes": Case(costs=holes(0.2, 0, "nan"), options=("--margin", "0.1")),
    "holes in a capped mean": Case(
        costs=holes(0.03, 1),
        segments=200,
        options=("--margin", "0.5", "--estimand", "mean", "--cap", "cost=5"),
    ),
    "infinite costs": Case(costs=holes(0.1, 1, "inf")),
    "negative costs": Case(costs=fixed(-1, -2)),
    "strict alpha, few signs": Case(
        costs=near(0.1), options=("--alpha", "0.005", "--flips", "199", "--look-every", "7")
    ),
    "another order": Case(costs=near(0.1), options=("--order-seed", "11")),
    "controllers, gzipped": Case(model="controller", name="costs.csv.gz", extra={"suite": "one"}),
    "route column by name": Case(
        routes=None, extra={"drive": "d"}, options=("--route-column", "drive")
    ),
    "one look at the end": Case(costs=near(0.3), options=("--look-every", "1000")),
    "a score": Case(costs=near(-0.2), declared=(), options=("--higher-is-better", "cost")),
    "collisions": Case(
        costs=zeros, metrics=("hit",), declared=(), options=("--rate", "hit"), segments=400
    ),
    "0 and 1 as a cost": Case(costs=zeros, options=("--margin", "0.5")),
    "a growing file": Case(routes=None, options=("--planned", "150", "--margin", "0.1")),
    "a growing file, decided": Case(costs=near(0.3), options=("--planned", "150")),
    "more than was planned": Case(options=("--planned", "119")),
    "columns that nobody named": Case(
        costs=both(near(0.0), near(0.3)), metrics=("a", "b"), declared=("a",)
    ),
    "repeats": Case(
        text="segment,model,cost\n"
        + "".join(f"s{i % 9}#{i // 9},{m},{1 + i % 7}\n" for i in range(180) for m in BOTH[1::2])
    ),
    "outcomes": Case(
        text="segment,model,cost,cost.low,cost.high,outcome\n"
        + "".join(f"s{i},old,2,,,completed\n" for i in range(60))
        + "".join(f"s{i},new,2,,,{'failed' if i == 9 else 'completed'}\n" for i in range(58))
        + "s58,new,2,1,8,left_trust_region\ns59,new,,,,data_invalid\n"
    ),
    "semicolons and blanks": Case(text="segment;model;cost\na; old;1\na;new;1\n"),
    "decimal commas": Case(text="segment;model;cost\na;old;1,5\na;new;1\n"),
    "leading zeros lost": Case(text="segment,model,cost\n007,old,1\n7,new,1\n"),
    "no rate": Case(
        text="segment,model,hit\na,old,7\na,new,0\n", declared=(), options=("--rate", "hit")
    ),
    "unknown outcome": Case(text="segment,model,cost,outcome\na,old,1,crashed\n"),
    "no direction": Case(declared=()),
    "no direction of a metric": Case(declared=(), options=("--metric", "cost")),
    "against the registry": Case(
        metrics=("total_cost",), options=("--higher-is-better", "total_cost")
    ),
    "no file": Case(text="", name="costs.csv", arguments=("absent.csv", *BOTH)),
    "empty file": Case(text=""),
    "no model column": Case(text="segment,cost\na,1\n"),
    "no metric": Case(text="segment,model\na,old\n", declared=()),
    "twice the same row": Case(text="segment,model,cost\na,old,1\na,old,2\na,new,1\n"),
    "no number": Case(text="segment,model,cost\na,old,1\na,new,one\nb,old\n,new,1\n"),
    "two suites": Case(text="segment,model,cost,suite\na,old,1,3f2a\na,new,1,77b0\n"),
    "column twice": Case(text="segment,model,cost,cost\na,old,1,1\na,new,1,2\n"),
    "too large to square": Case(text="segment,model,cost\na,old,1e-300\na,new,1e300\n"),
    "two routes of a segment": Case(text="segment,model,cost,route\na,old,1,r\na,new,1,q\n"),
    "unknown model": Case(arguments=("costs.csv", "--baseline", "old", "--candidate", "newer")),
    "a model against itself": Case(
        arguments=("costs.csv", "--baseline", "old", "--candidate", "old")
    ),
    "unknown metric": Case(options=("--metric", "jerk")),
    "cap without a number": Case(options=("--cap", "cost")),
    "cap of no metric": Case(options=("--cap", "jerk=3")),
    "margin out of range": Case(options=("--margin", "11")),
    "unknown estimand": Case(options=("--estimand", "median")),
    "unknown option": Case(options=("--median",)),
    "no candidate": Case(arguments=("costs.csv", "--baseline", "old")),
}


def rows(name: str, case: Case) -> str:
    """The file's text; drawn from the case's name."""
    random = Random(f"redrive verdict {name}")
    header = ["segment", case.model, *([] if case.routes is None else ["route"])]
    lines = [[*header, *case.extra, *case.metrics]]
    for i in range(case.segments):
        cells = case.costs(random, i)
        for model, found in zip(("old", "new"), cells, strict=True):
            values = found if isinstance(found, tuple) else (found,)
            route = [] if case.routes is None else [f"r{i % case.routes}"]
            extra = [f"d{i % 30}" if key == "drive" else value for key, value in case.extra.items()]
            lines.append([f"s{i}", model, *route, *extra, *map(str, values)])
    return "".join(",".join(line) + "\n" for line in lines)


def said(name: str, case: Case) -> dict[str, Any]:
    """By the command of that file in the current folder: exit code, JSON, text, errors."""
    data = (rows(name, case) if case.text is None else case.text).encode()
    Path(case.name).write_bytes(gzip.compress(data) if case.name.endswith(".gz") else data)
    given = case.arguments if case.arguments is not BOTH else (case.name, *BOTH)
    named = (
        [m for m in case.metrics if m not in METRICS] if case.declared is None else case.declared
    )
    given = (*given, *(word for metric in named for word in ("--lower-is-better", metric)))
    code, text, errors = called("verdict", *given, *case.options)
    found: dict[str, Any] = {"exit": code, "text": text.splitlines(), "errors": errors.splitlines()}
    again, document, errors = called("verdict", *given, *case.options, "--json")
    assert (again, errors.splitlines()) == (code, found["errors"]), "with --json as without"
    return found | {"json": json.loads(document) if document else None}


def called(*arguments: str) -> tuple[Any, str, str]:
    """Exit code, standard output and error of `redrive ARGUMENTS`."""
    out, errors = io.StringIO(), io.StringIO()
    alone = {k: v for k, v in os.environ.items() if not k.startswith("REDRIVE_")}
    with (
        patch.object(sys, "argv", ["redrive", *arguments]),
        patch.dict(os.environ, alone | {"COLUMNS": "100"}, clear=True),
        redirect_stdout(out),
        redirect_stderr(errors),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return ended.value.code, out.getvalue(), errors.getvalue()


def test_every_stored_case_is_asked() -> None:
    assert json.loads(STORED.read_text()).keys() == CASES.keys(), f"run `python -m {MODULE}`"


@pytest.mark.parametrize("name", CASES)
def test_a_verdict_is_the_stored_one(name: str, tmp_path: Path) -> None:
    with chdir(tmp_path):
        found = said(name, CASES[name])
    different = differences(json.loads(STORED.read_text())[name], found)
    if different:
        told = "\n  ".join(different)
        pytest.fail(
            f"`redrive verdict` says something else of {name}:\n  {told}\n"
            f"Where that is meant, run `python -m {MODULE}` and commit {STORED.name}."
        )


if __name__ == "__main__":
    with TemporaryDirectory() as folder, chdir(folder):
        every = {name: said(name, case) for name, case in CASES.items()}
    write(STORED, every)
