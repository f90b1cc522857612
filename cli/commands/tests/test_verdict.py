import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.commands.verdict import app
from suites.errors import SubmitterError
from suites.metrics.registry import METRICS

REAL = Path(__file__).parents[4] / "shared/data/paired_costs/controls_5000.csv.gz"
real = pytest.mark.skipif(not REAL.exists(), reason="needs ../shared/data/paired_costs")
BOTH = ["--baseline", "old", "--candidate", "new"]


def write(
    path: Path,
    effect: float = 0.0,
    n: int = 400,
    routes: int = 80,
    model: str = "model",
    hole: str | None = None,
) -> Path:
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["segment", model, "drive", "cost", "jerk"])
        for i in range(n):
            cost = rng.lognormal()
            for name, factor in (("old", 1.0), ("new", 1 + effect)):
                value = (
                    hole
                    if hole is not None and name == "old" and i % 2
                    else f"{cost * factor * rng.lognormal(0, 0.05):.6f}"
                )
                writer.writerow(
                    [f"s{i}", name, f"r{i % routes}", value, f"{rng.lognormal(0, 0.05):.6f}"]
                )
    return path


def judge(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    if isinstance(result.exception, SubmitterError):
        raise result.exception
    return result.exit_code, result.stdout


def test_pass_fail_and_cannot_tell_have_their_exit_codes(tmp_path: Path) -> None:
    same, worse = write(tmp_path / "a.csv"), write(tmp_path / "b.csv", 0.2)
    code, text = judge(str(same), *BOTH, "--margin", "0.1", "--route-column", "drive")
    assert code == 0
    assert "PASS: not worse by 10 % on 2 of 2 gates over 400 segments of 80 routes; " in text
    code, text = judge(
        str(worse), *BOTH, "--margin", "0.1", "--metric", "cost", "--route-column", "drive"
    )
    assert code == 1
    assert "FAIL: cost is worse in the typical drive by" in text
    assert "Decided after" in text
    code, text = judge(
        str(same), *BOTH, "--margin", "0.0001", "--metric", "cost", "--route-column", "drive"
    )
    assert code == 3
    assert "INCONCLUSIVE" in text


def test_json_stands_alone_and_is_reproducible(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.csv", model="controller")
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    arguments = [*BOTH, "--metric", "cost", "--order-seed", "7", "--json", "--cap", "cost=50"]
    code, text = judge(str(plain), *arguments)
    assert json.loads(text)["gates"][0]["metric"] == "cost"
    assert judge(str(packed), *arguments) == (code, text)
    assert json.loads(text)["method"]["flips"] == 9_999
    assert json.loads(text)["gates"][0]["other_estimand"] is not None
    other = json.loads(
        judge(str(plain), *BOTH, "--metric", "cost", "--order-seed", "8", "--json")[1]
    )
    assert other["method"] != json.loads(text)["method"]


def test_without_routes_it_says_that_segments_are_taken_as_independent(tmp_path: Path) -> None:
    assert (
        "each segment counts as a route of its own"
        in judge(str(write(tmp_path / "a.csv")), *BOTH, "--metric", "cost")[1]
    )


@pytest.mark.parametrize("hole", ["", "nan", "inf"])
def test_holes_in_one_model_never_pass(tmp_path: Path, hole: str) -> None:
    code, text = judge(
        str(write(tmp_path / "a.csv", hole=hole)), *BOTH, "--metric", "cost", "--margin", "0.1"
    )
    assert code == 3
    assert "old: 0 segments missing, 200 values empty or not finite" in text


def test_missing_segments_are_counted_and_never_pass(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv")
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join(line for i, line in enumerate(lines) if not (i % 4 == 1 and ",old," in line))
    )
    code, text = judge(str(path), *BOTH, "--metric", "cost", "--margin", "0.1")
    assert code == 3
    assert "old: 200 segments missing" in text


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "lacks"),
        ("segment,cost\na,1\n", r"controller \(or model\)"),
        ("segment,model\na,old\n", "any metric"),
        ("segment,model,cost\na,old,1\na,old,2\na,new,1\n", "cannot be judged"),
        ("segment,model,cost\na,old,1\na,new,one\n", "cannot be judged"),
        (
            "segment,model,cost,suite\na,old,1,3f2a\na,new,1,77b0\n",
            r"cannot be judged \(1 problem\)",
        ),
        ("segment,model,cost,suite_digest\na,old,1,3f2a\na,new,1,77b0\n", "cannot be judged"),
        ("segment,model,cost\na,old,1\na,new\n", "cannot be judged"),
        ("segment,model,cost\na,old,1\na,new,1,2\n", "cannot be judged"),
        ("segment,model,cost\na,old,1\n,new,1\n", "cannot be judged"),
        ("segment,model,cost\n", "no row at all"),
        ('segment,model,cost\na,old,"' + "1" * 140_000 + '"\n', "is no CSV: field larger"),
        ("segment,model,cost\na,old,1\n", "no model 'new'"),
        ("segment,model," + "c" * 140_000 + "\na,old,1\n", "is no CSV: field larger"),
        ("segment,model,cost,cost\na,old,1,1\na,new,1,2\n", "not clear which column"),
        (",segment,model\n0,a,old\n1,a,new\n", "any metric"),
        (
            "segment,model,cost,route\na,old,1,r\na,new,1,r\nb,old,1,\nb,new,1,\n",
            r"cannot be judged \(2 problems\)",
        ),
        ("segment,model,cost\na,old,1e-300\na,new,1e300\n", r"cannot be judged \(2 problems\)"),
    ],
)
def test_files_that_cannot_be_judged_are_refused_by_name(
    tmp_path: Path, content: str, complaint: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(SubmitterError, match=complaint):
        judge(str(path), *BOTH)


@pytest.mark.parametrize("at", [12, -6, None])
def test_a_damaged_archive_is_refused(tmp_path: Path, at: int | None) -> None:
    packed = bytearray(gzip.compress(write(tmp_path / "a.csv").read_bytes()))
    if at is None:
        del packed[len(packed) // 2 :]
    else:
        packed[at] ^= 0xFF
    (tmp_path / "a.csv.gz").write_bytes(packed)
    with pytest.raises(SubmitterError, match="cannot be read"):
        judge(str(tmp_path / "a.csv.gz"), *BOTH)


def test_names_may_hold_any_character_and_lines_are_counted_as_an_editor_does(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.csv"
    rows = "".join(f'"a,\u2028b\x85{i}",{m},{i + 1}\r\n' for i in range(20) for m in ("old", "new"))
    path.write_text("segment,model,cost\r\n" + rows, newline="")
    code, text = judge(str(path), *BOTH)
    assert (code, "20 segments" in text) == (0, True)
    path.write_text('segment,model,cost\n\n"a\nb",old,1\n"a\nb",new,x\n')
    with pytest.raises(SubmitterError) as caught:
        judge(str(path), *BOTH)
    assert [f.where for f in caught.value.findings] == ["line 6, cost"]


def test_the_interval_of_a_mean_without_a_cap_is_not_taken_for_more_than_it_is(
    tmp_path: Path,
) -> None:
    path, said = str(write(tmp_path / "a.csv")), "The mean of cost has no cap (--cap): rare spikes"
    assert said in judge(path, *BOTH, "--metric", "cost")[1]
    assert said not in judge(path, *BOTH, "--metric", "cost", "--cap", "cost=50")[1]


def test_a_metric_named_twice_is_judged_once(tmp_path: Path) -> None:
    _, text = judge(
        str(write(tmp_path / "a.csv")), *BOTH, "--metric", "cost", "--metric", "cost", "--json"
    )
    assert len(json.loads(text)["gates"]) == 1


def test_a_margin_without_end_is_no_margin(tmp_path: Path) -> None:
    for margin in ("inf", "nan", "11"):
        assert judge(
            str(write(tmp_path / "a.csv")), *BOTH, "--metric", "cost", "--margin", margin
        ) == (2, "")


def test_what_is_wrong_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("segment,model,cost\na,old,1\na,new,x\na,old,2\n")
    with pytest.raises(SubmitterError) as caught:
        judge(str(path), *BOTH)
    assert [f.where for f in caught.value.findings] == ["line 3, cost", "line 4"]
    with pytest.raises(SubmitterError, match="not a file"):
        judge(str(tmp_path / "absent.csv"), *BOTH)
    with pytest.raises(SubmitterError, match="write METRIC=COST"):
        judge(str(write(tmp_path / "a.csv")), *BOTH, "--cap", "cost")


def test_negative_costs_and_one_route_give_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "segment,model,cost\n"
        + "".join(f"s{i},{m},{-1 + i}\n" for i in range(40) for m in ("old", "new"))
    )
    assert judge(str(path), *BOTH)[0] == 0  # the same on every pair: zero effect, whatever its sign
    path.write_text(path.read_text().replace("s0,new,-1", "s0,new,-2"))
    code, text = judge(str(path), *BOTH)
    assert code == 3
    assert "negative" in text
    code, text = judge(
        str(write(tmp_path / "b.csv", routes=1)),
        *BOTH,
        "--metric",
        "cost",
        "--route-column",
        "drive",
    )
    assert code == 3
    assert "1 route cannot show it" in text


def test_ragged_rows_are_named_and_a_byte_order_mark_is_not(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("segment,model,cost\na,old,1\na,new\nb,,1\nb,new,1,7\n")
    with pytest.raises(SubmitterError) as caught:
        judge(str(path), *BOTH)
    assert [(f.where, f.problem) for f in caught.value.findings] == [
        ("line 3", "2 fields of 3"),
        ("line 4", "no model"),
        ("line 5", "more than 3 fields"),
    ]
    marked = write(tmp_path / "a.csv")
    marked.write_bytes(b"\xef\xbb\xbf" + marked.read_bytes())
    assert judge(str(marked), *BOTH, "--margin", "0.1", "--route-column", "drive")[0] == 0


def test_a_model_is_never_compared_with_itself(tmp_path: Path) -> None:
    with pytest.raises(SubmitterError, match="never differs from itself"):
        judge(str(write(tmp_path / "a.csv")), "--baseline", "old", "--candidate", "old")


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ("5", "5", 0, "zero effect"),
        ("0", "0", 0, "zero effect"),
        ("5", "6", 1, "worse in the typical drive by 18.2 %"),
    ],
)
def test_constant_metrics_and_no_difference_at_all(
    tmp_path: Path, old: str, new: str, code: int, said: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "segment,model,cost\n" + "".join(f"s{i},old,{old}\ns{i},new,{new}\n" for i in range(60))
    )
    found, text = judge(str(path), *BOTH)
    assert found == code
    assert said in text


def test_a_metric_that_is_better_when_higher_fails_when_it_falls(tmp_path: Path) -> None:
    """Registered metrics have a direction; any other column is a cost."""
    name = next(metric.name for metric in METRICS.values() if metric.direction == "higher")
    path = write(tmp_path / "a.csv", effect=-0.2)
    path.write_text(path.read_text().replace(",cost,", f",{name},"))
    arguments = [*BOTH, "--margin", "0.1", "--metric", name, "--route-column", "drive"]
    code, text = judge(str(path), *arguments)
    assert code == 1
    assert f"{name} is worse in the typical drive by 2" in text
    assert judge(str(path), "--baseline", "new", "--candidate", "old", *arguments[4:])[0] == 0, (
        "and passes when it rises"
    )
    assert (
        judge(
            str(write(tmp_path / "b.csv", effect=-0.2)), *BOTH, *arguments[4:6], "--metric", "cost"
        )[0]
        == 0
    )


@real
def test_real_costs_of_distinct_controllers_are_told_apart_within_sixty_segments() -> None:
    code, text = judge(
        str(REAL), "--baseline", "ff_a", "--candidate", "pid", "--metric", "total_cost", "--json"
    )
    verdict = json.loads(text)
    assert code == 1
    assert verdict["pairs_consumed"] <= 60
    assert verdict["gates"][0]["decided_at"] <= 60
    every = json.loads(judge(str(REAL), "--baseline", "ff_a", "--candidate", "pid", "--json")[1])
    assert max(gate["decided_at"] for gate in every["gates"]) <= 60, (
        "and so by all three of its costs together"
    )


@real
def test_real_costs_of_close_controllers_are_not_overclaimed() -> None:
    _, text = judge(
        str(REAL), "--baseline", "ff_a", "--candidate", "ff_b", "--metric", "total_cost", "--json"
    )
    gate = json.loads(text)["gates"][0]
    assert gate["interval"]["low"] > 0.01  # the typical drive is worse by about 1.9 %
    assert (
        gate["other_estimand"]["low"] < 0 < gate["other_estimand"]["high"]
    )  # t = 2.0 on the mean: cannot tell
