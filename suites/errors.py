"""Errors named by who must act. A failure of ours is never bad driving, nor the reverse.

RedriveError                  who must act           what becomes of the work
├── SubmitterError            the sender             never retried
│   ├── server.problems.Refused        an error of a documented kind, with its HTTP status
│   └── server.storage.{TooLargeError, DigestMismatchError}
├── DataError                 the data's owner       the segment is quarantined
├── MachineError              the machine            retried elsewhere, never scored
└── workers.policy.policy.PolicyError     the model  an outcome of the rollout
any other exception           us                     logged, reported as a fault of ours
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, where it is wrong, and what to do about it."""

    where: str
    """Path, field or tensor name: `graph.inputs[0].shape`, `qlog.bz2: carState at byte 81920`."""
    problem: str
    """What was expected and what was found."""
    remedy: str = ""


class RedriveError(Exception):
    """Base of every error that a user can be shown: `str()` is one sentence, `findings` details."""

    def __init__(self, message: str, findings: Finding | tuple[Finding, ...] = ()) -> None:
        super().__init__(message)
        self.findings = (findings,) if isinstance(findings, Finding) else findings

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.findings)


class SubmitterError(RedriveError):
    """The submission (model, manifest, suite, request) is wrong: its sender must change it."""


class DataError(RedriveError):
    """A log or stored segment is wrong: the owner of the data must act."""


class MachineError(RedriveError):
    """This machine failed (memory, disk, broker): another may do the work."""


def error_text(error: Exception) -> str:
    """An error with its findings in one line; one that nobody foresaw is told as our fault."""
    if isinstance(error, RedriveError):
        return "; ".join([str(error), *(f"{f.where}: {f.problem}" for f in error.findings)])
    return f"a fault of ours ({type(error).__name__}: {error}): report it with the log"
