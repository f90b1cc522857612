"""What is wrong with a suite is named, with its field and what to do."""

import pytest

from suites.definition.suite_toml import load_suite
from suites.definition.tests.documents import CASE, SUITE
from suites.errors import SubmitterError

RAIN = '[[slices]]\nname = "rain"\ntags = ["rain"]\n'


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (("lateral_error_mean_m", "lateral_eror"), "gates.0.metric"),
        (("margin = 0.1", "margin = -0.1"), "gates.0.margin"),
        (("margin = 0.1", "margn = 0.1"), "gates.0.margn"),
        (('kind = "overall"', 'kind = "specific"'), "cases"),
        (("[[gates]]", "[[gates]]\nmetric='lateral_error_mean_m'\n[[gates]]"), "gates"),
        (("[select]", "[selekt]"), "selekt"),
        (("[select]", '[select]\nkind = "controls"'), "select.kind"),
        (("order_seed = 7", "end_s = 0.5"), "end_s"),
        (("order_seed = 7", "end_s = inf"), "end_s"),
        (("offsets = [{}, { lateral_m = 0.5 }]", "offsets = []"), "offsets"),
        (("lateral_m = 0.5", "lateral_m = nan"), "offsets.1.lateral_m"),
        (("lateral_m = 0.5", "lateral_m = 500.0"), "offsets.1.lateral_m"),
        (("order_seed = 7", "noise = { pose_m = -1.0 }"), "noise.pose_m"),
        (("order_seed = 7", "order_seed = 9223372036854775808"), "order_seed"),
        (("[[gates]]", f"{RAIN}{RAIN}[[gates]]"), "slices"),
    ],
)
def test_a_wrong_suite_names_the_field(change: tuple[str, str], where: str) -> None:
    with pytest.raises(SubmitterError) as caught:
        load_suite(SUITE.replace(*change))
    assert where in [f.where for f in caught.value.findings]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (("repeats = 2", "repeats = 2\nmust_pass_repeats = 3"), "must_pass_repeats"),
        (("always = {", "from_s = -1.0\nalways = {"), "conditions.0.from_s"),
        (("always = {", "to_s = inf\nalways = {"), "conditions.0.to_s"),
        (
            ("always = {", "eventually = { signal = 'speed_mps', above = 1 }\nalways = {"),
            "conditions.0",
        ),
    ],
)
def test_a_wrong_case_names_the_field_and_what_to_do(change: tuple[str, str], where: str) -> None:
    with pytest.raises(SubmitterError) as refused:
        load_suite(CASE.replace(*change))
    (finding,) = refused.value.findings
    assert finding.where == f"cases.hugging.{where}"
    assert finding.remedy


GATE = 'metric = "lateral_error_mean_m"\nmargin = 0.1'


@pytest.mark.parametrize(
    ("gate", "field", "remedy"),
    [
        ('metric = "incident_hard_brake"', "estimand", 'estimand = "rate"'),
        (
            'metric = "incident_hard_brake"\nestimand = "mean"\nwinsor_cap = 1.0',
            "estimand",
            'estimand = "rate"',
        ),
        ('metric = "lateral_error_mean_m"\nestimand = "rate"', "estimand", 'estimand = "typical"'),
        (
            'metric = "hard_brake_share"\nestimand = "rate"\nwinsor_cap = 0.5',
            "winsor_cap",
            "drop it",
        ),
        (
            'metric = "hard_brake_share"\nestimand = "rate"\nrelative_cap = 5.0',
            "relative_cap",
            "drop it",
        ),
        ('metric = "hard_brake_share"\nestimand = "rate"\nmargin = 2.0', "margin", "0.005"),
        ('metric = "lateral_error_mean_m"\ndirection = "higher"', "direction", "drop it"),
        ('metric = "time_to_failure_s"\ndirection = "lower"', "direction", "drop it"),
    ],
)
def test_a_gate_of_the_wrong_kind_says_what_it_should_be(
    gate: str, field: str, remedy: str
) -> None:
    with pytest.raises(SubmitterError) as refused:
        load_suite(SUITE.replace(GATE, gate))
    (finding,) = refused.value.findings
    assert finding.where == f"gates.0.{field}"
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    "gate",
    [
        'metric = "incident_hard_brake"\nestimand = "rate"\nmargin = 0.005',
        'metric = "hard_brake_share"\nestimand = "rate"\ndirection = "lower"',
        'metric = "time_to_failure_s"\ndirection = "higher"',
    ],
)
def test_rates_and_shares_are_judged_as_rates_and_a_direction_may_be_repeated(gate: str) -> None:
    assert load_suite(SUITE.replace(GATE, gate)).gates


def test_slices_of_must_pass_cases_alone_are_refused() -> None:
    with pytest.raises(SubmitterError) as refused:
        load_suite(CASE + RAIN)
    (finding,) = refused.value.findings
    assert (finding.where, bool(finding.remedy)) == ("slices", True)
