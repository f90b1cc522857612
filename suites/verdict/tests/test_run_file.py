"""An exported run is read to the bit; one that was edited or cut off is refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from suites.definition.cost_draw import drawn_order
from suites.definition.selector import Selector
from suites.definition.suite_schema import CaseSpec, Gate, Slice, Suite
from suites.errors import SubmitterError
from suites.exported_run import MARK, Cells, NamedModel, RunHeader, columns, header_json
from suites.verdict.run_file import RunFile, csv_cells, is_run_text, run_file
from suites.vocabulary import Outcome, Status

SUITE = Suite(
    name="highway",
    kind="overall",
    select=Selector(),
    gates=(Gate(metric="cost"), Gate(metric="jerk"), Gate(metric="cost", margin=0.5)),
    slices=(Slice(name="night", tags=("night",)), Slice(name="rain", tags=("rain",))),
    cases=(CaseSpec(name="exit", segment="r0/0", repeats=2, must_pass_repeats=1),),
    order_seed=7,
)
HEADER = RunHeader(
    run="3f2a",
    status=Status.FINISHED,
    error="",
    candidate=NamedModel(name="next", digest="c" * 64),
    baseline=NamedModel(name="last", digest="b" * 64),
    suite_digest="d" * 64,
    suite=SUITE,
    planned=5,
    judged_pairs=2,
    judged_cases=("exit",),
    waivers={"exit": "waived by bo"},
    baseline_events={"cost": 3},
    engine="redrive.sign-flip/3",
    verdict=None,
    sentence="Not decided yet.",
)
Row = dict[str, Any]


def rows() -> list[Row]:
    """Three pairs, the last not driven by the baseline; a case with two repeats."""
    found = []
    for position in range(5):
        case = "exit" if position > 2 else ""
        repeat = position - 3 if case else 0
        for role, model in (("candidate", "next"), ("baseline", "last")):
            driven = (position, role) != (2, "baseline")
            row: Row = dict.fromkeys(columns(HEADER.metrics, ["cost"]), "")
            row |= {"position": position, "role": role, "model": model, "repeat": repeat}
            row |= {"segment": f"{case or f's{position}@+0.00m'}#{repeat}", "case": case}
            row |= {"route": f"r{position % 2}", "slices": "night rain" if position == 1 else ""}
            row |= {"outcome": "completed" if driven else "", "weight": 0.1 + position}
            row |= {"cost.stored.low": 1 / 3, "cost.stored.high": "" if position == 2 else 0.5}
            if driven:
                row |= {"cost": 0.1 + 0.2, "cost.low": 0.3, "cost.high": 1e-17, "jerk": position}
            if case and role == "candidate":
                failed = {"passed": "no", "why": 'a "wall", hit\nhard', "instant_s": 1.5}
                row |= failed if repeat else {"passed": "yes"}
            found.append(row)
    return found


def cells(found: list[Row], header: RunHeader = HEADER) -> Cells:
    return Cells(header_json(header), list(found[0]), [list(map(str, r.values())) for r in found])


def read(found: list[Row], header: RunHeader = HEADER) -> RunFile:
    return run_file("run.csv", cells(found, header))


def test_what_was_written_is_read_to_the_bit() -> None:
    run = read(rows())
    assert run.header == HEADER
    assert run.pairs.metrics == ("cost", "jerk"), "each metric once"
    assert run.pairs.case_ids == ("s0@+0.00m#0", "s1@+0.00m#0"), "both models drove these"
    assert run.pairs.results[:, 0, 0, 0].tolist() == [0.30000000000000004, 0.3, 1e-17]
    assert np.isnan(run.pairs.results[1, 1, 0, 1]), "an empty cell"
    assert run.plan.pairs == 3
    assert run.plan.route_pairs == {"r0": 2, "r1": 1}
    assert run.plan.slices == {"night": {"s1"}, "rain": {"s1"}}
    assert run.plan.baseline_events == {"cost": 3}
    assert run.plan.stored is not None
    assert run.plan.stored.weights.tolist() == [0.1, 1.1, 2.1]
    low, high = run.plan.stored.costs["cost"]
    assert low.tolist() == [1 / 3] * 3
    assert np.isnan(high).tolist() == [False, False, True]
    assert run.cases["exit"].passed
    strict = replace(SUITE, cases=(replace(SUITE.cases[0], must_pass_repeats=2),))
    failed = read(rows(), replace(HEADER, suite=strict)).cases["exit"]
    assert (failed.passed, failed.reason, failed.instant_s) == (False, 'a "wall", hit\nhard', 1.5)
    verdict = run.judge().verdict()
    assert verdict.pairs_planned == 3
    assert verdict.method["suite_digest"] == HEADER.suite_digest


def test_a_suite_of_cases_alone_with_gates_judges_their_pairs() -> None:
    alone = replace(SUITE, select=None, slices=())
    found = [row | {"case": "exit", "repeat": i // 2} for i, row in enumerate(rows())]
    run = read(found, replace(HEADER, suite=alone, judged_cases=()))
    assert (run.plan.pairs, len(run.pairs)) == (5, 4)


def test_an_invalid_rollout_has_no_result() -> None:
    found = rows()
    found[1]["outcome"] = "data_invalid"
    results = read(found).pairs.results
    assert np.isnan(results[:, 1, 0]).all()
    assert not np.isnan(results[:, 0, 0, 0]).any()


def test_a_csv_may_hold_any_character() -> None:
    text = f'{MARK}{{"a": 1}}\nwhy,x\n"a ""b"",\nc",1\n'
    assert is_run_text(text)
    assert csv_cells(text) == ('{"a": 1}', ["why", "x"], [['a "b",\nc', "1"]])
    assert not is_run_text("segment,model\n")


def at(row: int, **changes: Any) -> Callable[[list[Row]], list[Row]]:
    def changed(found: list[Row]) -> list[Row]:
        return [r | changes if i == row else r for i, r in enumerate(found)]

    return changed


def both(position: int, **changes: Any) -> Callable[[list[Row]], list[Row]]:
    def changed(found: list[Row]) -> list[Row]:
        return at(2 * position + 1, **changes)(at(2 * position, **changes)(found))

    return changed


@pytest.mark.parametrize(
    ("edit", "where", "problem"),
    [
        (lambda found: found[:-2], "rows", "8 of 10"),
        (lambda found: [*found, *found[-2:]], "rows", "12 of 10"),
        (lambda found: found[1:], "row 1", "0 baseline where 0 candidate belongs"),
        (lambda found: found[:2] + found[4:], "row 3", "2 candidate where 1 candidate belongs"),
        (lambda found: sorted(found, key=lambda r: str(r["role"])), "row 1", "0 baseline where"),
        (at(3, position=7), "row 4", "7 baseline where 1 baseline belongs"),
        (lambda found: [], "rows", "0 of 10"),
        (lambda found: [{"id": 1} | row for row in found], "columns", "missing or unknown: id"),
        (at(2, outcome="Completed"), "position 1, candidate", "no outcome is called 'Completed'"),
        (at(2, outcome=""), "outcome", "2 pairs were judged, and not all"),
        (at(3, outcome="infra_failed"), "outcome", "2 pairs were judged, and not all"),
        (at(2, cost="0,3"), "position 1, candidate", "cost: '0,3' is not a number"),
        (at(2, jerk="inf"), "position 1, candidate", "jerk: 'inf' is not a number"),
        (at(2, weight=9), "position 1, candidate", "weight is '9', the baseline's '1.1'"),
        (at(2, route="r9"), "position 1, candidate", "route is 'r9', the baseline's 'r1'"),
        (at(6, passed=""), "position 3, candidate", "passed is '', not yes, no, cannot tell"),
        (both(3, case=""), "case exit", "1 of 2 repeats"),
    ],
)
def test_an_edited_file_is_refused(
    edit: Callable[[list[Row]], list[Row]], where: str, problem: str
) -> None:
    names = list(rows()[0])
    edited = edit(rows())
    found = cells(edited) if edited else Cells(header_json(HEADER), names, [])
    with pytest.raises(SubmitterError, match="not a run as it was exported") as raised:
        run_file("run.csv", found)
    first = raised.value.findings[0]
    assert first.where == where
    assert problem in first.problem
    assert "export it again" in first.remedy


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text[:-1],
        lambda text: text.replace("redrive.run/1", "redrive.run/9"),
        lambda text: text.replace('"planned":5,', ""),
        lambda text: text.replace('"margin":0.5', '"margin":-0.5'),
        lambda text: text.replace('"planned":5', '"planned":5,"extra":1'),
    ],
)
def test_a_header_that_was_edited_is_refused(edit: Callable[[str], str]) -> None:
    found = cells(rows())
    with pytest.raises(SubmitterError) as raised:
        run_file("run.csv", found._replace(header=edit(found.header)))
    assert [f.where for f in raised.value.findings] == ["header"]


def test_ragged_rows_and_no_csv_are_refused() -> None:
    found = cells(rows())
    with pytest.raises(SubmitterError) as raised:
        run_file("run.csv", found._replace(rows=[[*found.rows[0], "1"], *found.rows[1:]]))
    assert raised.value.findings[0].where == "row 1"
    with pytest.raises(SubmitterError, match="no CSV below the first line"):
        csv_cells("# {}\n" + '"a')
    with pytest.raises(SubmitterError, match="no CSV below the first line"):
        csv_cells("# {}")


def test_a_draw_by_cost_has_the_order_of_its_weights() -> None:
    suite = replace(SUITE, draw="cost")
    found = rows()[:6]
    weights, ids = np.array([3.0, 1.0, 0.2]), [row["segment"] for row in found[::2]]
    order = drawn_order(ids, weights, 7).tolist()
    moved: list[Row] = []
    for position, i in enumerate(order):
        moved += [row | {"position": position, "weight": weights[i]} for row in found[2 * i :][:2]]
    header = replace(HEADER, suite=suite, planned=3, judged_pairs=0, judged_cases=())
    assert read(moved, header).plan.pairs == 3
    moved[0]["weight"] = moved[1]["weight"] = 1e-6
    with pytest.raises(SubmitterError) as raised:
        read(moved, header)
    assert [f.problem for f in raised.value.findings] == [
        "the weights and the seed give another order"
    ]
    for row in moved:
        row["weight"] = 0
    with pytest.raises(SubmitterError) as raised:
        read(moved, header)
    assert [f.problem for f in raised.value.findings] == ["not above zero everywhere"]


def test_outcomes_are_those_that_were_stored() -> None:
    found = at(0, outcome="failed")(rows())
    assert read(found).pairs.outcomes[0] == (Outcome.FAILED, Outcome.COMPLETED)
