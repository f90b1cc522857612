"""The drive task, on a real database."""

import pytest

from suites.errors import MachineError
from suites.vocabulary import ShardStatus
from workers.policy.sandbox.kept import KeptPolicies
from workers.process import Process
from workers.tasks import drive_shard as drive_task
from workers.tasks.drive_shard import drive
from workers.tests.shards import Sessions, add_shard, shard_of

pytestmark = pytest.mark.services


def test_a_worker_that_finds_no_work_holds_no_model(
    here: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[KeptPolicies] = []
    monkeypatch.setattr(
        KeptPolicies, "close", lambda kept: closed.append(kept)
    )  # a function, to be bound
    drive("cpu")
    assert closed == [here.kept]


class TestDriveTask:
    def test_an_error_gives_the_shard_back_with_its_reason(
        self, here: Process, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        number = add_shard(sessions, 1)

        def fail(*_: object, **__: object) -> None:
            raise MachineError("no memory left")

        monkeypatch.setattr(drive_task, "drive_keys", fail)
        drive("cpu")
        shard = shard_of(sessions, number)
        assert (shard.status, shard.error_owner, shard.error) == (
            ShardStatus.LEASED,
            "machine",
            "MachineError: no memory left",
        )

    def test_without_a_shard_it_returns(self, here: Process) -> None:
        drive("cpu")
