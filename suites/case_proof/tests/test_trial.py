"""A case's rule on one rollout."""

from dataclasses import replace

from suites.case_proof.tests.driven_world import AWAY, SPEC, TRIAL
from suites.case_proof.trial import judged
from suites.metrics.tests.test_metrics import moved
from suites.rollout import Rollout
from suites.vocabulary import Outcome


def test_a_rollout_that_fell_out_fails_whatever_its_conditions_say() -> None:
    key = TRIAL.key(TRIAL.offender, SPEC)
    fell = Rollout(
        key=key,
        outcome=Outcome.FAILED,
        reason="left the road",
        ended_s=3.0,
        trace=moved(0.0, 60, 320),
    )
    early = replace(SPEC, conditions=(AWAY | {"to_s": 2.0},))
    assert judged(early, fell) == (False, "left the road", 3.0)
