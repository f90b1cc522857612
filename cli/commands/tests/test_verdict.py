import csv
import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.commands.verdict import app
from suites.errors import SubmitterError
from suites.metrics.registry import METRICS

REAL = Path(__file__).parents[4] / "shared/data/paired_costs/controls_5000.csv.gz"
real = pytest.mark.skipif(not REAL.exists(), reason="needs ../shared/data/paired_costs")
BOTH = ["--baseline", "old", "--candidate", "new"]
COST = ["--lower-is-better", "cost"]


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
    both = [*COST, "--lower-is-better", "jerk"]
    code, text = judge(str(same), *BOTH, *both, "--margin", "0.1", "--route-column", "drive")
    assert code == 0
    assert "PASS: not worse by 10 % on 2 of 2 gates over 400 segments of 80 routes; " in text
    code, text = judge(str(worse), *BOTH, *COST, "--margin", "0.1", "--route-column", "drive")
    assert code == 1
    assert "FAIL: cost is worse in the typical drive by" in text
    assert "Decided after" in text
    code, text = judge(str(same), *BOTH, *COST, "--margin", "0.0001", "--route-column", "drive")
    assert code == 3
    assert "INCONCLUSIVE" in text


def test_json_stands_alone_and_is_reproducible(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.csv", model="controller")
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    arguments = [*BOTH, *COST, "--order-seed", "7", "--json", "--cap", "cost=50"]
    code, text = judge(str(plain), *arguments)
    assert json.loads(text)["gates"][0]["metric"] == "cost"
    assert judge(str(packed), *arguments) == (code, text)
    assert json.loads(text)["method"]["flips"] == 9_999
    assert json.loads(text)["gates"][0]["other_estimand"] is not None
    other = json.loads(judge(str(plain), *BOTH, *COST, "--order-seed", "8", "--json")[1])
    assert other["method"] != json.loads(text)["method"]


def test_without_routes_it_says_that_segments_are_taken_as_independent(tmp_path: Path) -> None:
    assert (
        "each segment counts as a route of its own"
        in judge(str(write(tmp_path / "a.csv")), *BOTH, *COST)[1]
    )


@pytest.mark.parametrize("hole", ["", "nan", "inf"])
def test_holes_in_one_model_never_pass(tmp_path: Path, hole: str) -> None:
    code, text = judge(str(write(tmp_path / "a.csv", hole=hole)), *BOTH, *COST, "--margin", "0.1")
    assert code == 3
    assert "old: 0 segments missing, 200 values empty or not finite" in text


def test_missing_segments_are_counted_and_never_pass(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv")
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join(line for i, line in enumerate(lines) if not (i % 4 == 1 and ",old," in line))
    )
    code, text = judge(str(path), *BOTH, *COST, "--margin", "0.1")
    assert code == 3
    assert "old: 200 segments missing" in text


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "lacks"),
        ("segment,cost\na,1\n", r"controller \(or model\)"),
        ("segment,model\na,old\n", "lacks cost"),
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
        (",segment,model\n0,a,old\n1,a,new\n", "lacks cost"),
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
        judge(str(path), *BOTH, *COST)


