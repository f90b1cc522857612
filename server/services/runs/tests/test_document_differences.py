"""In which fields two suite versions differ: what people wrote first."""

from typing import Any

from server.services.runs.document_differences import differences, version_differences


def test_versions_differ_first_in_what_people_wrote() -> None:
    def version(margin: float, mark: str, parent: str | None) -> dict[str, Any]:
        planned = [
            {"scenario": {"segment_id": f"r{i}/0", "segment_digest": f"{mark}{i}"}}
            for i in range(30)
        ]
        return {
            "suite": {"gates": [{"margin": margin}]},
            "metric_versions": {"m": 1},
            "planned": planned,
            "parent": parent,
        }

    found = version_differences(version(0.1, "a", None), version(0.2, "b", "x"))
    assert (found[0].where, found[0].problem) == (
        "suite.gates.0.margin",
        "0.1 in the first, 0.2 in the other",
    )
    assert found[1].where == "planned.0.scenario.segment_digest"
    assert len(found) == 20
    again = version_differences(version(0.1, "a", None), version(0.1, "a", "x"))
    assert [f.where for f in again] == ["parent"]


def test_each_field_is_named_with_both_values() -> None:
    one = {"a": [{"b": 1}, {"b": 2}], "same": True, "gone": [1, 2]}
    other = {"a": [{"b": 1}, {"b": 3}], "same": True, "new": "x" * 100}
    found = {finding.where: finding.problem for finding in differences(one, other)}
    assert found == {
        "a.1.b": "2 in the first, 3 in the other",
        "gone": "2 entries in the first, not given in the other",
        "new": f"not given in the first, {'x' * 57}... in the other",
    }
    assert [f.where for f in differences([1], [1, 2], "list")] == ["list"]
    assert len(differences(list(range(9)), [0] * 9, most=3)) == 3
