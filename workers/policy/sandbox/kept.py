"""Sandboxed policies that stay open between batches and shards.

Starting a locked-down child costs 0.14 s of CPU, as much as a small model's inference on two
hundred frames, and a run drives the same two models shard after shard.

A child serves one model and no other. Each batch starts it afresh: history empty, recurrent state
at its initial value. It is never lent again once its model failed, its batch was given up or its
process is gone.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from suites.rollout import ExecutionClass
from workers.policy.policy import Policy
from workers.policy.sandbox.sandboxed_policy import SandboxedPolicy

MOST = 3
"""Policies of one process, lent or idle: a candidate, its baseline, and the candidate before."""
WORKED_S = 600.0
"""CPU time after which a child is replaced: none comes near the limit of its life (Limits)."""

Name = tuple[str, ExecutionClass]
"""A model's identity, and what it runs on."""


class KeptPolicies:
    """For the use of one thread: the kernel ends a child with the thread that started it."""

    def __init__(self) -> None:
        self._idle: dict[Name, SandboxedPolicy] = {}  # the longest unused first
        self._lent = 0

    @contextmanager
    def lend(self, name: Name, open_one: Callable[[], Policy]) -> Iterator[Policy]:
        """The kept policy of this name, else a new one. What `open_one` raises is raised here."""
        kept = self._idle.pop(name, None)
        if kept is not None and not _is_well(kept):
            kept.close()
            kept = None
        while kept is None and self._idle and len(self._idle) + self._lent >= MOST:
            self._idle.pop(next(iter(self._idle))).close()
        policy = kept or open_one()
        self._lent += 1
        done = False
        try:
            yield policy
            done = True
        finally:
            self._lent -= 1
            spare = done and name not in self._idle
            if spare and isinstance(policy, SandboxedPolicy) and _is_well(policy):
                self._idle[name] = policy
            else:
                policy.close()

    def close(self) -> None:
        """End those that are idle."""
        while self._idle:
            self._idle.popitem()[1].close()


def _is_well(policy: SandboxedPolicy) -> bool:
    worked_s = policy.worked_s()
    return worked_s is not None and worked_s < WORKED_S
