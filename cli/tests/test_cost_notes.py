from dataclasses import replace
from pathlib import Path

import pytest

from cli.cost_csv import arrived, paired, read_costs
from cli.cost_notes import cost_notes, lacking, means_of_others
from cli.judged_columns import Kind
from suites.vocabulary import Outcome

COST, RATE = Kind(), Kind(rate=True)
MODELS = "new", "old"


def notes(path: Path, text: str, planned: int | None = None, **declared: Kind) -> str:
    path.write_text(text)
    costs = read_costs(path, declared=declared)
    table = arrived(costs, *MODELS) if planned else paired(costs, *MODELS, 0)
    return "\n".join(cost_notes(costs, table, MODELS, planned))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.csv"


def test_what_is_not_judged_is_named(path: Path) -> None:
    text = "segment,model,at,cost,wall_s\ns,old,1,2,3\ns,new,1,3,3\n"
    assert "Not judged: at, wall_s - name them with --lower-is-better, " in notes(
        path, text, cost=COST
    )
    assert "Not judged" not in notes(path, text, cost=COST, at=COST, wall_s=COST)


def test_a_file_is_complete_or_it_grows(path: Path) -> None:
    text = "segment,model,cost\ns,old,1\ns,new,2\nt,old,1\nu,old,\n"
    complete = notes(path, text, cost=COST)
    assert "taken as complete; judge a growing file with --planned N" in complete
    assert "new: 2 segments missing, 0 values empty or not finite." in complete
    assert "old: 0 segments missing, 1 value empty or not finite." in complete
    growing = notes(path, text, 9, cost=COST)
    assert "A growing file of 9 pairs" in growing
    assert "2 segments with a row of one model only: not judged yet." in growing
    assert "missing" not in growing.replace("old: 0 segments missing", "")


def test_ids_of_which_some_do_not_meet(path: Path) -> None:
    text = "segment,model,cost\ns,old,1\ns,new,2\nA,old,1\na,new,2\nB,old,1\nb,new,1\n"
    said = notes(path, text, cost=COST)
    assert "2 segments would meet but for the spelling: 'new a' ~ 'old A' (other case); " in said


def test_repeats_are_said_to_be_one_route(path: Path) -> None:
    rows = [f"s{i}#{r},{m},1\n" for i in range(3) for r in range(4) for m in MODELS]
    said = notes(path, "segment,model,cost\n" + "".join(rows), cost=COST)
    assert "12 ids are repeats (#) and offsets (@) of 3 segments" in said
    with_routes = "segment,model,cost,route\n" + "".join(r[:-1] + ",r\n" for r in rows)
    assert "route" not in notes(path, with_routes, cost=COST)


def test_outcomes_other_than_completed_are_counted(path: Path) -> None:
    rows = "s,old,1,completed\ns,new,2,failed\nt,old,1,data_invalid\nt,new,2,failed\n"
    said = notes(path, "segment,model,cost,outcome\n" + rows, cost=COST)
    assert "new: 2 failed." in said
    assert "old: 1 data_invalid." in said


@pytest.mark.parametrize(
    ("cells", "kind", "expected"),
    [
        (
            "0 1 0 0",
            COST,
            "hit holds 0 and 1 alone: judge what happened or did not with --rate hit.",
        ),
        ("0 1 0.5 0", COST, None),
        ("0 1 0 0", RATE, None),
        ("0 0 0 0", RATE, None),
        ("0 1 0.5 0", RATE, "1 of 4 values lie between 0 and 1 (first: 0.5 of old on t): taken as"),
        ("3 4 3 5", COST, "hit: old has 3 on all 2 segments."),
        ("3 -4 2 -5", COST, "hit: 2 values below zero (first: "),
    ],
)
def test_odd_numbers_are_said(path: Path, cells: str, kind: Kind, expected: str | None) -> None:
    a, b, c, d = cells.split()
    text = f"segment,model,hit\ns,old,{a}\ns,new,{b}\nt,old,{c}\nt,new,{d}\n"
    said = [line for line in notes(path, text, hit=kind).splitlines() if "hit" in line]
    assert len(said) == (expected is not None)
    assert expected is None or expected in said[0]


def test_the_mean_of_the_others(path: Path) -> None:
    path.write_text("segment,model,cost\ns,old,2\ns,new,3\nt,old,\nt,new,9\nu,old,2\nu,new,2\n")
    costs = read_costs(path, declared={"cost": COST})
    table = paired(costs, *MODELS, 0)
    assert means_of_others(table, costs.kinds) == {"cost": (0.25, 2)}
    assert means_of_others(table, {"cost": Kind("higher")}) == {"cost": (-0.25, 2)}
    assert means_of_others(table, {"cost": RATE}) == {}
    dropped = Outcome.DATA_INVALID, Outcome.COMPLETED
    outcomes = tuple(
        dropped if name == "t" else end
        for name, end in zip(table.case_ids, table.outcomes, strict=True)
    )
    assert means_of_others(replace(table, outcomes=outcomes), costs.kinds) == {}, "no value lacks"
    assert lacking(costs, MODELS) == {"new": 0, "old": 0}
