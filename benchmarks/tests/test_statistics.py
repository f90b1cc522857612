"""The table of a benchmark's runs: shares, medians, ratios, each with its interval."""

from benchmarks.statistics import report


def test_two_engines_are_compared_by_the_ratio_of_their_medians() -> None:
    shown = {"fail": [1.0] * 4, "segments": [60.0, 80, 80, 100], "segments then": [40.0] * 4}
    row = report({"2 % worse": shown, "not run": {}}).splitlines()
    assert len(row) == 3
    assert "fail 100.0 % [51.0, 100.0]" in row[-1]
    assert "ratio of medians 2.00 [1.50, 2.50]" in row[-1]