@pytest.mark.parametrize("at", [12, -6, None])
def test_a_damaged_archive_is_refused(tmp_path: Path, at: int | None) -> None:
    packed = bytearray(gzip.compress(write(tmp_path / "a.csv").read_bytes()))
    if at is None:
        del packed[len(packed) // 2 :]
    else:
        packed[at] ^= 0xFF
    (tmp_path / "a.csv.gz").write_bytes(packed)
    with pytest.raises(SubmitterError, match="cannot be read"):
        judge(str(tmp_path / "a.csv.gz"), *BOTH, *COST)


def test_names_may_hold_any_character_and_lines_are_counted_as_an_editor_does(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.csv"
    rows = "".join(f'"a,\u2028b\x85{i}",{m},{i + 1}\r\n' for i in range(20) for m in ("old", "new"))
    path.write_text("segment,model,cost\r\n" + rows, newline="")
    code, text = judge(str(path), *BOTH, *COST)
    assert (code, "20 segments" in text) == (0, True)
    path.write_text('segment,model,cost\n\n"a\nb",old,1\n"a\nb",new,x\n')
    with pytest.raises(SubmitterError) as caught:
        judge(str(path), *BOTH, *COST)
    assert [f.where for f in caught.value.findings] == ["line 6, cost"]


def test_the_interval_of_a_mean_without_a_cap_is_not_taken_for_more_than_it_is(
    tmp_path: Path,
) -> None:
    path, said = str(write(tmp_path / "a.csv")), "The mean of cost has no cap (--cap): rare spikes"
    assert said in judge(path, *BOTH, *COST)[1]
    assert said not in judge(path, *BOTH, *COST, "--cap", "cost=50")[1]


def test_a_metric_named_twice_is_judged_once(tmp_path: Path) -> None:
    _, text = judge(
        str(write(tmp_path / "a.csv")), *BOTH, *COST, "--lower-is-better", "cost", "--json"
    )
    assert len(json.loads(text)["gates"]) == 1


def test_a_margin_without_end_is_no_margin(tmp_path: Path) -> None:
    for margin in ("inf", "nan", "11"):
        assert judge(str(write(tmp_path / "a.csv")), *BOTH, *COST, "--margin", margin) == (2, "")


def test_what_is_wrong_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("segment,model,cost\na,old,1\na,new,x\na,old,2\n")
    with pytest.raises(SubmitterError) as caught:
        judge(str(path), *BOTH, *COST)
    assert [f.where for f in caught.value.findings] == ["line 3, cost", "line 4"]
    with pytest.raises(SubmitterError, match="not a file"):
        judge(str(tmp_path / "absent.csv"), *BOTH, *COST)
    with pytest.raises(SubmitterError, match="write METRIC=COST"):
        judge(str(write(tmp_path / "a.csv")), *BOTH, *COST, "--cap", "cost")


def test_negative_costs_and_one_route_give_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "segment,model,cost\n"
        + "".join(f"s{i},{m},{-1 + i}\n" for i in range(40) for m in ("old", "new"))
    )
    assert (
        judge(str(path), *BOTH, *COST)[0] == 0
    )  # the same on every pair: zero effect, whatever its sign
    path.write_text(path.read_text().replace("s0,new,-1", "s0,new,-2"))
    code, text = judge(str(path), *BOTH, *COST)
    assert code == 3
    assert "negative" in text
    code, text = judge(
        str(write(tmp_path / "b.csv", routes=1)), *BOTH, *COST, "--route-column", "drive"
    )
    assert code == 3
    assert "1 route cannot show it" in text


def test_ragged_rows_are_named_and_a_byte_order_mark_is_not(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("segment,model,cost\na,old,1\na,new\nb,,1\nb,new,1,7\n")
    with pytest.raises(SubmitterError) as caught:
        judge(str(path), *BOTH, *COST)
    assert [(f.where, f.problem) for f in caught.value.findings] == [
        ("line 3", "2 fields of 3"),
        ("line 4", "no model"),
        ("line 5", "more than 3 fields"),
    ]
    marked = write(tmp_path / "a.csv")
    marked.write_bytes(b"\xef\xbb\xbf" + marked.read_bytes())
    assert judge(str(marked), *BOTH, *COST, "--margin", "0.1", "--route-column", "drive")[0] == 0


def test_a_model_is_never_compared_with_itself(tmp_path: Path) -> None:
    with pytest.raises(SubmitterError, match="never differs from itself"):
        judge(str(write(tmp_path / "a.csv")), *COST, "--baseline", "old", "--candidate", "old")


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
    found, text = judge(str(path), *BOTH, *COST)
    assert found == code
    assert said in text


def test_a_metric_that_is_better_when_higher_fails_when_it_falls(tmp_path: Path) -> None:
    """Registered metrics have a direction; that of any other column is named."""
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
    lower = write(tmp_path / "b.csv", effect=-0.2)
    assert judge(str(lower), *BOTH, *COST, *arguments[4:6])[0] == 0


def grown(rows: list[str], tmp_path: Path, *words: str) -> dict[str, Any]:
    path = tmp_path / "growing.csv"
    path.write_text("segment,model,cost\n" + "".join(rows))
    code, text = judge(str(path), *BOTH, *COST, *words, "--json")
    found: dict[str, Any] = json.loads(text)
    return found | {"exit": code}


@pytest.mark.parametrize(("effect", "word", "code"), [(0.12, "fail", 1), (0.0, "pass", 0)])
def test_a_growing_file_is_decided_once(
    tmp_path: Path, effect: float, word: str, code: int
) -> None:
    rng, rows = np.random.default_rng(2), []
    for i in range(400):
        cost = rng.lognormal()
        other = cost * (1 + effect) * rng.lognormal(0, 0.1)
        rows += [f"s{i},old,{cost:.6f}\n", f"s{i},new,{other:.6f}\n"]
    words = "--planned", "400", "--margin", "0.1", "--flips", "999"
    decided: list[tuple[str, int, int]] = []
    for pairs in (7, 20, 55, 130, 290, 399, 400):
        found = grown(rows[: 2 * pairs], tmp_path, *words)
        if found["verdict"] is None:
            assert found["exit"] == 3
            assert found["sentence"].startswith("Not decided yet: ")
            assert not decided, "what was decided stays so"
        else:
            decided.append((found["verdict"], found["pairs_consumed"], found["exit"]))
    assert len(set(decided)) == 1, "the same word after the same pairs, whatever came later"
    assert decided[0][::2] == (word, code)
    again = grown(rows[:260], tmp_path, *words), grown(rows[:261], tmp_path, *words)
    assert again[0]["gates"] == again[1]["gates"], "half a pair is no pair"


def test_more_pairs_than_planned_are_refused(tmp_path: Path) -> None:
    path = str(write(tmp_path / "a.csv"))
    with pytest.raises(SubmitterError, match="more pairs than were planned") as caught:
        judge(path, *BOTH, *COST, "--planned", "399")
    assert "400 pairs" in caught.value.findings[0].problem
    assert "taken as complete" in judge(path, *BOTH, *COST)[1]


def test_columns_that_nobody_named_never_judge(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = write(path, routes=400).read_text().splitlines()
    extra = [f"{line},{i},{i}" for i, line in enumerate(lines[1:])]
    path.write_text("\n".join([f"{lines[0]},finished_at,wall_s", *extra]))
    code, text = judge(str(path), *BOTH, *COST, "--margin", "0.1", "--json")
    found = json.loads(text)
    assert (code, [gate["metric"] for gate in found["gates"]]) == (0, ["cost"])
    assert found["not_judged"] == ["jerk", "finished_at", "wall_s"]
    assert found["notes"][0].startswith("Not judged: jerk, finished_at, wall_s - name them with ")
    with pytest.raises(SubmitterError, match="not known which way the metrics of") as caught:
        judge(str(path), *BOTH)
    assert "--lower-is-better cost" in caught.value.findings[0].remedy


def test_repeats_of_few_segments_are_no_routes(tmp_path: Path) -> None:
    rng, rows = np.random.default_rng(0), []
    for i in range(12):
        effect = rng.normal(-0.06, 0.05)
        rows += [f"s{i:02d}#{r},old,{1 + r}\n" for r in range(25)]
        rows += [f"s{i:02d}#{r},new,{(1 + r) * (1 + effect):.4f}\n" for r in range(25)]
    found = grown(rows, tmp_path)
    assert "over 12 segments of 12 routes" in found["sentence"]
    assert found["gates"][0]["verdict"] == "cannot tell"


@pytest.mark.parametrize(
    ("word", "every", "code", "said"),
    [
        ("failed", 10, 1, "the candidate failed on"),
        ("policy_failed", 199, 1, "out of memory"),
        ("left_trust_region", 10, 3, "counted at best and worst"),
        ("data_invalid", 50, 3, "4 pairs of 200 without valid data, more than 0.5 %"),
    ],
)
def test_outcomes_count_as_in_a_run(
    tmp_path: Path, word: str, every: int, code: int, said: str
) -> None:
    rng, path = np.random.default_rng(4), tmp_path / "a.csv"
    lines = ["segment,model,cost,outcome,reason"]
    for i in range(200):
        ended = f"{word},out of memory" if i % every == 3 else "completed,"
        cost = rng.lognormal()
        lines += [f"s{i},old,{cost:.4f},completed,"]
        lines += [f"s{i},new,{cost * rng.lognormal(0, 0.02):.4f},{ended}"]
    path.write_text("\n".join(lines))
    found, text = judge(str(path), *BOTH, *COST, "--margin", "0.1")
    assert (found, said in text) == (code, True), text
    assert f"new: {len(range(3, 200, every))} {word}." in text
    path.write_text(path.read_text().replace(word, "completed"))
    assert judge(str(path), *BOTH, *COST, "--margin", "0.1")[0] == 0, "but for how they ended"


def test_one_missing_value_leaves_the_mean_of_the_others(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", effect=0.5)
    lines = path.read_text().splitlines()
    first = lines[1].split(",")
    path.write_text("\n".join([lines[0], ",".join([*first[:3], "", *first[4:]]), *lines[2:]]))
    text = judge(str(path), *BOTH, *COST)[1]
    row = next(line for line in text.splitlines() if line.startswith("cost"))
    assert re.search(r"\] +\+\d\d\.\d % +worse", row), "a mean without an interval"
    said = "The mean of cost is that of the 399 pairs with both values, without an interval: "
    assert f"{said}--cap cost=COST" in text
    assert said not in judge(str(path), *BOTH, *COST, "--cap", "cost=50")[1]


def test_a_score_that_falls_is_worse(tmp_path: Path) -> None:
    path, score = str(write(tmp_path / "a.csv", effect=-0.2)), ["--higher-is-better", "cost"]
    code, text = judge(path, *BOTH, *score, "--margin", "0.1", "--route-column", "drive")
    assert code == 1
    assert "cost is worse in the typical drive by 2" in text
    turned = "--baseline", "new", "--candidate", "old"
    assert judge(path, *turned, *score, "--margin", "0.1", "--route-column", "drive")[0] == 0


def test_the_cap_of_a_rate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("segment,model,hit\na,old,1\na,new,0\n")
    with pytest.raises(SubmitterError, match="--cap hit=3"):
        judge(str(path), *BOTH, "--rate", "hit", "--cap", "hit=3")


def collisions(path: Path) -> str:
    """45 of the candidate against 20 of the baseline: 30 and 5 where the other has none."""
    rng = np.random.default_rng(1)
    ends = rng.permutation([(1, 1)] * 15 + [(1, 0)] * 30 + [(0, 1)] * 5 + [(0, 0)] * 4950)
    rows = [f"s{i},new,{c}\ns{i},old,{b}\n" for i, (c, b) in enumerate(ends.tolist())]
    path.write_text(f"segment,model,collisions\n{''.join(rows)}")
    return str(path)


def test_collisions_are_counted(tmp_path: Path) -> None:
    path = collisions(tmp_path / "a.csv")
    code, text = judge(path, *BOTH, "--rate", "collisions")
    assert code == 1
    assert "collisions 45 against 20 of 5,000" in text
    good = tmp_path / "b.csv"
    rows = [line.rpartition(",") for line in Path(path).read_text().splitlines()[1:]]
    turned = [f"{head},{1 - int(cell)}" for head, _, cell in rows]
    good.write_text("\n".join(["segment,model,arrived", *turned]))
    assert judge(str(good), *BOTH, "--rate", "arrived", "--higher-is-better", "arrived")[0] == 1
    with pytest.raises(SubmitterError) as caught:
        judge(path, *BOTH)
    assert "collisions with 0 and 1 alone: --rate collisions" in caught.value.findings[0].remedy
    hint = "judge what happened or did not with --rate collisions"
    seldom = "--look-every", "2500"
    assert hint in judge(path, *BOTH, "--lower-is-better", "collisions", *seldom)[1]


def test_half_an_event_is_said_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [f"s{i},{m},{int(i % 9 == 0)}\n" for i in range(60) for m in ("old", "new")]
    half = "half,old,0.5\nhalf,new,0\n"
    path.write_text("segment,model,hit\n" + "".join(rows) + half)
    text = judge(str(path), *BOTH, "--rate", "hit")[1]
    said = "hit: 1 of 122 values lie between 0 and 1 (first: 0.5 of old on half): taken as shares."
    assert said in text
    path.write_text(path.read_text().replace("hit", "incident_hard_brake", 1))
    with pytest.raises(SubmitterError) as caught:
        judge(str(path), *BOTH)
    assert caught.value.findings[0].where == "line 122, incident_hard_brake"


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


def test_a_draw_by_cost_is_told_on_its_bank(tmp_path: Path) -> None:
    worse = write(tmp_path / "a.csv", 0.3, n=1500)
    mean = [*BOTH, *COST, "--estimand", "mean", "--margin", "0.1", "--draw", "cost"]
    code, text = judge(str(worse), *mean, "--draw-share", "0.8")
    assert code == 1
    assert "FAIL: cost is worse in the mean by" in text
    assert "drawn by cost, on this bank" in text
    assert "Decided after" in text
    with pytest.raises(SubmitterError, match="cannot be judged so"):
        judge(str(worse), *mean, "--planned", "5000")
