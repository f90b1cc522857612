"""What cannot be judged is refused, with its field."""

import functools
from typing import Any

import pytest

from suites.conditions import load_condition
from suites.errors import SubmitterError

AWAY = {"signal": "lateral_offset_m", "absolute": True, "above": 0.5}

NESTED: dict[str, Any] = functools.reduce(lambda inner, _: {"not": inner}, range(900), AWAY)


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({"always": {"signal": "lateral_ofset_m", "below": 1}}, "always.signal"),
        ({"always": {"signal": "speed_mps"}}, "always"),
        ({"always": {"signal": "speed_mps", "above": 3, "below": 2}}, "always"),
        ({"always": {"signal": "speed_mps", "above": float("nan")}}, "always"),
        ({"always": {"signal": "speed_mps", "above": 1, "bellow": 2}}, "always.bellow"),
        ({"always": {"all": []}}, "always.all"),
        ({"always": {"not": 3}}, "always.not"),
        ({"always": {"polygon": [[0, 0], [1, 1]]}}, "always"),
        ({"always": {"x_m": 0, "y_m": 0, "radius_m": -1}}, "always"),
        ({"always": AWAY, "eventually": AWAY}, "condition"),
        ({}, "condition"),
        ({"always": AWAY, "from_s": 5, "to_s": 5}, "to_s"),
        ({"allways": AWAY}, "allways"),
        ({"always": {"signal": ["speed_mps"], "below": 1}}, "always.signal"),
        ({"always": {"signal": {}, "below": 1}}, "always.signal"),
        ({"always": {"signal": "speed_mps", "below": 10**400}}, "always"),
        ({"always": {"signal": "speed_mps", "below": 1, "for_s": 10**300}}, "always.for_s"),
        ({"always": NESTED}, "always.not"),
    ],
)
def test_what_cannot_be_judged_is_refused_by_name(document: dict[str, Any], where: str) -> None:
    with pytest.raises(SubmitterError) as caught:
        load_condition(document)
    assert any(where in finding.where for finding in caught.value.findings), caught.value.findings
    assert all(finding.remedy for finding in caught.value.findings)


def test_a_wall_time_may_not_decide_by_one_step() -> None:
    for rule in (
        {"always": {"not": {"signal": "policy_time_s", "above": 0.1}}},
        {"eventually": {"signal": "policy_time_s", "above": 1}},
    ):
        with pytest.raises(SubmitterError) as refused:
            load_condition(rule)
        assert "share" in refused.value.findings[0].remedy
    with pytest.raises(SubmitterError):
        load_condition({"eventually": AWAY, "share": 0.9})
