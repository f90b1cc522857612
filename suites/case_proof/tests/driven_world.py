"""Two models whose fault is known in closed form."""

from collections.abc import Sequence

import numpy as np

from suites.case_proof.trial import DrivenModel, Trial
from suites.definition.suite_schema import CaseSpec
from suites.metrics.tests.test_metrics import moved
from suites.rollout import DriveKey, ExecutionClass, Noise, Rollout, SimulatorSpec
from suites.vocabulary import Outcome

RATE = 20
EXECUTION = ExecutionClass(runtime="onnxruntime", version="1")
TRIAL = Trial(
    offender=DrivenModel("bad", EXECUTION),
    control=DrivenModel("good", EXECUTION),
    segment_id="r/0",
    segment_digest="d",
    simulator=SimulatorSpec(name="reprojection", version="1"),
    duration_s=20.0,
)
AWAY = {"name": "away", "always": {"signal": "lateral_offset_m", "absolute": True, "below": 1.0}}
SPEC = CaseSpec(name="swerve", segment="r/0", start_s=2.0, end_s=18.0, conditions=(AWAY,))


class World:
    """`bad` moves left at 1 m/s from 12 s of the segment on, `good` stays where it started.

    `bad` does so where it came by 10.5 s, at least `needs_m` from the path.
    """

    def __init__(
        self, needs_m: float = 0.0, flaky: frozenset[int] = frozenset(), control_m: float = 0.0
    ) -> None:
        self.needs_m = needs_m
        self.flaky = flaky
        self.control_m = control_m
        self.driven: set[str] = set()
        self.noisy = 0

    def __call__(self, keys: Sequence[DriveKey]) -> Sequence[Rollout]:
        return [self._drive(key) for key in keys]

    def _drive(self, key: DriveKey) -> Rollout:
        self.driven.add(key.digest)
        self.noisy += key.scenario.noise != Noise()
        scenario = key.scenario
        steps = round((scenario.end_s - scenario.start_s) * RATE)
        t = scenario.start_s + np.arange(steps) / RATE
        offset = np.full(steps, scenario.offset.lateral_m * 0.5)
        sets_out = (
            key.model == "bad"
            and scenario.start_s <= 10.5
            and abs(scenario.offset.lateral_m) >= self.needs_m
        )
        if sets_out and key.repeat not in self.flaky:
            offset = offset + np.clip(t - 12.0, 0.0, 2.0)
        if key.model == "good":
            offset = offset + self.control_m
        return Rollout(
            key=key, outcome=Outcome.COMPLETED, ended_s=steps / RATE, trace=moved(offset, steps)
        )
