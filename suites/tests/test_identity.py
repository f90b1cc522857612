"""Canonical bytes and seeds."""

import pytest

from suites.identity import canonical_json, seed_for


def test_canonical_json_refuses_what_has_no_one_form() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json({"x": float("nan")})
    with pytest.raises(TypeError):
        canonical_json({"x": object()})
    assert canonical_json({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()


def test_seeds_never_depend_on_the_model_and_are_stable() -> None:
    assert seed_for("0" * 64, 0) == seed_for("0" * 64, 0)
    assert 0 <= seed_for("0" * 64, 1) < 2**63
