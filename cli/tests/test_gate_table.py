from dataclasses import replace

import pytest

from cli.gate_table import print_gates
from suites.judgement import GateVerdict, Interval
from suites.vocabulary import Estimand, MetricVerdict

GATE = GateVerdict(
    metric="cost",
    estimand=Estimand.TYPICAL,
    margin=0.02,
    critical=True,
    verdict=MetricVerdict.CANNOT_TELL,
    interval=Interval(estimate=0.01, low=-0.02, high=0.04),
    reason="too few",
)
RATE = replace(
    GATE,
    metric="hit",
    estimand=Estimand.RATE,
    reason="",
    decided_at=1200,
    candidate_events=1045,
    baseline_events=20,
    smallest_visible_effect=0.0031,
)


def lines(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    shown = capsys.readouterr().out.splitlines()
    return [[cell.strip() for cell in line.split("  ") if cell] for line in shown]


def test_a_mean_without_an_interval_is_that_of_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_gates([GATE], {"cost": 0.25})
    head, row, _, reason = lines(capsys)
    assert dict(zip(head, row, strict=True))["mean"] == "+25.0 %"
    assert reason == ["cost: too few"]
    print_gates([GATE])
    head, row, *_ = lines(capsys)
    assert dict(zip(head, row, strict=True))["mean"] == "-"


def test_a_rate_is_shown_as_counts_and_in_percentage_points(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_gates([RATE])
    head, row, *_ = lines(capsys)
    shown = dict(zip(head, row, strict=True))
    assert (shown["baseline"], shown["candidate"]) == ("20", "1,045")
    assert (shown["rate"], shown["could see"]) == ("+1 pp [-2 pp, +4 pp]", "0.31 pp")


def test_rates_have_a_column_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    titles = {"rate", "mean", "typical drive"}
    for gates, expected in (
        ([GATE], {"mean", "typical drive"}),
        ([RATE], {"rate"}),
        ([GATE, RATE], titles),
    ):
        print_gates(gates)
        head, *rows = lines(capsys)
        assert titles & set(head) == expected
        assert rows[len(gates) - 1][head.index("decided at")] in ("-", "1,200")
    print_gates([replace(GATE, other_estimand=GATE.interval), RATE])
    head, cost, hit, *_ = lines(capsys)
    dashes = [dict(zip(head, row, strict=True)) for row in (cost, hit)]
    assert [(row["mean"] == "-", row["rate"] == "-") for row in dashes] == [
        (False, True),
        (True, False),
    ]
