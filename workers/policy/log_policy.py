"""The log as a policy: it plans the logged path, and is driven and scored as a model is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from suites.execution_classes import default_execution
from suites.manifest import ActionSpec, Manifest
from suites.rollout import ExecutionClass
from workers.policy.policy import Action, Observation, PolicyError

PLAN_TIMES_S = tuple(round(0.1 * k, 1) for k in range(31))


def log_manifest(rate_hz: float = 20.0) -> Manifest:
    """The built-in `log`: no graphs, no camera; a plan of 3 s."""
    action = ActionSpec(kind="plan", output="log_plan", plan_times_s=PLAN_TIMES_S)
    return Manifest(
        name="log", kind="camera", adapter="builtin", builtin="log", rate_hz=rate_hz, action=action
    )


class LogPolicy:
    """Answers the observation's `log_plan` [B, P, 2]."""

    def __init__(self, manifest: Manifest | None = None) -> None:
        self.manifest = manifest or log_manifest()
        self.execution: ExecutionClass = default_execution(self.manifest)
        self.provenance: dict[str, Any] = {}

    def start(self, batch: int) -> None:
        """It has no state."""

    def act(self, observation: Observation) -> Action:
        if "log_plan" not in observation.scalars:
            raise PolicyError("the simulator gives no logged path to plan along")
        return Action(plan=observation.scalars["log_plan"])

    def keep(self, rows: NDArray[np.int64]) -> None:
        """It has no state."""

    def close(self) -> None:
        """It holds nothing."""
