"""What a simulator asks of a model: batched observations in, batched actions out.

    start(B) --> act(observation) --> act --> ... --> keep(rows) --> act --> ... --> close
                     ^ B rows, one step a call            ^ rows that have ended are dropped

A policy holds the recurrent state of B rows that advance in lock-step. Rows are independent: a row
that fails does not touch the others.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from suites.errors import RedriveError
from suites.manifest import Manifest
from suites.rollout import ExecutionClass


class PolicyError(RedriveError):
    """The model crashed, timed out or was killed: policy_failed, and the submitter must act."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What B rows see at one step."""

    frames: NDArray[np.uint8] | None = None
    """[B, H, W, 3] RGB in the manifest's virtual camera; None for controllers.

    The newest only: adapters keep the history. Memory that lies in planes is the fastest. The
    simulator may reuse it at the next step."""
    scalars: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """By role (suites.manifest.Role): [B] or [B, k].

    E.g. speed [B] m/s, acceleration [B], curvature [B] 1/m (driven), desire [B, 3] one-hot (none,
    left, right), traffic [B, 2], log_plan [B, P, 2] for the built-in log policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What B rows answer at one step. Not finite in a row means policy_failed for that row."""

    curvature: NDArray[np.float64] | None = None
    """[B] 1/m, left positive. Controllers: [B] steer action. None where the model gives a plan."""
    plan: NDArray[np.float64] | None = None
    """[B, P, 2] x forward, y left in the ego frame, m, at `manifest.action.plan_times_s`."""
    acceleration: NDArray[np.float64] | None = None
    """[B] m/s²; None: the log's speed is followed."""


class Policy(Protocol):
    """One model ready to drive."""

    manifest: Manifest
    execution: ExecutionClass
    provenance: dict[str, Any]
    """How it ran here, e.g. {"sandbox": [...]}: kept with each rollout, no part of its identity."""

    def start(self, batch: int) -> None:
        """Begin B fresh rows: history empty, recurrent state at its initial value."""

    def act(self, observation: Observation) -> Action:
        """One step of all rows. Raises PolicyError when the model as a whole fails."""

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Go on with these rows only, in this order."""

    def close(self) -> None:
        """Release the model (child process, shared memory, session)."""
