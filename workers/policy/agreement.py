"""Do two runtimes give one model the same answers? Asked on the observations of one rollout."""

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
        self._policy = policy
        self.seen: list[Observation] = []
        self.manifest = policy.manifest
        self.execution = policy.execution
        self.provenance = policy.provenance
        self.start = policy.start
        self.keep = policy.keep
        self.close = policy.close

    def act(self, observation: Observation) -> Action:
        if len(self.seen) < SEEN:  # the simulator may use its buffer again
            self.seen.append(deepcopy(observation))
        return self._policy.act(observation)


def check_agreement(
    reference: Policy, other: Policy, observations: Iterable[Observation], batch: int
) -> float:
    """The largest difference of two policies' actions (1/m, m/s², m of plan).

    Both see the same observations of `batch` rows from a fresh start. A number that is finite in
    one and not in the other differs by infinity. Raises SubmitterError when the difference exceeds
    the manifest's `agreement_tolerance`: the model's verdict would depend on where it ran.
    """
    reference.start(batch)
    other.start(batch)
    largest = 0.0
    for observation in observations:
        largest = max(largest, _difference(reference.act(observation), other.act(observation)))
    tolerance = reference.manifest.agreement_tolerance
    if largest > tolerance:
        runtimes = f"{_words(reference.execution)} and {_words(other.execution)}"
        found = f"found a difference of {largest:.3g} between {runtimes}"
        problem = f"expected actions within {tolerance:g}, {found}"
        judge_there = f"judge this model on {reference.execution.runtime}"
        remedy = f"{judge_there}, or state a larger agreement_tolerance"
        finding = Finding("agreement_tolerance", problem, remedy)
        raise SubmitterError(f"the runtimes disagree: {problem}", (finding,))
    return largest


def _words(execution: ExecutionClass) -> str:
    device = "" if execution.device == "cpu" else f" on {execution.device}"
    return f"{execution.runtime}{device} in {execution.precision}"


def _difference(a: Action, b: Action) -> float:
    largest = 0.0
    for name in ("curvature", "plan", "acceleration"):
        left, right = getattr(a, name), getattr(b, name)
        if left is not None and right is not None:
            if not np.array_equal(np.isfinite(left), np.isfinite(right)):
                return float("inf")
            apart = np.abs(left - right)[np.isfinite(left)]
            largest = max(largest, float(apart.max(initial=0.0)))
    return largest
