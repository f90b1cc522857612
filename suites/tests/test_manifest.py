"""A manifest has one identity; what is wrong with one is named."""

import pytest

from suites.errors import SubmitterError
from suites.identity import canonical_json, digest
from suites.manifest import Manifest, load_manifest


def test_a_manifest_has_one_identity_and_names_its_errors() -> None:
    manifest = Manifest(name="m", kind="controller")
    assert load_manifest(canonical_json(manifest)) == manifest
    assert load_manifest(canonical_json(manifest)).digest == digest(manifest)
    with pytest.raises(SubmitterError) as caught:
        load_manifest('{"name": "", "kind": "controller", "rate": 3}')
    assert {f.where for f in caught.value.findings} == {"name", "rate"}
    with pytest.raises(SubmitterError):
        load_manifest(b"\xff not json")


def test_a_model_too_slow_for_one_step_of_a_window_is_refused() -> None:
    slow = Manifest(name="slow", kind="controller", rate_hz=0.01)
    with pytest.raises(SubmitterError) as refused:
        load_manifest(canonical_json(slow))
    assert "rate_hz" in {finding.where for finding in refused.value.findings}
