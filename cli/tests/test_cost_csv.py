import math
from pathlib import Path

import numpy as np
import pytest

from cli.cost_csv import Costs, arrived, paired, read_costs
from cli.judged_columns import Kind
from suites.errors import Finding, SubmitterError
from suites.pair_table import BASELINE, CANDIDATE, HIGH, LOW, VALUE
from suites.vocabulary import Outcome

COST, SCORE, RATE = Kind(), Kind("higher"), Kind(rate=True)
MODELS = "new", "old"


def read(tmp_path: Path, text: str, **declared: Kind) -> Costs:
    path = tmp_path / "a.csv"
    path.write_text(text)
    return read_costs(path, declared=declared or {"cost": COST})


def findings(tmp_path: Path, text: str, **declared: Kind) -> tuple[Finding, ...]:
    with pytest.raises(SubmitterError) as caught:
        read(tmp_path, text, **declared)
    return caught.value.findings


def both(names: str, header: str = "segment,model,cost", cells: str = "1") -> str:
    lines = [f"{name},{model},{cells}" for name in names.split() for model in ("old", "new")]
    return "\n".join([header, *lines]) + "\n"


def test_repeats_and_offsets_of_a_segment_are_one_route(tmp_path: Path) -> None:
    names = " ".join(
        f"s{i:02d}@{offset}#{r}" for i in range(12) for offset in "ab" for r in range(3)
    )
    table = paired(read(tmp_path, both(names)), *MODELS, order_seed=0)
    assert (len(table), len(set(table.routes))) == (72, 12)
    assert set(table.routes[:12]) == {f"s{i:02d}" for i in range(12)}, "breadth first"


def test_repeats_of_a_segment_on_two_routes_are_refused(tmp_path: Path) -> None:
    header = "segment,model,cost,route\n"
    (one,) = findings(tmp_path, header + "s#0,old,1,r\ns#1,old,1,q\n")
    assert (one.where, one.problem) == ("line 3", "segment s lies on routes r and q")


def test_the_same_id_twice_says_how_repeats_are_told_apart(tmp_path: Path) -> None:
    (one,) = findings(tmp_path, "segment,model,cost\ns,old,1\ns,old,2\n")
    assert "SEGMENT#0" in one.remedy


def test_outcomes_are_those_of_the_file(tmp_path: Path) -> None:
    text = "segment,model,cost,outcome,reason\n" + "".join(
        f"{word},{model},3,{word if model == 'new' else 'completed'},why\n"
        for word in Outcome
        for model in ("old", "new")
    )
    table = paired(read(tmp_path, text), *MODELS, order_seed=0)
    assert dict(zip(table.case_ids, table.outcomes, strict=True)) == {
        word: (word, Outcome.COMPLETED) for word in Outcome
    }
    assert set(table.reasons) == {"why"}
    censored = table.case_ids.index(Outcome.LEFT_TRUST_REGION)
    assert np.isnan(table.results[:, CANDIDATE, censored]).all(), "at its best and at its worst"
    assert np.isfinite(np.delete(table.results, censored, axis=2)).all()


def test_an_unknown_outcome_is_refused_with_the_list(tmp_path: Path) -> None:
    for word in ("crashed", "Completed", "", "1"):
        (one,) = findings(tmp_path, f"segment,model,cost,outcome\ns,old,1,{word}\n")
        assert (one.where, one.problem) == ("line 2, outcome", f"{word!r} is no outcome")
        assert "left_trust_region, policy_failed" in one.remedy


@pytest.mark.parametrize(("kind", "best", "worst"), [(COST, 1.0, 9.0), (SCORE, 9.0, 1.0)])
def test_low_and_high_bound_a_censored_value(
    tmp_path: Path, kind: Kind, best: float, worst: float
) -> None:
    header = "segment,model,cost,cost.low,cost.high,outcome\n"
    text = header + "s,new,2,1,9,left_trust_region\ns,old,2,,,completed\n"
    costs = read(tmp_path, text, cost=kind)
    results = paired(costs, *MODELS, order_seed=0).results[:, :, 0, 0]
    assert results[[VALUE, LOW, HIGH], CANDIDATE].tolist() == [2, best, worst]
    assert results[[VALUE, LOW, HIGH], BASELINE].tolist() == [2, 2, 2]
    assert costs.not_judged == ()


