from pathlib import Path

import pytest

from cli.csv_rows import read_rows
from cli.judged_columns import Kind, declared_kinds, judged_columns, nothing_judged
from suites.errors import SubmitterError

COST, SCORE, RATE = Kind(), Kind("higher"), Kind(rate=True)
TEXT = """segment,model,total_cost,time_to_failure_s,incident_lane_departure,cost,score,hits,note,at
a,old,1,2,0,3,4,0,n/a,2026-12-01
a,new,1,2,1,3,4,1,n/a,2026-12-01
"""


def judged(tmp_path: Path, *metrics: str, **declared: Kind) -> tuple[dict[str, Kind], str]:
    path = tmp_path / "a.csv"
    path.write_text(TEXT)
    columns = judged_columns(read_rows(path, "segment"), metrics, declared, {"segment", "model"})
    return columns.kinds, " ".join(columns.others)


def test_registered_metrics_are_judged_and_other_numbers_are_listed(tmp_path: Path) -> None:
    assert judged(tmp_path) == (
        {
            "total_cost": COST,
            "time_to_failure_s": SCORE,
            "incident_lane_departure": Kind(rate=True, two_valued=True),
        },
        "cost score hits at",
    )


def test_what_is_declared_is_judged_beside_them(tmp_path: Path) -> None:
    kinds, others = judged(tmp_path, hits=RATE, score=SCORE)
    assert (kinds["hits"], kinds["score"], len(kinds), others) == (RATE, SCORE, 5, "cost at")


def test_metrics_restrict_to_what_is_named(tmp_path: Path) -> None:
    kinds, others = judged(tmp_path, "total_cost", "cost", cost=COST)
    assert list(kinds) == ["total_cost", "cost"]
    assert others == "time_to_failure_s incident_lane_departure score hits at"


def test_a_metric_without_a_direction_is_refused_with_the_options(tmp_path: Path) -> None:
    with pytest.raises(SubmitterError, match="not known which way cost is better") as caught:
        judged(tmp_path, "cost")
    (finding,) = caught.value.findings
    assert finding.where == "--metric cost"
    assert "--lower-is-better cost, --higher-is-better cost, or --rate cost" in finding.remedy


def test_what_looks_two_valued_is_proposed_as_a_rate(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(TEXT)
    finding = nothing_judged(["cost", "hits"], read_rows(path, "segment"))
    assert finding.problem == "numbers in cost, hits: none is a registered metric"
    assert "hits with 0 and 1 alone: --rate hits" in finding.remedy


def test_the_options_name_kinds() -> None:
    kinds = declared_kinds(["a", "total_cost"], ["b", "d"], ["c", "d", "hard_brake_share"])
    assert kinds == {
        "a": COST,
        "total_cost": COST,
        "b": SCORE,
        "d": Kind("higher", rate=True),
        "c": RATE,
        "hard_brake_share": RATE,
    }
    assert declared_kinds(None, None, None) == {}


@pytest.mark.parametrize(
    ("lower", "higher", "rates", "where"),
    [
        (["a"], ["a"], [], "--higher-is-better a"),
        ([], ["total_cost"], [], "--higher-is-better total_cost"),
        (["time_to_failure_s"], [], [], "--lower-is-better time_to_failure_s"),
        ([], [], ["time_to_failure_s"], "--rate time_to_failure_s"),
        ([], [], ["lateral_error_mean_m"], "--rate lateral_error_mean_m"),
    ],
)
def test_what_contradicts_itself_or_the_registry_is_refused(
    lower: list[str], higher: list[str], rates: list[str], where: str
) -> None:
    with pytest.raises(SubmitterError) as caught:
        declared_kinds(lower, higher, rates)
    assert [finding.where for finding in caught.value.findings] == [where]
