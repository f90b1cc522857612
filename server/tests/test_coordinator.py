"""The coordinator on a real database and broker: order, decisions, shared work, lost leases.

Workers are played here."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine, func, select, update
from sqlalchemy.orm import Session, sessionmaker

from server.broker import waiting
from server.coordinator import Coordinator
from server.db.base import Role
from server.db.health_tables import EventRow
from server.db.queue_tables import DemandRow, DriveKeyRow, RolloutRow, ShardRow, WorkerRow
from server.db.run_tables import RunRow
from server.services.runs.judge import RunEvidence, UndecidableError
from server.settings import Settings
from server.tests.driven import add_result, add_rollout
from suites.vocabulary import Outcome, RunVerdict, ShardStatus, Status

pytestmark = pytest.mark.services
Submit = Callable[..., Any]
METRIC = "lateral_error_mean_m"
EARLY = """
name = "early"
kind = "overall"
look_every = 4
new_spikes = 0.3
[select]
tags_all = ["early"]
[[gates]]
metric = "lateral_error_mean_m"
margin = 0.5
"""
"""An early pass is in reach of 40 routes: a wide margin, a high bound on new spikes."""


@pytest.fixture
def settings(settings: Settings, broker_url: str) -> Settings:
    return settings.model_copy(update={"broker_url": broker_url, "shard_rollouts": 2})


@pytest.fixture
def coordinator(settings: Settings) -> Iterator[Coordinator]:
    engine: Engine = create_engine(settings.sqlalchemy_url)
    with engine.connect() as connection:
        yield Coordinator(connection, settings)
    engine.dispose()


@pytest.fixture
def drive(sessions: sessionmaker[Session]) -> Callable[..., int]:
    """drive(...): what the workers would do with the queued shards; how many rollouts were stored.

    `value(role, position)` is the metric, `outcome(role, position)` how it ended; `only` picks
    shards by number."""

    def driven(
        value: Callable[[Role, int], float] = lambda role, position: 0.1,
        outcome: Callable[[Role, int], Outcome] = lambda role, position: Outcome.COMPLETED,
        only: Callable[[int], bool] = lambda number: True,
    ) -> int:
        stored = 0
        with sessions.begin() as session:
            shards = session.scalars(
                select(ShardRow).where(ShardRow.status == ShardStatus.QUEUED).order_by(ShardRow.id)
            ).all()
            for number, shard in enumerate(shards):
                if not only(number):
                    continue
                for digest in shard.drive_keys:
                    demand = session.scalars(
                        select(DemandRow).where(DemandRow.drive_key == digest)
                    ).first()
                    assert demand is not None
                    place = (demand.role, demand.position)
                    add_rollout(session, digest, outcome(*place), shard_id=shard.id)
                    add_result(session, digest, value(*place))
                    stored += 1
                shard.status = ShardStatus.DONE
        return stored

    return driven


def run_of(sessions: sessionmaker[Session], run_id: str) -> RunRow:
    with sessions() as session:
        return session.get_one(RunRow, run_id)


def test_a_run_is_driven_in_its_order_and_finishes(
    submit: Submit,
    coordinator: Coordinator,
    drive: Callable[..., int],
    sessions: sessionmaker[Session],
) -> None:
    run_id = submit().json()["id"]
    assert coordinator.tick()
    with sessions() as session:
        shards = session.scalars(select(ShardRow).order_by(ShardRow.id)).all()
        demands = session.execute(
            select(DemandRow.drive_key, DemandRow.position, DemandRow.role)
        ).all()
        places = {digest: (position, role) for digest, position, role in demands}
        windows = [sorted(places[digest] for digest in shard.drive_keys) for shard in shards]
        both = (Role.BASELINE, Role.CANDIDATE)
        # The look-ahead is bounded: three blocks of two positions for one place.
        # Both models of a position stand in one shard.
        assert windows == [
            [(first + k, role) for k in range(2) for role in both] for first in (0, 2, 4)
        ]
        assert session.get_one(RunRow, run_id).status is Status.RUNNING
    for _ in range(12):
        drive()
        coordinator.tick()
        if run_of(sessions, run_id).status is Status.FINISHED:
            break
    run = run_of(sessions, run_id)
    assert (run.status, run.verdict, run.pairs_consumed) == (Status.FINISHED, RunVerdict.PASS, 12)
    assert run.verdict_document is not None
    assert run.verdict_document["method"]["suite_digest"] == run.suite_digest
    assert run.sentence == run.verdict_document["sentence"]
    assert not coordinator.tick(), "nothing is left to wait for"


@pytest.mark.parametrize("full", [True, False])
def test_a_verdict_rests_on_the_pairs_up_to_the_look_that_decides_even_if_all_are_driven(
    full: bool,
    submit: Submit,
    coordinator: Coordinator,
    drive: Callable[..., int],
    sessions: sessionmaker[Session],
    client: TestClient,
    suite_toml: str,
) -> None:
    toml = "look_every = 4\nmax_failed_share = 0.1\n" + suite_toml.replace(
        'name = "', 'name = "looks_', 1
    )
    assert client.post("/v1/suites", json={"toml": toml}).is_success
    run_id = submit(suite="looks_highway", full=full).json()["id"]
    for _ in range(8):
        coordinator.tick()
        drive(
            outcome=lambda role, p: Outcome.FAILED if role is Role.CANDIDATE else Outcome.COMPLETED
        )
    coordinator.tick()
    run = run_of(sessions, run_id)
    assert (run.status, run.verdict, run.pairs_consumed) == (Status.FINISHED, RunVerdict.FAIL, 4)
    assert "failed on 4 rollouts" in run.sentence
    with sessions() as session:
        stored = session.scalar(select(func.count()).select_from(RolloutRow)) or 0
    assert stored == 24 if full else stored < 24


def test_results_are_consumed_in_the_registered_order(
    submit: Submit,
    coordinator: Coordinator,
    drive: Callable[..., int],
    sessions: sessionmaker[Session],
) -> None:
    run_id = submit().json()["id"]
    coordinator.tick()
    drive(only=lambda number: number != 0)  # the first block stays behind
    coordinator.tick()
    assert run_of(sessions, run_id).pairs_consumed == 0
    with sessions() as session:
        late = session.scalars(select(ShardRow).where(ShardRow.status == ShardStatus.QUEUED)).all()
        assert late, "what was held back is still queued"
    drive()
    coordinator.tick()
    assert run_of(sessions, run_id).pairs_consumed >= 6


def test_a_candidate_that_breaks_fails_at_once_and_costs_nothing_more(
    submit: Submit,
    coordinator: Coordinator,
    drive: Callable[..., int],
    sessions: sessionmaker[Session],
) -> None:
    run_id = submit().json()["id"]
    coordinator.tick()
    drive(
        outcome=lambda role, p: (
            Outcome.POLICY_FAILED if (role, p) == (Role.CANDIDATE, 1) else Outcome.COMPLETED
        )
    )
    coordinator.tick()
    run = run_of(sessions, run_id)
    assert (run.status, run.verdict, run.pairs_consumed) == (Status.FINISHED, RunVerdict.FAIL, 2)
    assert "it policy_failed" in run.sentence
    with sessions() as session:
        assert (
            session.scalar(
                select(func.count())
                .select_from(ShardRow)
                .where(ShardRow.status == ShardStatus.QUEUED)
            )
            == 0
        )


def test_a_baseline_that_breaks_does_not_fail_the_candidate(
    submit: Submit,
    coordinator: Coordinator,
    drive: Callable[..., int],
    sessions: sessionmaker[Session],
) -> None:
    run_id = submit().json()["id"]
    for _ in range(8):
        coordinator.tick()
        drive(
            outcome=lambda role, p: (
                Outcome.POLICY_FAILED if (role, p) == (Role.BASELINE, 1) else Outcome.COMPLETED
            )
        )
    coordinator.tick()
    run = run_of(sessions, run_id)
    assert run.status is Status.FINISHED
    assert run.verdict is not RunVerdict.FAIL


def test_rollouts_that_another_run_waits_for_are_shared(
    submit: Submit,
    push: Callable[..., str],
    coordinator: Coordinator,
    drive: Callable[..., int],
    sessions: sessionmaker[Session],
) -> None:
    push("second")
    first, second = submit().json()["id"], submit(candidate="second").json()["id"]
    stored = 0
    for _ in range(12):
        coordinator.tick()
        stored += drive()
    coordinator.tick()
    assert stored == 36, "the baseline's twelve rollouts serve both runs"
    assert {run_of(sessions, r).status for r in (first, second)} == {Status.FINISHED}


def test_cancelling_one_run_leaves_the_others_work(
    submit: Submit,
    push: Callable[..., str],
    client: TestClient,
    coordinator: Coordinator,
    sessions: sessionmaker[Session],
    drive: Callable[..., int],
) -> None:
    push("second")
    first, second = submit().json()["id"], submit(candidate="second").json()["id"]
    coordinator.tick()
    client.post(f"/v1/runs/{first}/cancel")
    coordinator.tick()
    with sessions() as session:
        queued = {
            d
            for keys in session.scalars(
                select(ShardRow.drive_keys).where(ShardRow.status == ShardStatus.QUEUED)
            )
            for d in keys
        }
        wanted = set(
            session.scalars(select(DemandRow.drive_key).where(DemandRow.owner_id == second))
        )
        assert queued
        assert queued <= wanted
    for _ in range(12):
        drive()
        coordinator.tick()
    assert run_of(sessions, first).status is Status.CANCELLED
    assert run_of(sessions, second).status is Status.FINISHED


def test_an_unchanged_pair_on_another_run_is_decided_without_driving(
    submit: Submit,
    push: Callable[..., str],
    coordinator: Coordinator,
    drive: Callable[..., int],
    sessions: sessionmaker[Session],
) -> None:
    submit()
    for _ in range(8):
        coordinator.tick()
        drive()
    swapped = submit(candidate="baseline", baseline="candidate").json()["id"]
    coordinator.tick()
    assert run_of(sessions, swapped).status is Status.FINISHED
    assert drive() == 0


class TestLostShards:
    def lose(
        self, sessions: sessionmaker[Session], error: str | None = None, owner: str | None = None
    ) -> None:
        """A worker claims every queued shard and is never heard of again, or reports an error."""
        with sessions.begin() as session:
            session.execute(
                update(ShardRow)
                .where(ShardRow.status == ShardStatus.QUEUED)
                .values(
                    status=ShardStatus.LEASED,
                    attempt=ShardRow.attempt + 1,
                    fence=ShardRow.fence + 1,
                    lease_until=func.now(),
                    started=func.now(),
                    worker="w/1",
                    error=error,
                    error_owner=owner,
                )
            )

    def make_claimable(self, sessions: sessionmaker[Session]) -> None:
        with sessions.begin() as session:
            session.execute(update(ShardRow).values(not_before=func.now()))

    def test_a_lost_worker_costs_an_attempt_and_no_rollout(
        self,
        submit: Submit,
        coordinator: Coordinator,
        drive: Callable[..., int],
        sessions: sessionmaker[Session],
    ) -> None:
        run_id = submit().json()["id"]
        coordinator.tick()
        self.lose(sessions)
        coordinator.tick()
        with sessions() as session:
            shards = session.scalars(select(ShardRow)).all()
            assert {(s.status, s.attempt, s.error_owner) for s in shards} == {
                (ShardStatus.QUEUED, 1, "machine")
            }
        for _ in range(8):
            drive()
            coordinator.tick()
        assert run_of(sessions, run_id).status is Status.FINISHED

    def test_poison_is_split_then_given_up_and_the_run_is_told(
        self, submit: Submit, coordinator: Coordinator, sessions: sessionmaker[Session]
    ) -> None:
        run_id = submit().json()["id"]
        coordinator.tick()
        for _ in range(3):
            self.lose(sessions, "MachineError: no memory left", "machine")
            coordinator.tick()
            self.make_claimable(sessions)
        with sessions() as session:
            sizes = session.scalars(
                select(func.cardinality(ShardRow.drive_keys)).where(
                    ShardRow.status == ShardStatus.QUEUED
                )
            )
            assert set(sizes) == {1}, "split into single rollouts"
        for _ in range(3):
            self.lose(sessions, "MachineError: no memory left", "machine")
            coordinator.tick()
            self.make_claimable(sessions)
        run = run_of(sessions, run_id)
        assert (run.status, run.verdict) == (Status.ERRORED, None)
        assert "infra_failed" in run.error
        assert (
            "no memory left (whoever runs the workers has to put that right; "
            "submitted again, it is tried again)"
        ) in run.error
        assert not coordinator.tick()

    def test_a_resubmission_tries_what_was_given_up_again(
        self,
        submit: Submit,
        coordinator: Coordinator,
        sessions: sessionmaker[Session],
        drive: Callable[..., int],
    ) -> None:
        submit()
        coordinator.tick()
        self.lose(sessions, "SubmitterError: it knows no such parameter", "submitter")
        coordinator.tick()
        with sessions() as session:
            reasons = set(
                session.scalars(select(DriveKeyRow.failure).where(DriveKeyRow.failure.is_not(None)))
            )
        assert reasons == {
            "SubmitterError: it knows no such parameter (whoever submitted it has to correct it)"
        }
        again = submit().json()["id"]
        for _ in range(8):
            coordinator.tick()
            drive()
        coordinator.tick()
        assert run_of(sessions, again).status is Status.FINISHED


def test_a_fault_of_ours_is_called_so_and_stops_that_run_only(
    submit: Submit,
    coordinator: Coordinator,
    sessions: sessionmaker[Session],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken, other = (
        submit().json()["id"],
        submit(candidate="baseline", baseline="candidate").json()["id"],
    )
    consume = RunEvidence.consume

    def fail(evidence: RunEvidence, *args: Any, **options: Any) -> bool:
        if evidence._run_id == broken:
            raise KeyError("x")
        return consume(evidence, *args, **options)

    monkeypatch.setattr(RunEvidence, "consume", fail)
    coordinator.tick()
    assert run_of(sessions, broken).status is Status.ERRORED
    assert (
        run_of(sessions, broken).error == "a fault of ours (KeyError: 'x'): report it with the log"
    )
    assert run_of(sessions, other).status is Status.RUNNING


def test_wake_ups_are_at_most_twice_the_places(
    submit: Submit, coordinator: Coordinator, sessions: sessionmaker[Session]
) -> None:
    with sessions.begin() as session:
        session.add(WorkerRow(name="w", host="h", device="cpu", concurrency=2))
    submit()
    for _ in range(3):
        coordinator.tick()
    assert waiting(coordinator._celery, "cpu") == 4


def test_a_broker_that_is_away_costs_nothing(
    submit: Submit, settings: Settings, sessions: sessionmaker[Session]
) -> None:
    submit()
    away = settings.model_copy(
        update={"broker_url": "redis+socket:///nowhere/valkey.sock?virtual_host=0"}
    )
    engine = create_engine(settings.sqlalchemy_url)
    with engine.connect() as connection:
        assert Coordinator(connection, away).tick()
    engine.dispose()
    with sessions() as session:
        assert (
            session.scalar(
                select(func.count())
                .select_from(ShardRow)
                .where(ShardRow.status == ShardStatus.QUEUED)
            )
            == 3
        )


class TestAPassBeforeTheWholeSetIsDriven:
    @pytest.fixture
    def early(
        self,
        submit: Submit,
        client: TestClient,
        add_segment: Callable[..., Any],
        coordinator: Coordinator,
        drive: Callable[..., int],
        sessions: sessionmaker[Session],
    ) -> str:
        """Id of a finished run that passed after a part of 80 pairs; its candidate never spikes."""
        for number in range(80):
            add_segment(f"early-{number:02}/0", tags=("early",))
        client.post("/v1/suites", json={"toml": EARLY})
        run_id = str(submit(suite="early").json()["id"])
        self.drive_on(coordinator, drive, sessions, run_id)
        run = run_of(sessions, run_id)
        assert (run.status, run.verdict) == (Status.FINISHED, RunVerdict.PASS), run.sentence
        assert run.pairs_consumed < 30
        assert run.sentence.startswith("PASS, provisional after")
        return run_id

    def drive_on(
        self,
        coordinator: Coordinator,
        drive: Callable[..., int],
        sessions: sessionmaker[Session],
        run_id: str,
        spiking: bool = False,
    ) -> int:
        """Until nothing more is driven; how many rollouts were. `spiking`: the candidate's do."""
        stored = 0
        costs = {Role.CANDIDATE: 5.0 if spiking else 0.101, Role.BASELINE: 0.1}
        for _ in range(40):
            coordinator.tick()
            stored += drive(value=lambda role, p: costs[role])
            if run_of(sessions, run_id).status is Status.FINISHED:
                return stored
        raise AssertionError("it never ends")

    def kinds(self, sessions: sessionmaker[Session], run_id: str) -> list[str]:
        with sessions() as session:
            rows = select(EventRow.kind).where(EventRow.subject_id == run_id).order_by(EventRow.id)
            return list(session.scalars(rows))

    def test_it_is_completed_on_the_same_run_and_nothing_is_driven_twice(
        self,
        early: str,
        client: TestClient,
        coordinator: Coordinator,
        drive: Callable[..., int],
        sessions: sessionmaker[Session],
    ) -> None:
        decided = run_of(sessions, early).decided
        with sessions() as session:
            before = session.scalar(select(func.count()).select_from(RolloutRow)) or 0
        view = client.post(f"/v1/runs/{early}/complete", params={"actor": "ada"}).json()
        assert (view["status"], view["verdict"], view["provisional"]) == ("running", "pass", True)
        coordinator.tick()
        assert run_of(sessions, early).verdict is RunVerdict.PASS, "it stays visible meanwhile"
        assert self.drive_on(coordinator, drive, sessions, early) == 160 - before
        run = run_of(sessions, early)
        assert (run.verdict, run.pairs_consumed, run.decided) == (RunVerdict.PASS, 80, decided)
        assert run.verdict_document is not None
        assert run.verdict_document["complete"]
        assert run.sentence.startswith("PASS: not worse by")
        view = client.get(f"/v1/runs/{early}").json()
        assert (view["complete"], view["provisional"], view["standing"]) == (True, False, "")
        assert self.kinds(sessions, early) == ["run.submitted", "run.decided", "run.resumed"]
        assert not coordinator.tick()

    def test_what_contradicts_it_withdraws_it_and_a_coordinator_that_starts_again_agrees(
        self,
        early: str,
        client: TestClient,
        coordinator: Coordinator,
        drive: Callable[..., int],
        sessions: sessionmaker[Session],
        settings: Settings,
    ) -> None:
        client.post(f"/v1/runs/{early}/complete")
        while not run_of(sessions, early).withdrawn_at:
            coordinator.tick()
            assert drive(value=lambda role, p: 5.0 if role is Role.CANDIDATE else 0.1)
        coordinator.tick()  # takes all that is driven
        run = run_of(sessions, early)
        assert run.status is Status.RUNNING
        assert run.verdict in (RunVerdict.INCONCLUSIVE, RunVerdict.FAIL), run.sentence
        assert run.withdrawn_at is not None
        assert "is withdrawn: " in run.sentence
        assert (
            "Its earlier pass is withdrawn: " in client.get(f"/v1/runs/{early}").json()["standing"]
        )
        told = [run.verdict, run.sentence, run.withdrawn_at, run.verdict_document]
        engine = create_engine(settings.sqlalchemy_url)
        with engine.connect() as connection:
            again = Coordinator(connection, settings)
            again.tick()
            run = run_of(sessions, early)
            assert [run.verdict, run.sentence, run.withdrawn_at, run.verdict_document] == told
            self.drive_on(again, drive, sessions, early, spiking=True)
        engine.dispose()
        run = run_of(sessions, early)
        assert run.verdict is not RunVerdict.PASS
        assert run.pairs_consumed == 80
        events = self.kinds(sessions, early)
        assert events == ["run.submitted", "run.decided", "run.resumed", "run.withdrawn"]

    def test_a_fault_while_it_is_completed_leaves_the_verdict_that_it_has(
        self,
        early: str,
        client: TestClient,
        coordinator: Coordinator,
        sessions: sessionmaker[Session],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        client.post(f"/v1/runs/{early}/complete")

        def fail(*_: Any, **options: Any) -> bool:
            raise UndecidableError("this server measures another version: register it again")

        monkeypatch.setattr(RunEvidence, "consume", fail)
        coordinator.tick()
        run = run_of(sessions, early)
        assert (run.status, run.verdict) == (Status.FINISHED, RunVerdict.PASS)
        assert "register it again" in run.error
        view = client.get(f"/v1/runs/{early}").json()
        assert (view["provisional"], view["complete"]) == (True, False)
        page = client.get(f"/runs/{early}", headers={"Accept": "text/html"}).text
        assert "Driving went on and stopped: this server measures another version" in page

    def test_a_run_that_is_to_be_driven_whole_is_decided_at_the_same_look(
        self,
        early: str,
        push: Callable[..., str],
        submit: Submit,
        coordinator: Coordinator,
        drive: Callable[..., int],
        sessions: sessionmaker[Session],
        client: TestClient,
    ) -> None:
        at_the_look = run_of(sessions, early).pairs_consumed
        push("second")
        run_id = str(submit(suite="early", candidate="second", full=True).json()["id"])
        self.drive_on(coordinator, drive, sessions, run_id)
        run = run_of(sessions, run_id)
        assert (run.verdict, run.pairs_consumed) == (RunVerdict.PASS, 80)
        asked: dict[str, Any] = {"subject_kind": "run", "subject_id": run_id, "limit": 1}
        (event,) = client.get("/v1/audit", params=asked).json()["items"]
        assert (event["kind"], event["detail"]["pairs"]) == ("run.decided", at_the_look)