@pytest.mark.parametrize("cells", ["2,1,", "2,,9", "2,3,9", "10,1,9"])
def test_bounds_that_do_not_enclose_the_value_are_refused(tmp_path: Path, cells: str) -> None:
    (one,) = findings(tmp_path, f"segment,model,cost,cost.low,cost.high\ns,old,{cells}\n")
    assert one.problem == "low and high do not enclose the value"


def test_a_bound_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SubmitterError, match=r"lacks cost\.high"):
        read(tmp_path, "segment,model,cost,cost.low\ns,old,2,1\n")


@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        ("7", "7 is no rate: it lies outside [0, 1]", "0 or 1, or a share between"),
        ("-0.5", "-0.5 is no rate: it lies outside [0, 1]", "0 or 1, or a share between"),
        ('"0,5"', "'0,5' is not a number", "write a decimal point, and nothing between thousands"),
        ("True", "'True' is not a number", "write 1 for true and 0 for false"),
        ("1_0", "'1_0' is not a number", "leave it empty where there is none"),
    ],
)
def test_what_is_no_rate_is_refused(tmp_path: Path, text: str, problem: str, remedy: str) -> None:
    found = findings(tmp_path, f"segment,model,hit\ns,old,{text}\n", hit=RATE)
    assert found == (Finding("line 2, hit", problem, remedy),)


def test_a_declared_rate_may_be_a_share_a_registered_event_may_not(tmp_path: Path) -> None:
    table = paired(read(tmp_path, both("s", "segment,model,hit", "0.5"), hit=RATE), *MODELS, 0)
    assert (table.results == 0.5).all()
    text = both("s", "segment,model,incident_lane_departure", "0.5")
    found = findings(tmp_path, text, incident_lane_departure=RATE)
    assert found[0].problem == "0.5 of what happened or did not"


def test_values_that_lack_are_counted_where_there_should_be_one(tmp_path: Path) -> None:
    header = "segment,model,cost,outcome\n"
    words = ("completed", "failed", "left_trust_region", "data_invalid")
    costs = read(tmp_path, header + "".join(f"{word},old,,{word}\n" for word in words))
    assert costs.not_finite == {"old": 2}


def test_a_growing_file_is_taken_in_the_order_in_which_pairs_are_complete(tmp_path: Path) -> None:
    rows = ["a,old", "b,old", "c,new", "b,new", "c,old", "a,new", "d,new"]
    orders = []
    for end in range(3, len(rows) + 1):
        text = "segment,model,cost\n" + "".join(f"{row},1\n" for row in rows[:end])
        orders.append(arrived(read(tmp_path, text), *MODELS).case_ids)
    assert orders == [(), ("b",), ("b", "c"), ("b", "c", "a"), ("b", "c", "a")]


@pytest.mark.parametrize("pair", [paired, arrived])
def test_ids_that_only_their_spelling_keeps_apart_are_refused(tmp_path: Path, pair: object) -> None:
    costs = read(tmp_path, "segment,model,cost\n00012,new,1\n12,old,1\n")
    with pytest.raises(SubmitterError, match="no segment in common") as caught:
        paired(costs, *MODELS, 0) if pair is paired else arrived(costs, *MODELS)
    assert "'new 00012' ~ 'old 12' (leading zeros lost)" in caught.value.findings[0].problem


def test_other_ids_are_refused_in_a_complete_file_and_awaited_in_a_growing_one(
    tmp_path: Path,
) -> None:
    costs = read(tmp_path, "segment,model,cost\nx,new,1\n12,old,1\n")
    with pytest.raises(SubmitterError, match="no segment in common"):
        paired(costs, *MODELS, 0)
    assert len(arrived(costs, *MODELS)) == 0


def test_an_unknown_model_is_refused_with_the_nearest(tmp_path: Path) -> None:
    costs = read(tmp_path, both("s"))
    with pytest.raises(SubmitterError, match="no model 'New': it has new, old") as caught:
        paired(costs, "New", "old", 0)
    assert caught.value.findings == (Finding("--candidate New", "not in the file", "nearest: new"),)


def test_a_segment_of_one_model_has_no_value_of_the_other(tmp_path: Path) -> None:
    table = paired(read(tmp_path, both("s") + "t,new,4\n"), *MODELS, order_seed=0)
    at = table.case_ids.index("t")
    assert table.results[VALUE, CANDIDATE, at, 0] == 4
    assert math.isnan(table.results[VALUE, BASELINE, at, 0])
