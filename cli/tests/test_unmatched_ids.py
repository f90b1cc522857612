import pytest

from cli.unmatched_ids import Near, closest, near_ids, near_text, no_common_segment


@pytest.mark.parametrize(
    ("candidate", "baseline", "why"),
    [
        ("00012", "12", "leading zeros lost"),
        ("route-7/00", "route-7/0", "leading zeros lost"),
        ("12", "12.0", "a decimal point gained"),
        ("Abc/3", "abc/3", "other case"),
        ("a b", "ab", "blanks inside"),
        ("0012.0", "12", "several differences"),
        ("100", "10", None),
        ("v1.05", "v1.5", "leading zeros lost"),
        ("a", "b", None),
    ],
)
def test_what_a_spreadsheet_does_to_ids(candidate: str, baseline: str, why: str | None) -> None:
    expected = [Near(candidate, baseline, why)] if why else []
    assert near_ids([candidate, "same"], ["same", baseline]) == expected


def test_ids_that_meet_are_near_to_nothing() -> None:
    assert near_ids(["01", "1"], ["1"]) == [], "1 has its pair"


def test_the_error_names_the_nearest_pair_and_the_remedy() -> None:
    error = no_common_segment("a.csv", [{"00012": 0}, {"7": 0, "12": 0}], ("ff_a", "ff_b"))
    (finding,) = error.findings
    assert str(error) == "a.csv: ff_a and ff_b have no segment in common"
    near = "nearest: 'ff_a 00012' ~ 'ff_b 12' (leading zeros lost)"
    assert finding.problem == f"1 of ff_a and 2 of ff_b; {near}"
    assert "as text" in finding.remedy


def test_without_a_spelling_the_most_similar_is_named() -> None:
    def problem(candidate: str, baseline: str) -> str:
        error = no_common_segment("a.csv", [{candidate: 0}, {baseline: 0}], ("n", "o"))
        return error.findings[0].problem

    assert problem("night-17", "night_17").endswith("nearest: 'n night-17' ~ 'o night_17'")
    assert problem("abc", "xyz").endswith("none alike")


def test_the_closest_name() -> None:
    assert closest("ff_A", ["pid", "ff_a"]) == "ff_a"
    assert closest("zero", ["pid", "ff_a"]) == ""
    assert near_text(Near("a", "b", ""), ("n", "o")) == "'n a' ~ 'o b'"
