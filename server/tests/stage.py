"""A run whose rollouts the test stores one by one, as workers would."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from server.db.base import Role
from server.db.queue_tables import DemandRow, ResultRow
from server.db.run_tables import RunRow
from server.services.runs.judge import RunEvidence
from server.tests.driven import add_result, add_rollout
from suites.conditions import result_name
from suites.vocabulary import Outcome

Submit = Callable[..., Any]
METRIC = "lateral_error_mean_m"
CONDITION = {"name": "slow", "always": {"signal": "speed_mps", "below": 30.0}}
CASES = """
name = "incidents"
kind = "specific"
[[cases]]
name = "exit"
segment = "r1/0"
repeats = 2
noise = {pose_m = 0.1}
must_pass_repeats = 1
[[cases]]
name = "merge"
segment = "r2/0"
[[cases.conditions]]
name = "slow"
always = {signal = "speed_mps", below = 30.0}
"""


class Stage:
    """A run, and the hand that stores its rollouts."""

    def __init__(self, sessions: sessionmaker[Session], run_id: str) -> None:
        self.sessions, self.run_id = sessions, run_id

    def end(
        self,
        role: Role,
        position: int,
        outcome: Outcome = Outcome.COMPLETED,
        value: float | None = 0.1,
        version: int = 1,
    ) -> str:
        """Store how one rollout ended; its drive_key. `value` None: nothing was measured."""
        with self.sessions.begin() as session:
            digest = session.scalars(
                select(DemandRow.drive_key).where(
                    DemandRow.owner_id == self.run_id,
                    DemandRow.role == role,
                    DemandRow.position == position,
                )
            ).one()
            add_rollout(session, digest, outcome, ended_s=2.5)
            if value is not None:
                add_result(session, digest, value, METRIC, version)
        return digest

    def pair(self, position: int, candidate: Outcome = Outcome.COMPLETED, **named: Any) -> None:
        self.end(Role.CANDIDATE, position, candidate, **named)
        self.end(Role.BASELINE, position, **named)

    def condition(self, drive_key: str, value: float | None, reason: str = "") -> None:
        with self.sessions.begin() as session:
            session.add(
                ResultRow(
                    drive_key=drive_key,
                    metric=result_name(CONDITION),
                    version=1,
                    value=value,
                    valid=value is not None,
                    reason=reason,
                    instant_s=None if value else 1.5,
                )
            )

    def evidence(self) -> RunEvidence:
        with self.sessions() as session:
            return RunEvidence(session, session.get_one(RunRow, self.run_id))

    def consume(self, evidence: RunEvidence) -> bool:
        with self.sessions() as session:
            return evidence.consume(session)


@pytest.fixture
def overall(submit: Submit, sessions: sessionmaker[Session]) -> Stage:
    """12 pairs, one gate."""
    return Stage(sessions, submit().json()["id"])


@pytest.fixture
def looks(
    submit: Submit, sessions: sessionmaker[Session], client: TestClient, suite_toml: str
) -> Stage:
    """12 pairs, a look after every four, and a bound that two failures cross."""
    toml = "look_every = 4\nmax_failed_share = 0.1\n" + suite_toml.replace(
        'name = "', 'name = "looks_', 1
    )
    answer = client.post("/v1/suites", json={"toml": toml})
    assert answer.is_success, answer.text
    return Stage(sessions, submit(suite="looks_highway").json()["id"])


@pytest.fixture
def specific(submit: Submit, sessions: sessionmaker[Session], client: TestClient) -> Stage:
    """Cases `exit` (positions 0 and 1, one must pass) and `merge` (2, a condition), no gates."""
    answer = client.post("/v1/suites", json={"toml": CASES})
    assert answer.is_success, answer.text
    return Stage(sessions, submit(suite="incidents").json()["id"])
