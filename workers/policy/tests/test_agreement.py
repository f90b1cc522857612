"""Whether two ways of running a model agree."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from suites.errors import SubmitterError
from suites.manifest import ActionSpec, Manifest
from workers.policy.agreement import check_agreement
from workers.policy.load import open_policy
from workers.policy.policy import Observation, Policy

Built = tuple[Manifest, dict[str, Path]]
Scaled = Callable[[float], Policy]


@pytest.fixture
def scaled(speed_model: Built) -> Scaled:
    """A policy that answers speed / 100 times a factor; 0.01 is tolerated."""
    manifest, files = speed_model

    def make(factor: float) -> Policy:
        action = ActionSpec(kind="curvature", output="action", scale=factor)
        return open_policy(
            replace(manifest, action=action, agreement_tolerance=0.01), files, sandboxed=False
        )

    return make


def seen(*speeds: float) -> list[Observation]:
    return [Observation(scalars={"speed": np.array([speed, 0.0])}) for speed in speeds]


def test_a_difference_within_the_tolerance_is_told(scaled: Scaled) -> None:
    assert check_agreement(scaled(1), scaled(1), seen(1, 2), 2) == 0
    assert check_agreement(scaled(1), scaled(1.5), seen(1, 2, 1), 2) == pytest.approx(
        0.01, rel=1e-6
    )
    assert check_agreement(scaled(1), scaled(1), seen(np.nan), 2) == 0


def test_a_larger_one_is_refused(scaled: Scaled) -> None:
    with pytest.raises(
        SubmitterError, match=r"expected actions within 0.01, found a difference of 0\.02"
    ):
        check_agreement(scaled(1), scaled(2), seen(0, 2, 0), 2)


def test_a_number_against_none_is_refused(scaled: Scaled) -> None:
    with pytest.raises(SubmitterError, match="a difference of inf"):
        check_agreement(scaled(1), scaled(float("inf")), seen(1), 2)
