"""Field reports, drafts, acceptance, the ratchet and waivers, over HTTP; workers are played where rollouts are needed."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from server.coordinator import Coordinator
from server.db.bank_tables import ModelRow
from server.db.base import OwnerKind
from server.db.engine import make_engine
from server.db.failure_tables import WaiverRow
from server.db.queue_tables import DemandRow, DriveKeyRow, RolloutRow, ShardRow
from server.db.run_tables import RunRow
from server.services.failures import proof as prove
from server.services.runs.judge import RunEvidence
from server.settings import Settings
from server.storage import BlobStore
from suites.definition.suite_schema import load_suite
from suites.judgement import CaseVerdict
from suites.metrics.tests.test_metrics import moved
from suites.vocabulary import CASE_TRANSITIONS, CaseStatus, Outcome, RunVerdict, ShardStatus, Status

pytestmark = pytest.mark.services
RULE = {"always": {"signal": "speed_mps", "below": 1}}
COMPLAINT = {
    "route": "r1--0",
    "time_s": 6.0,
    "text": "it drifted over the line",
    "reporter": "ada",
    "severity": "high",
}


@pytest.fixture
def settings(settings: Settings, broker_url: str) -> Settings:
    return settings.model_copy(update={"broker_url": broker_url})


@pytest.fixture
def coordinator(settings: Settings) -> Iterator[Coordinator]:
    engine = make_engine(settings.sqlalchemy_url)
    with engine.connect() as connection:
        yield Coordinator(connection, settings)
    engine.dispose()


@pytest.fixture
def complain(client: TestClient) -> Callable[..., Any]:
    return lambda **changes: client.post("/v1/field-reports", json=COMPLAINT | changes)


@pytest.fixture
def play(sessions: sessionmaker[Session], settings: Settings) -> Callable[[], int]:
    """play(): what workers would do: `candidate` and `clone` move left at 0.5 m/s from 4 s of the segment on, others stay."""
    blobs = BlobStore(settings.blobs)

    def played() -> int:
        stored = 0
        with sessions.begin() as session:
            for shard in session.scalars(
                select(ShardRow).where(ShardRow.status == ShardStatus.QUEUED)
            ).all():
                for digest in shard.drive_keys:
                    row = session.get_one(DriveKeyRow, digest)
                    scenario, name = row.key["scenario"], session.get_one(ModelRow, row.model).name
                    steps = round((scenario["end_s"] - scenario["start_s"]) * 20)
                    t = scenario["start_s"] + np.arange(steps) / 20
                    offset = (
                        np.clip((t - 4.0) * 0.5, 0, None)
                        if name in ("candidate", "clone")
                        else np.zeros(steps)
                    )
                    trace = moved(np.resize(offset, steps), steps)
                    session.add(
                        RolloutRow(
                            drive_key=digest,
                            outcome=Outcome.COMPLETED,
                            reason="",
                            ended_s=steps / 20,
                            trusted_share=1.0,
                            provenance={},
                            worker="test",
                            shard_id=shard.id,
                            fence=1,
                            trace_sha256=blobs.put(trace.to_bytes()),
                        )
                    )
                    stored += 1
                shard.status = ShardStatus.DONE
        return stored

    return played


@pytest.fixture
def draft(
    client: TestClient, push: Callable[..., str], suite: str, complain: Callable[..., Any]
) -> Callable[..., Any]:
    """draft(**changes): the answer to a draft for a located report, of `candidate` against `baseline`."""
    for name in ("candidate", "baseline", "clone"):
        push(name)

    def drafted(**changes: Any) -> Any:
        body = {
            "suite": "surprises",
            "name": "drifted",
            "note": "it drifted over the line",
            "offender": "candidate",
            "control": "baseline",
            "author": "ada",
        }
        if "report" not in changes and "segment" not in changes:
            body["report"] = complain().json()["id"]
        return client.post("/v1/case-drafts", json=body | changes)

    return drafted


@pytest.fixture
def settle(
    client: TestClient, coordinator: Coordinator, play: Callable[[], int]
) -> Callable[[str], dict[str, Any]]:
    """settle(draft_id): tick and play until the proof is decided; the draft."""

    def settled(draft_id: str) -> dict[str, Any]:
        for _ in range(40):
            coordinator.tick()
            play()
            view: dict[str, Any] = client.get(f"/v1/case-drafts/{draft_id}").json()
            if view["status"] != "located":
                return view
        raise AssertionError("the proof never ends")

    return settled


def kind(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].partition("#")[2]


class TestReports:
    def test_located_clustered_and_never_twice(
        self, suite: str, complain: Callable[..., Any], client: TestClient
    ) -> None:
        first = complain()
        assert first.status_code == 201
        assert (
            first.json()["status"],
            first.json()["segment_id"],
            first.json()["segment_time_s"],
        ) == ("located", "r1/0", 6.0)
        assert complain().json()["id"] == first.json()["id"]
        near = complain(time_s=7.5, text="hugging the right line", reporter="bo").json()
        other = complain(text="slammed the brakes", reporter="bo").json()
        assert near["cluster"] == first.json()["id"] != other["cluster"]
        detail = client.get(f"/v1/field-reports/{near['id']}").json()
        assert detail["duplicates"] == [first.json()["id"]]
        assert [
            r["id"]
            for r in client.get("/v1/field-reports", params={"search": "brakes"}).json()["items"]
        ] == [other["id"]]

    @pytest.mark.parametrize("pushed", [False, True])
    def test_a_report_waits_for_its_data(
        self,
        suite: str,
        complain: Callable[..., Any],
        client: TestClient,
        add_segment: Callable[..., Any],
        suite_toml: str,
        pushed: bool,
    ) -> None:
        waiting = complain(route="r9|0").json()
        assert (waiting["status"], waiting["segment_id"]) == ("awaiting data", None)
        add_segment("r9/0")
        if pushed:
            client.post("/v1/suites", json={"toml": suite_toml})
        else:
            client.post("/v1/segments/index")
        assert client.get(f"/v1/field-reports/{waiting['id']}").json()["status"] == "located"
        kinds = [
            e["kind"]
            for e in client.get("/v1/audit", params={"subject_id": waiting["id"]}).json()["items"]
        ]
        assert kinds == ["report.located", "report.awaiting_data", "report.reported"]

    def test_a_time_outside_the_route_is_refused_with_its_length(
        self, suite: str, complain: Callable[..., Any]
    ) -> None:
        answer = complain(time_s=99.0)
        assert kind(answer) == (422, "invalid-submission")
        assert "12 s" in answer.json()["errors"][0]["problem"]

    def test_a_rejected_report_is_final(
        self, suite: str, complain: Callable[..., Any], client: TestClient
    ) -> None:
        report = complain().json()["id"]
        body = {"actor": "bo", "reason": "the road was flooded"}
        assert (
            client.post(f"/v1/field-reports/{report}/reject", json=body).json()["status"]
            == "rejected"
        )
        assert kind(client.post(f"/v1/field-reports/{report}/reject", json=body)) == (
            409,
            "not-now",
        )


class TestProof:
    def test_a_report_becomes_an_enforced_case(
        self, draft: Callable[..., Any], settle: Callable[[str], dict[str, Any]], client: TestClient
    ) -> None:
        asked = draft()
        assert (asked.status_code, asked.json()["status"]) == (201, "located")
        proven = settle(asked.json()["id"])
        assert (proven["status"], proven["proof"]["answer"]) == ("drafted", "proven"), proven[
            "reason"
        ]
        assert proven["spec"]["noise"]["pose_m"] > 0
        assert proven["spec"]["start_s"] >= 3.5, "the window is short"
        assert load_suite(f'name = "s"\nkind = "specific"\n{proven["toml"]}').cases[0].conditions
        decision = {"actor": "bo", "version": proven["version"]}
        enforced = client.post(f"/v1/case-drafts/{proven['id']}/accept", json=decision).json()
        assert enforced["status"] == "enforced"
        version = client.get("/v1/suite-versions/surprises").json()
        assert (version["digest"], version["definition"]["cases"][0]["name"]) == (
            enforced["suite_digest"],
            "drifted",
        )
        assert kind(client.post(f"/v1/case-drafts/{proven['id']}/accept", json=decision)) == (
            409,
            "draft-moved",
        )
        report = client.get(f"/v1/field-reports/{proven['report_id']}").json()
        assert (report["status"], report["drafts"]) == ("enforced", [proven["id"]])
        trail = [
            e["kind"]
            for e in client.get("/v1/audit", params={"subject_id": proven["id"]}).json()["items"]
        ]
        assert trail == [
            "draft.enforced",
            "draft.reviewed",
            "draft.drafted",
            "draft.reproduced",
            "draft.requested",
        ]
        moved = client.get("/v1/audit", params={"subject_id": report["id"]}).json()["items"]
        kinds = [
            "report.enforced",
            "report.reviewed",
            "report.drafted",
            "report.reproduced",
            "report.linked",
        ]
        assert [e["kind"] for e in moved][:5] == kinds
        assert {e["detail"]["draft"] for e in moved[:5]} == {proven["id"]}, (
            "each step names the draft that took it along"
        )

    def test_what_does_not_fail_is_not_reproduced(
        self, draft: Callable[..., Any], settle: Callable[[str], dict[str, Any]], client: TestClient
    ) -> None:
        fine = settle(
            draft(
                offender="baseline",
                control="clone",
                name="fine",
                report=None,
                segment="r1/0",
                at_s=1.0,
            ).json()["id"]
        )
        assert fine["status"] == "not reproduced"
        assert "drove like the control" in fine["reason"]
        assert client.get("/v1/suite-versions/surprises").status_code == 404

    def test_a_fault_of_ours_is_called_so(
        self,
        draft: Callable[..., Any],
        settle: Callable[[str], dict[str, Any]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def fail(*_: Any, **__: Any) -> None:
            raise KeyError("x")

        monkeypatch.setattr(prove, "examine", fail)
        lost = settle(draft().json()["id"])
        assert lost["status"] == "not reproduced"
        assert lost["reason"].startswith("a fault of ours (KeyError: 'x'): report it")

    def test_a_case_that_its_control_fails_is_quarantined_and_cannot_be_accepted(
        self, draft: Callable[..., Any], settle: Callable[[str], dict[str, Any]], client: TestClient
    ) -> None:
        rule = {"always": {"signal": "lateral_offset_m", "absolute": True, "below": 1.0}}
        case = {"start_s": 2.0, "end_s": 10.0, "conditions": [rule]}
        held = settle(draft(control="clone", case=case).json()["id"])
        assert held["status"] == "quarantined"
        assert "control passes only 0 of 3" in held["reason"]
        decision = {"actor": "bo", "version": held["version"]}
        assert kind(client.post(f"/v1/case-drafts/{held['id']}/accept", json=decision)) == (
            409,
            "not-now",
        )

    @pytest.mark.parametrize("as_written", [False, True])
    def test_a_case_of_ones_own_is_made_small_unless_it_is_to_stay(
        self, draft: Callable[..., Any], settle: Callable[[str], dict[str, Any]], as_written: bool
    ) -> None:
        rule = {"always": {"signal": "lateral_offset_m", "absolute": True, "below": 1.0}}
        case = {"start_s": 1.0, "offset": {"lateral_m": 0.5}, "conditions": [rule]}
        proven = settle(draft(case=case, as_written=as_written).json()["id"])
        assert proven["status"] == "drafted", proven["reason"]
        spec = proven["spec"]
        if as_written:
            assert (spec["start_s"], spec["end_s"], spec["offset"]["lateral_m"]) == (1.0, 12.0, 0.5)
            assert proven["told"].endswith("as written")
        else:
            assert 5.0 < spec["start_s"] < 6.0 < spec["end_s"] < 8.0
            assert spec["offset"]["lateral_m"] == 0
            assert "window from 1–12 s to" in proven["told"]
        assert spec["conditions"] == [rule]

    def test_a_proof_on_other_bytes_of_the_segment_is_not_accepted(
        self,
        draft: Callable[..., Any],
        settle: Callable[[str], dict[str, Any]],
        add_segment: Callable[..., Any],
        client: TestClient,
    ) -> None:
        proven = settle(draft().json()["id"])
        add_segment("r1/0", tags=("highway", "wet"))
        client.post("/v1/segments/index")
        decision = {"actor": "bo", "version": proven["version"]}
        refused = client.post(f"/v1/case-drafts/{proven['id']}/accept", json=decision)
        assert kind(refused) == (409, "not-now")
        assert "r1/0 was imported again" in refused.json()["errors"][0]["problem"]
        assert client.get("/v1/suite-versions/surprises").status_code == 404, "nothing entered"
        add_segment("r1/0")
        client.post("/v1/segments/index")
        assert (
            client.post(f"/v1/case-drafts/{proven['id']}/accept", json=decision).json()["status"]
            == "enforced"
        )

    def test_a_rejected_draft_leaves_its_report_to_be_drafted_again(
        self, draft: Callable[..., Any], settle: Callable[[str], dict[str, Any]], client: TestClient
    ) -> None:
        first = settle(draft().json()["id"])
        reason = {"actor": "bo", "reason": "the bound is too tight", "version": first["version"]}
        assert (
            client.post(f"/v1/case-drafts/{first['id']}/reject", json=reason).json()["status"]
            == "rejected"
        )
        report = client.get(f"/v1/field-reports/{first['report_id']}").json()
        assert (report["status"], report["drafts"]) == ("reproduced", [first["id"]])
        assert report["reason"] == "a draft was rejected: the bound is too tight"
        again = draft(report=report["id"], name="drifted_again")
        assert again.status_code == 201, again.text
        second = settle(again.json()["id"])
        assert second["status"] == "drafted"
        report = client.get(f"/v1/field-reports/{first['report_id']}").json()
        assert (report["status"], report["drafts"]) == ("drafted", [first["id"], second["id"]])
        assert kind(draft(report=report["id"], name="third")) == (409, "not-now"), (
            "a draft holds it"
        )

    def test_a_report_stays_drafted_while_another_draft_of_it_does(
        self, draft: Callable[..., Any], settle: Callable[[str], dict[str, Any]], client: TestClient
    ) -> None:
        asked = [draft().json()["id"], draft(name="drifted_too").json()["id"]]
        (one, two), statuses = [settle(draft_id) for draft_id in asked], []
        for drafted in (one, two):
            reason = {"actor": "bo", "reason": "not like this", "version": drafted["version"]}
            client.post(f"/v1/case-drafts/{drafted['id']}/reject", json=reason)
            statuses.append(client.get(f"/v1/field-reports/{one['report_id']}").json()["status"])
        assert statuses == ["drafted", "reproduced"]

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"control": "candidate"}, "own control"),
            ({"segment": "r1/0", "report": None, "at_s": 50.0}, "outside"),
            (
                {"case": {"conditions": [{"always": {"signal": "charm", "below": 1}}]}},
                "cannot be judged",
            ),
            (
                {
                    "case": {
                        "start_s": 9,
                        "end_s": 3,
                        "conditions": [{"always": {"signal": "speed_mps", "below": 1}}],
                    }
                },
                "impossible",
            ),
            ({"case": {"start_s": 5, "end_s": 5.01, "conditions": [RULE]}}, "impossible"),
            ({"case": {"noise": {"delay_s": 1e12}, "conditions": [RULE]}}, "not valid"),
            ({"case": {"conditions": []}}, "no condition"),
            ({"segment": "r1/0", "report": None}, "no place"),
            ({"segment": "controls/1", "report": None, "at_s": 1.0}, "can't be driven"),
        ],
    )
    def test_what_can_never_be_proven_is_refused_at_once(
        self,
        draft: Callable[..., Any],
        add_segment: Callable[..., Any],
        client: TestClient,
        changes: dict[str, Any],
        problem: str,
    ) -> None:
        add_segment("controls/1", kind="controls")
        client.post("/v1/segments/index")
        answer = draft(**changes)
        assert answer.status_code == 422
        assert problem in answer.json()["detail"]
        assert answer.json()["errors"]


class TestRatchetAndWaivers:
    @pytest.fixture
    def enforced(
        self, draft: Callable[..., Any], settle: Callable[[str], dict[str, Any]], client: TestClient
    ) -> str:
        proven = settle(draft().json()["id"])
        client.post(
            f"/v1/case-drafts/{proven['id']}/accept",
            json={"actor": "bo", "version": proven["version"]},
        )
        return str(proven["toml"])

    def test_an_enforced_case_stays_in_every_later_version(
        self, enforced: str, client: TestClient
    ) -> None:
        head = 'name = "surprises"\nkind = "specific"\n'
        other = '[[cases]]\nname = "other"\nsegment = "r1/0"\n[[cases.conditions]]\nalways = { signal = "speed_mps", above = 1 }\n'
        dropped = client.post("/v1/suites", json={"toml": head + other})
        assert kind(dropped) == (409, "ratchet")
        loosened = enforced.replace("repeats = 3", "repeats = 4")
        assert loosened != enforced
        assert kind(client.post("/v1/suites", json={"toml": head + loosened})) == (409, "ratchet")
        assert client.post("/v1/suites", json={"toml": head + enforced + other}).status_code == 201

    def test_the_suites_page_says_who_why_and_since_when(
        self,
        enforced: str,
        client: TestClient,
        draft: Callable[..., Any],
        settle: Callable[[str], dict[str, Any]],
    ) -> None:
        (first,) = client.get("/suites/surprises.json").json()["suite"]["cases"]
        assert (first["name"], first["status"], first["author"], first["accepted_by"]) == (
            "drifted",
            "enforced",
            "ada",
            "bo",
        )
        assert (first["toml"], first["note"]) == (enforced, "it drifted over the line")
        assert (first["since"]["number"], first["held_by"]) == (1, None)
        assert first["held_since"] is not None
        other = '[[cases]]\nname = "other"\nsegment = "r1/0"\n'
        suite = 'name = "surprises"\nkind = "specific"\n' + enforced + other
        second = client.post("/v1/suites", json={"toml": suite}).json()
        held = settle(
            draft(
                control="clone",
                name="disputed",
                report=None,
                segment="r2/0",
                at_s=6.0,
                case={
                    "conditions": [
                        {"always": {"signal": "lateral_offset_m", "absolute": True, "below": 1.0}}
                    ]
                },
            ).json()["id"]
        )
        self.waiver(client)
        seen = client.get("/v1/suite-versions/surprises/cases").json()
        drifted, added = seen["cases"]
        assert drifted["since"] == first["since"]
        assert (drifted["status"], drifted["waiver"]["owner"]) == ("waived", "bo")
        assert (added["since"]["digest"], added["held_since"], added["draft"]) == (
            second["digest"],
            None,
            None,
        )
        assert [(d["id"], d["status"]) for d in seen["not_counted"]] == [
            (held["id"], "quarantined")
        ]
        assert [
            c["name"]
            for c in client.get(f"/suites/{first['since']['digest']}.json").json()["suite"]["cases"]
        ] == ["drifted"]
        page = client.get("/suites/surprises", headers={"Accept": "text/html"}).text
        for words in (
            "it drifted over the line",
            "drafted</a> by ada, accepted by bo",
            "quarantined",
            f"/case-drafts/{held['id']}",
        ):
            assert words in page, words

    def waiver(self, client: TestClient, days: float = 7, **changes: Any) -> Any:
        expires = (datetime.now(UTC) + timedelta(days=days)).isoformat()
        body = {
            "suite": "surprises",
            "case": "drifted",
            "owner": "bo",
            "reason": "fixed by the next camera",
            "expires": expires,
        }
        return client.post("/v1/waivers", json=body | changes)

    def test_a_waiver_shows_on_the_verdict_and_makes_another_run(
        self, enforced: str, client: TestClient, sessions: sessionmaker[Session]
    ) -> None:
        def submitted() -> str:
            body = {"candidate": "clone", "baseline": "baseline", "suite": "surprises"}
            return str(
                client.post(
                    "/v1/runs", json=body, headers={"Idempotency-Key": str(datetime.now(UTC))}
                ).json()["id"]
            )

        before = submitted()
        assert self.waiver(client).status_code == 201
        after = submitted()
        assert after != before
        failed = CaseVerdict(case="drifted", passed=False, reason="away: broken at 1 s")
        with sessions() as session:
            for run_id, verdict, said in (
                (before, "fail", ""),
                (after, "pass", "waived by bo until"),
            ):
                evidence = RunEvidence(session, session.get_one(RunRow, run_id))
                evidence._cases = {"drifted": failed}
                judged = evidence.verdict()
                assert judged.verdict == verdict
                assert judged.cases[0].waived.startswith(said)
        assert client.get("/v1/case-drafts").json()["items"][0]["status"] == "waived"
        waiver = client.get("/v1/waivers").json()["items"][0]["id"]
        assert client.post(f"/v1/waivers/{waiver}/revoke", json={"actor": "bo"}).json()["revoked"]
        assert client.get("/v1/case-drafts").json()["items"][0]["status"] == "enforced"
        assert submitted() == before, "without the waiver it is the run that was judged without it"

    def test_a_waiver_ends_by_itself(
        self,
        enforced: str,
        client: TestClient,
        sessions: sessionmaker[Session],
        coordinator: Coordinator,
    ) -> None:
        waiver = self.waiver(client).json()["id"]
        with sessions.begin() as session:
            row = session.get_one(WaiverRow, waiver)
            row.created, row.expires = (datetime.now(UTC) - timedelta(days=days) for days in (2, 1))
        coordinator.tick()
        assert client.get("/v1/waivers").json()["items"][0]["revoked"]
        assert client.get("/v1/case-drafts").json()["items"][0]["status"] == "enforced"

    def test_a_released_model_holds_what_it_passed(
        self,
        client: TestClient,
        push: Callable[..., str],
        suite: str,
        sessions: sessionmaker[Session],
    ) -> None:
        push("candidate")
        push("baseline")
        head = 'name = "kept"\nkind = "specific"\n'
        case = '[[cases]]\nname = "{}"\nsegment = "r1/0"\n[[cases.conditions]]\nalways = {{ signal = "speed_mps", above = 1 }}\n'
        client.post(
            "/v1/suites", json={"toml": head + case.format("passed") + case.format("failed")}
        )
        body = {"candidate": "candidate", "baseline": "baseline", "suite": "kept"}
        run_id = client.post("/v1/runs", json=body, headers={"Idempotency-Key": "1"}).json()["id"]
        with sessions.begin() as session:
            run = session.get_one(RunRow, run_id)
            run.status, run.verdict = Status.RUNNING, RunVerdict.FAIL
            run.verdict_document = {
                "cases": [{"case": "passed", "passed": True}, {"case": "failed", "passed": False}]
            }
        client.put("/v1/suites/kept/promoted", json={"model": "candidate"})
        assert kind(client.post("/v1/suites", json={"toml": head + case.format("failed")})) == (
            409,
            "ratchet",
        )
        assert (
            client.post("/v1/suites", json={"toml": head + case.format("passed")}).status_code
            == 201
        )

    def test_two_waivers_never_excuse_each_other(
        self, client: TestClient, push: Callable[..., str], suite: str
    ) -> None:
        head = 'name = "surprises"\nkind = "specific"\n'
        case = '[[cases]]\nname = "{}"\nsegment = "r1/0"\n[[cases.conditions]]\nalways = {{ signal = "speed_mps", above = 1 }}\n'
        client.post("/v1/suites", json={"toml": head + case.format("one") + case.format("two")})
        root = self.waiver(client, case="one").json()["id"]
        assert self.waiver(client, days=3, case="two", because_of="one").status_code == 201
        assert self.waiver(client, days=8, case="two", because_of="one").status_code == 409
        client.post(f"/v1/waivers/{root}/revoke", json={"actor": "bo"})
        circle = self.waiver(client, days=2, case="one", because_of="two")
        assert circle.status_code == 422
        assert "circle" in circle.json()["detail"]

    def test_waivers_that_lean_on_nothing_or_last_for_ever_are_refused(
        self, enforced: str, client: TestClient
    ) -> None:
        assert self.waiver(client, case="nothing").status_code == 404
        for changes in (
            {"days": 400},
            {"days": -1},
            {"because_of": "drifted"},
            {"because_of": "other"},
            {"reason": "no"},
        ):
            answer = self.waiver(client, **changes)
            assert answer.status_code == 422, changes
        assert self.waiver(client).status_code == 201
        assert kind(self.waiver(client)) == (409, "not-now")

    def test_of_many_who_answer_for_a_case_at_once_one_does(
        self, enforced: str, client: TestClient
    ) -> None:
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: self.waiver(client), range(6)))
        assert sorted(a.status_code for a in answers) == [201] + [409] * 5


def test_every_state_is_reached_by_the_table_and_ends_somewhere() -> None:
    assert set(CASE_TRANSITIONS) == set(CaseStatus)
    reached = {to for targets in CASE_TRANSITIONS.values() for to in targets} | {
        CaseStatus.REPORTED
    }
    assert reached == set(CaseStatus)


def test_a_proof_owns_its_demands(
    draft: Callable[..., Any], coordinator: Coordinator, sessions: sessionmaker[Session]
) -> None:
    draft_id = draft().json()["id"]
    coordinator.tick()
    with sessions() as session:
        owners = {(row.owner_kind, row.owner_id) for row in session.scalars(select(DemandRow))}
    assert owners == {(OwnerKind.PROOF, draft_id)}
