"""The closed vocabularies: outcomes, statuses with their transitions, verdicts."""

from enum import StrEnum
from typing import Literal


class Outcome(StrEnum):
    """How a rollout ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    """Left the road or lane bound, or hit an incident bound, inside the trust region."""
    LEFT_TRUST_REGION = "left_trust_region"
    """The simulator can no longer tell; not the model's failure: the pair is censored."""
    POLICY_FAILED = "policy_failed"
    """The model crashed, timed out or returned a number that is not finite."""
    DATA_INVALID = "data_invalid"
    INFRA_FAILED = "infra_failed"
    """Retried, never scored, never stored as a result."""


FAILING = frozenset({Outcome.FAILED, Outcome.POLICY_FAILED})
"""The model failed: what it did not drive counts at a metric's cap."""
NOT_SCORED = frozenset({Outcome.DATA_INVALID, Outcome.INFRA_FAILED})
"""Nothing was learned about the model: the pair is dropped."""


class Status(StrEnum):
    """Status of a run. A verdict is another column: an errored run has none."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    ERRORED = "errored"


STATUS_TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.FINISHED, Status.CANCELLED, Status.ERRORED}),
    Status.RUNNING: frozenset({Status.FINISHED, Status.CANCELLED, Status.ERRORED}),
    # back to running: what an early verdict left out is driven, and the verdict stays meanwhile
    Status.FINISHED: frozenset({Status.RUNNING}),
    Status.CANCELLED: frozenset(),
    Status.ERRORED: frozenset(),
}
UNDERWAY = frozenset({Status.QUEUED, Status.RUNNING})
"""Something of the run is still driven or judged."""
Until = Literal["decided", "finished"]
"""What somebody waits for: the verdict, or that nothing more of the run is driven."""


class ShardStatus(StrEnum):
    """Status of a shard (a few drive_keys that one worker drives in lock-step)."""

    QUEUED = "queued"
    LEASED = "leased"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"
    """Out of attempts: its rollouts count as infra_failed, and the runs that wait are told."""


SHARD_TRANSITIONS: dict[ShardStatus, frozenset[ShardStatus]] = {
    ShardStatus.QUEUED: frozenset({ShardStatus.LEASED, ShardStatus.CANCELLED}),
    ShardStatus.LEASED: frozenset(
        {ShardStatus.DONE, ShardStatus.QUEUED, ShardStatus.CANCELLED, ShardStatus.FAILED}
    ),
    ShardStatus.DONE: frozenset(),
    ShardStatus.CANCELLED: frozenset(),
    ShardStatus.FAILED: frozenset(),
}


class MetricVerdict(StrEnum):
    """What is said of one metric."""

    BETTER = "better"
    EQUIVALENT = "equivalent"
    NOT_WORSE = "not worse"
    SLIGHTLY_WORSE = "slightly worse"
    WORSE = "worse"
    MIXED = "mixed"
    CANNOT_TELL = "cannot tell"


class RunVerdict(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Estimand(StrEnum):
    MEAN = "mean"
    """The raw mean, relative to the baseline's: spikes count; what the fleet feels."""
    TYPICAL = "typical"
    """The mean of the bounded relative difference 2(c-b)/(c+b): the typical drive."""
    RATE = "rate"
    """The share of pairs with an event, or the mean of a cost in [0, 1]: its difference."""


class CaseStatus(StrEnum):
    """Where a surprise stands on its way to a test: as a field report, then as a draft."""

    REPORTED = "reported"
    AWAITING_DATA = "awaiting data"
    """Its route is not stored yet."""
    LOCATED = "located"
    """A stored segment and a time in it."""
    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    DRAFTED = "drafted"
    """There is a case for it; the proof that it is a good one may still run."""
    QUARANTINED = "quarantined"
    """Drafted, kept and shown, but its proof failed: it gates nothing."""
    REVIEWED = "reviewed"
    """Proven, and a person has accepted it."""
    ENFORCED = "enforced"
    """Part of a suite version: every later candidate meets it."""
    REJECTED = "rejected"
    WAIVED = "waived"
    """Enforced, with a waiver in force."""


CASE_TRANSITIONS: dict[CaseStatus, frozenset[CaseStatus]] = {
    CaseStatus.REPORTED: frozenset(
        {CaseStatus.AWAITING_DATA, CaseStatus.LOCATED, CaseStatus.REJECTED}
    ),
    CaseStatus.AWAITING_DATA: frozenset({CaseStatus.LOCATED, CaseStatus.REJECTED}),
    CaseStatus.LOCATED: frozenset(
        {CaseStatus.REPRODUCED, CaseStatus.NOT_REPRODUCED, CaseStatus.REJECTED}
    ),
    CaseStatus.REPRODUCED: frozenset({CaseStatus.DRAFTED, CaseStatus.REJECTED}),
    CaseStatus.NOT_REPRODUCED: frozenset({CaseStatus.LOCATED, CaseStatus.REJECTED}),
    # back to reproduced: a report whose draft was rejected may be drafted again
    CaseStatus.DRAFTED: frozenset(
        {CaseStatus.REVIEWED, CaseStatus.QUARANTINED, CaseStatus.REPRODUCED, CaseStatus.REJECTED}
    ),
    CaseStatus.QUARANTINED: frozenset(
        {CaseStatus.LOCATED, CaseStatus.REPRODUCED, CaseStatus.REJECTED}
    ),
    CaseStatus.REVIEWED: frozenset({CaseStatus.ENFORCED, CaseStatus.REJECTED}),
    CaseStatus.ENFORCED: frozenset({CaseStatus.WAIVED}),
    CaseStatus.WAIVED: frozenset({CaseStatus.ENFORCED}),
    CaseStatus.REJECTED: frozenset(),
}
