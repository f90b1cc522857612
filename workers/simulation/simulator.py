"""What every simulator offers the loop: batched, with explicit state, randomness as an argument.

The state is a structure of arrays [B, ...] of the simulator's own type; no object per segment. All
simulators are the same to the loop.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from suites.manifest import Manifest
from suites.rollout import DriveKey, Trace
from suites.vocabulary import Outcome
from workers.policy.policy import Action, Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutEnd:
    """Rows that ended at a step, and how."""

    rows: NDArray[np.int64]
    """[k] row numbers within the current batch."""
    outcomes: tuple[Outcome, ...]
    reasons: tuple[str, ...]


StateT = TypeVar("StateT")


class Simulator(Protocol[StateT]):
    name: str
    version: str

    def begin(self, keys: Sequence[DriveKey], manifest: Manifest) -> StateT:
        """State of B rows at the first *warm-up* step; seeds come from the keys.

        Raises DataError naming the segment.
        """

    def warm_up_steps(self, state: StateT) -> int:
        """Steps whose action is discarded: they fill history and recurrent state."""

    def observe(self, state: StateT) -> Observation:
        """What each row sees now."""

    def step(
        self, state: StateT, action: Action, policy_time_s: float
    ) -> tuple[StateT, RolloutEnd]:
        """Apply the action, advance one step, record the trace; say which rows ended."""

    def keep(self, state: StateT, rows: NDArray[np.int64]) -> StateT:
        """Go on with these rows only: ended rows leave the batch (compaction)."""

    def trace(self, state: StateT, row: int) -> Trace:
        """The trace of one row so far."""

    def provenance(self, state: StateT, row: int) -> dict[str, Any]:
        """What a row rests on, e.g. {"depth": "lidar"}: kept, but no part of its identity."""
