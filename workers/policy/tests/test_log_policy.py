"""The built-in `log`: a manifest with an identity, and a plan that is the observation's."""

import numpy as np
import pytest

from suites.identity import canonical_json
from suites.manifest import load_manifest
from workers.policy.log_policy import LogPolicy, log_manifest
from workers.policy.policy import Observation, PolicyError


def test_its_manifest_survives_json_and_has_no_graph() -> None:
    manifest = log_manifest()
    assert load_manifest(canonical_json(manifest)).digest == manifest.digest
    assert (manifest.builtin, manifest.graphs, manifest.camera) == ("log", (), None)


def test_it_plans_the_logged_path_and_fails_where_there_is_none() -> None:
    policy = LogPolicy()
    policy.start(2)
    plan = np.ones((2, 31, 2))
    assert policy.act(Observation(scalars={"log_plan": plan})).plan is plan
    with pytest.raises(PolicyError, match="no logged path"):
        policy.act(Observation())
