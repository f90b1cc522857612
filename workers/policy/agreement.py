"""Do two runtimes give one model the same answers? Checked on the observations of a model's first rollout."""

from collections.abc import Iterable
from copy import deepcopy

import numpy as np

from suites.errors import Finding, SubmitterError
from suites.rollout import ExecutionClass
from workers.policy.policy import Action, Observation, Policy

SEEN = 100
"""Steps of the first rollout that are compared: 5 s at 20 Hz."""


class Watched:
    """A policy that keeps what it was shown."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self.seen = policy, list[Observation]()
        self.manifest, self.execution, self.provenance = (
            policy.manifest,
            policy.execution,
            policy.provenance,
        )
        self.start, self.keep, self.close = policy.start, policy.keep, policy.close

    def act(self, observation: Observation) -> Action:
        if len(self.seen) < SEEN:  # the simulator may use its buffer again
            self.seen.append(deepcopy(observation))
        return self._policy.act(observation)


def check_agreement(
    reference: Policy, other: Policy, observations: Iterable[Observation], batch: int
) -> float:
    """Show both policies the same observations of `batch` rows from a fresh start; the largest absolute difference of
    their actions (1/m, m/s², m of plan).

    A number that is finite in one and not in the other differs by infinity. Raises SubmitterError when the difference
    exceeds the manifest's `agreement_tolerance`: the model's verdict would depend on where it ran.
    """
    reference.start(batch)
    other.start(batch)
    largest = 0.0
    for observation in observations:
        largest = max(largest, _difference(reference.act(observation), other.act(observation)))
    tolerance = reference.manifest.agreement_tolerance
    if largest > tolerance:
        runtimes = f"{_words(reference.execution)} and {_words(other.execution)}"
        problem = f"expected actions within {tolerance:g}, found a difference of {largest:.3g} between {runtimes}"
        remedy = f"judge this model on {reference.execution.runtime}, or state a larger agreement_tolerance"
        raise SubmitterError(
            f"the runtimes disagree: {problem}", (Finding("agreement_tolerance", problem, remedy),)
        )
    return largest


def _words(execution: ExecutionClass) -> str:
    device = "" if execution.device == "cpu" else f" on {execution.device}"
    return f"{execution.runtime}{device} in {execution.precision}"


def _difference(a: Action, b: Action) -> float:
    largest = 0.0
    for left, right in (
        (a.curvature, b.curvature),
        (a.plan, b.plan),
        (a.acceleration, b.acceleration),
    ):
        if left is not None and right is not None:
            if not np.array_equal(np.isfinite(left), np.isfinite(right)):
                return float("inf")
            apart = np.abs(left - right)[np.isfinite(left)]
            largest = max(largest, float(apart.max(initial=0.0)))
    return largest
