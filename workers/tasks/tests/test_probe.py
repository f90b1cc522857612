"""Probes of determinism: equal bits pass, others raise an alarm, nothing stored changes."""

from collections.abc import Iterator, Sequence

import pytest
from sqlalchemy import select

from server.db.health_tables import AlarmRow, ProbeRow
from server.db.queue_tables import RolloutRow
from server.storage import BlobStore
from suites.errors import MachineError
from suites.rollout import DriveKey, Rollout
from suites.vocabulary import Outcome
from workers.process import Process
from workers.tasks import drive_shard as drive_task
from workers.tasks.probe import probe
from workers.tests.shards import Sessions, add_shard, key, must_take, put, rollout

pytestmark = pytest.mark.services


@pytest.fixture
def stored(sessions: Sessions, blobs: BlobStore) -> list[int]:
    """Numbers of probes of the stored rollouts 1 and 2."""
    add_shard(sessions, 1, 2)
    held = must_take(sessions)
    for number in (1, 2):
        put(sessions, held, rollout(number), blobs)
    with sessions.begin() as session:
        probes = [ProbeRow(drive_key=key(number).digest) for number in (1, 2)]
        session.add_all(probes)
        session.flush()
        return [probe.id for probe in probes]


def drives(monkeypatch: pytest.MonkeyPatch, *made: Rollout) -> list[int]:
    """What a second drive gives; how many keys each call was asked for."""
    by_key, asked = {one.key.digest: one for one in made}, list[int]()

    def drive(keys: Sequence[DriveKey], **_: object) -> Iterator[Rollout]:
        asked.append(len(keys))
        yield from (by_key[one.digest] for one in keys)

    monkeypatch.setattr(drive_task, "drive_keys", drive)
    return asked


def read(sessions: Sessions) -> tuple[list[ProbeRow], list[AlarmRow]]:
    with sessions() as session:
        return list(session.scalars(select(ProbeRow).order_by(ProbeRow.id))), list(
            session.scalars(select(AlarmRow))
        )


def test_equal_bits_pass_whatever_the_wall_time(
    here: Process, sessions: Sessions, stored: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = drives(monkeypatch, rollout(1, wall_s=5.0), rollout(2))
    probe(stored)
    probes, alarms = read(sessions)
    assert [(p.equal, p.worker, p.error) for p in probes] == [(True, "me/1", "")] * 2
    assert alarms == []
    assert asked == [1, 1], "each alone: other company than the first time"


@pytest.mark.parametrize("other", [rollout(2, speed=20.5), rollout(2, outcome=Outcome.FAILED)])
def test_other_bits_and_other_ends_raise_an_alarm(
    here: Process,
    sessions: Sessions,
    stored: list[int],
    monkeypatch: pytest.MonkeyPatch,
    other: Rollout,
) -> None:
    with sessions() as session:
        before = session.get_one(RolloutRow, key(2).digest).trace_bits
    drives(monkeypatch, rollout(1), other)
    probe(stored)
    probes, alarms = read(sessions)
    assert [p.equal for p in probes] == [True, False]
    assert [(a.kind, a.drive_key) for a in alarms] == [("unequal_bits", key(2).digest)]
    assert alarms[0].detail["now"]["worker"] == "me/1"
    with sessions() as session:
        assert session.get_one(RolloutRow, key(2).digest).trace_bits == before


def test_a_message_that_comes_twice_drives_once(
    here: Process, sessions: Sessions, stored: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = drives(monkeypatch, rollout(1), rollout(2))
    probe(stored)
    probe(stored)
    assert len(asked) == 2


def test_what_can_not_be_driven_says_why_and_is_no_mismatch(
    here: Process, sessions: Sessions, stored: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Iterator[Rollout]:
        raise MachineError("reprojection is of another version here")

    monkeypatch.setattr(drive_task, "drive_keys", fail)
    probe(stored)
    probes, alarms = read(sessions)
    assert [(p.equal, p.error) for p in probes] == [
        (None, "reprojection is of another version here")
    ] * 2
    assert alarms == []
