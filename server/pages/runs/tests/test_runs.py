"""The list of runs and the page of one, on rollouts written as workers write them."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from server.db.queue_tables import DemandRow
from server.db.run_tables import RunRow
from server.pages.tests.outline import look
from server.tests.driven import GATE, RATE_GATE
from server.tests.statements import counted
from suites.vocabulary import RunVerdict

pytestmark = pytest.mark.services
EARLY = {"complete": False, "withdrawn": ""}


class TestRunsList:
    def test_a_row_names_both_models_the_suite_the_counts_and_the_verdict(
        self, driven: str, client: TestClient, decide: Callable[..., None], suite: str
    ) -> None:
        decide(driven, RunVerdict.FAIL, "FAIL: worse.")
        page = look(client, "/runs")
        run = f"Fail candidate against baseline highway@{suite[:6]}"
        assert re.search(rf"{run} 12 of 12 1 1 (just now|\d+ min ago)", page.words)
        assert "data-live" not in str(page.tags), "nothing on it changes: it is not fetched again"

    def test_an_open_run_shows_how_far_it_is(self, driven: str, client: TestClient) -> None:
        page = look(client, "/runs")
        assert "22 / 24 rollouts" in page.words
        assert any("data-live" in attrs for _, attrs in page.tags)

    def test_filters_come_from_the_query_and_blank_ones_filter_nothing(
        self, driven: str, client: TestClient
    ) -> None:
        assert (
            "candidate against baseline"
            in look(client, "/runs?verdict=&suite=&model=candidate").words
        )
        assert "No run matches" in look(client, "/runs?verdict=pass").words

    def test_statements_do_not_grow_with_the_list(
        self,
        app: FastAPI,
        driven: str,
        client: TestClient,
        submit: Callable[..., Any],
        push: Callable[..., str],
    ) -> None:
        for i in range(3):
            push(f"model-{i}")
            submit(candidate=f"model-{i}")
        with counted(app) as statements:
            assert len(client.get("/runs.json").json()["lines"]) == 4
        assert len(statements) <= 3, statements


class TestRunPage:
    @pytest.mark.parametrize("verdict", list(RunVerdict))
    def test_a_verdict_is_a_word_an_icon_and_a_sentence(
        self, verdict: RunVerdict, driven: str, client: TestClient, decide: Callable[..., None]
    ) -> None:
        open_ = "about 40 more segments of other routes would tell"
        decide(driven, verdict, f"{verdict.upper()}: because of this; {open_}.")
        page = look(client, f"/runs/{driven}")
        word = next(i for i, (_, attrs) in enumerate(page.tags) if attrs.get("id") == "verdict")
        assert page.tags[word + 1][0] == "svg"
        assert f"{verdict.capitalize()} Because of this" in page.words
        assert "Not a verdict yet" not in page.words
        assert ("What would resolve it. About 40 more segments" in page.words) == (
            verdict is RunVerdict.INCONCLUSIVE
        )

    def test_a_gate_is_drawn_and_told_in_numbers(
        self, driven: str, client: TestClient, decide: Callable[..., None]
    ) -> None:
        decide(driven, RunVerdict.FAIL, "FAIL: worse.")
        page = look(client, f"/runs/{driven}")
        drawing = [
            attrs for attrs in page.all("svg") if str(attrs.get("class", "")).startswith("interval")
        ]
        assert [attrs["class"] for attrs in drawing] == ["interval worse"]
        assert {"zero", "margin", "own", "other"} <= {
            str(attrs.get("class")) for _, attrs in page.tags
        }
        for text in (
            "lateral error mean",
            "worse",
            "+50.0 %",
            "+25.0 % … +75.0 %",
            "mean +40.0 %",
            "pair 12",
            "0.2 m 0.1 m",
        ):
            assert text in page.words, text

    def test_a_rate_is_told_in_counts_on_a_scale_of_its_own(
        self, driven: str, client: TestClient, decide: Callable[..., None]
    ) -> None:
        decide(driven, RunVerdict.FAIL, "FAIL: worse.", gates=(GATE, RATE_GATE))
        page = look(client, f"/runs/{driven}")
        assert sum(attrs.get("class") == "axis" for attrs in page.all("svg")) == 2
        for text in ("rate, margin 0.5 pp", "+25 pp", "+0.12 pp … +60 pp", "4 of 12 1 of 12"):
            assert text in page.words, text

    def test_a_share_is_told_in_percent(
        self, driven: str, client: TestClient, decide: Callable[..., None]
    ) -> None:
        share = RATE_GATE | {"candidate_events": None, "baseline_events": None}
        decide(driven, RunVerdict.FAIL, "FAIL: worse.", gates=(share,))
        assert "33.3 % 8.3 %" in look(client, f"/runs/{driven}").words

    def test_what_cannot_be_counted_stands_beside_the_verdict(
        self, driven: str, client: TestClient
    ) -> None:
        words = look(client, f"/runs/{driven}").words
        tally = words[words.index("pairs judged, of 12 planned") : words.index("Worst cases")]
        assert "regressed, of 11 pairs driven 2 improved 0 unchanged 8" in tally
        assert "invalid 1 not driven yet 1 errored (ours) 0" in tally

    def test_pairs_that_a_decision_made_needless_are_counted(
        self,
        driven: str,
        client: TestClient,
        decide: Callable[..., None],
        sessions: sessionmaker[Session],
    ) -> None:
        decide(driven, RunVerdict.FAIL, "FAIL: worse.")
        with sessions.begin() as session:  # as the coordinator does
            for demand in session.scalars(
                select(DemandRow).where(DemandRow.owner_id == driven, DemandRow.position == 11)
            ):
                session.delete(demand)
        page = look(client, f"/runs/{driven}").words
        assert "invalid 1 not driven 1 errored" in page
        assert "All 11 cases that were driven" in page

    def test_an_early_pass_is_provisional_wherever_it_is_shown_and_a_button_drives_the_rest(
        self,
        driven: str,
        client: TestClient,
        decide: Callable[..., None],
        sessions: sessionmaker[Session],
    ) -> None:
        decide(driven, RunVerdict.PASS, "PASS: not worse.", told=EARLY)
        page = look(client, f"/runs/{driven}")
        assert "Pass provisional Not worse. Provisional: it may merge" in page.words
        assert f"redrive runs complete {driven}" in page.words
        assert "Try 1 of model candidate on highway; only a complete pass" in page.words
        assert "Pass provisional candidate against baseline" in look(client, "/runs").words
        compared = "/comparisons?baseline=baseline&candidate=candidate"
        assert "Pass provisional" in look(client, compared).words
        sent = client.post(
            f"/runs/{driven}/complete",
            data={"actor": "ada"},
            headers={"Origin": "http://redrive.test"},
            follow_redirects=False,
        )
        assert (sent.status_code, sent.headers["location"]) == (303, f"/runs/{driven}")
        going = look(client, f"/runs/{driven}")
        assert "The rest is being driven. " in going.words
        assert "Not a verdict yet" not in going.words
        assert "Pass provisional Not worse." in going.words, "the verdict stays meanwhile"
        assert any(attrs.get("data-live") for _, attrs in going.tags)
        assert not [a for a in going.all("form") if "complete" in str(a.get("action"))]

    def test_a_withdrawn_pass_says_so_beside_what_replaced_it(
        self, driven: str, client: TestClient, decide: Callable[..., None]
    ) -> None:
        told = {"complete": True, "withdrawn": "the candidate newly spikes on 41 pairs"}
        decide(driven, RunVerdict.INCONCLUSIVE, "INCONCLUSIVE: spikes; look at them.", told=told)
        page = look(client, f"/runs/{driven}").words
        assert "Inconclusive its pass withdrawn Spikes" in page
        assert "Its earlier pass is withdrawn: the candidate newly spikes on 41 pairs." in page
        assert "Inconclusive its pass withdrawn candidate" in look(client, "/runs").words

    @pytest.mark.parametrize(
        ("invalid", "sentence", "said"),
        [
            (1, "INCONCLUSIVE: 1 pair of 12 without valid data.", True),
            (0, "INCONCLUSIVE: pairs without valid data cluster in slice rain (2).", True),
            (0, "INCONCLUSIVE: cannot tell.", False),
        ],
    )
    def test_too_many_pairs_without_valid_data_are_said_with_the_remedy(
        self,
        invalid: int,
        sentence: str,
        said: bool,
        driven: str,
        client: TestClient,
        decide: Callable[..., None],
    ) -> None:
        counts = {"candidate": {"data_invalid": invalid}, "baseline": {"completed": 12}}
        told = {"sentence": sentence, "pairs_judged": 12, "outcomes": counts}
        decide(driven, RunVerdict.INCONCLUSIVE, sentence, told=told)
        remedy = "Import them, redrive suites push the suite's file and submit."
        page = look(client, f"/runs/{driven}").words
        assert (remedy in page) is said
        assert ("What would resolve it. Too many pairs" in page) is said
        comment = client.get(f"/v1/runs/{driven}/comment.md").text
        assert ("Import them, `redrive suites push`" in comment) is said

    def test_a_complete_pass_and_one_of_an_engine_of_before_say_nothing_of_it(
        self, driven: str, client: TestClient, decide: Callable[..., None]
    ) -> None:
        for told in ({"complete": True, "withdrawn": ""}, {}):
            decide(driven, RunVerdict.PASS, "PASS: not worse.", told=told)
            page = look(client, f"/runs/{driven}").words
            assert "provisional" not in page.lower()
            assert "Pass Not worse." in page

    def test_an_early_pass_of_an_engine_of_before_is_provisional_too(
        self,
        driven: str,
        client: TestClient,
        decide: Callable[..., None],
        sessions: sessionmaker[Session],
    ) -> None:
        decide(driven, RunVerdict.PASS, "PASS: not worse.")
        with sessions.begin() as session:
            session.get_one(RunRow, driven).pairs_consumed = 8
        assert "Provisional: it may merge" in look(client, f"/runs/{driven}").words
        for document in ("comment.md", "junit.xml", "report.html"):
            answer = client.get(f"/v1/runs/{driven}/{document}")
            assert answer.status_code == 200, answer.text
            assert "provisional" in answer.text

    def test_while_it_runs_its_numbers_are_labelled_so(
        self, driven: str, client: TestClient, decide: Callable[..., None]
    ) -> None:
        decide(driven, None, "Not decided yet: 0 of 1 gate after 11 of 12 pairs.")
        page = look(client, f"/runs/{driven}")
        assert "Not a verdict yet." in page.words
        assert "22 of 24 rollouts" in page.words
        assert any(attrs.get("data-live") for _, attrs in page.tags)

    def test_the_worst_cases_link_to_their_pages(self, driven: str, client: TestClient) -> None:
        links = [
            str(attrs["href"])
            for attrs in look(client, f"/runs/{driven}").all("a")
            if "/cases/" in str(attrs["href"])
        ]
        assert links[:2] == [f"/runs/{driven}/cases/4", f"/runs/{driven}/cases/7"]

    def test_must_pass_cases_say_why_and_when(
        self, driven: str, client: TestClient, decide: Callable[..., None]
    ) -> None:
        case = {
            "case": "exit_7",
            "passed": False,
            "reason": "took the exit",
            "instant_s": 3.0,
            "waived": "",
        }
        decide(driven, RunVerdict.FAIL, "FAIL: exit_7.", cases=[case])
        assert "exit_7 failed took the exit at 3.00 s" in look(client, f"/runs/{driven}").words
        decide(
            driven,
            RunVerdict.FAIL,
            "FAIL: exit_7.",
            cases=[case | {"reason": "it left the lane: broken at 3.00 s"}],
        )
        assert (
            "exit_7 failed it left the lane: broken at 3.00 s waive"
            in look(client, f"/runs/{driven}").words
        ), "said once"

    def test_a_waiver_that_touched_the_verdict_is_one_step_away(
        self, driven: str, client: TestClient, decide: Callable[..., None]
    ) -> None:
        cases = [
            {
                "case": "exit_7",
                "passed": False,
                "reason": "took the exit",
                "instant_s": 3.0,
                "waived": "waived by bo until 2026-12-01",
            },
            {
                "case": "exit_8",
                "passed": False,
                "reason": "took it too",
                "instant_s": 3.0,
                "waived": "",
            },
        ]
        decide(driven, RunVerdict.PASS, "PASS.", cases=cases)
        page = look(client, f"/runs/{driven}")
        ways = [str(attrs["href"]) for attrs in page.all("a") if "/waivers?" in str(attrs["href"])]
        assert ways == [
            "/waivers?suite=highway&case=exit_7",
            "/waivers?suite=highway&case=exit_8#give",
        ]
        assert "waived by bo until 2026-12-01" in page.words
        assert any(str(attrs["href"]).startswith("/suites/") for attrs in page.all("a"))

    def test_offsets_and_sandbox_are_taken_apart(self, driven: str, client: TestClient) -> None:
        view = client.get(f"/runs/{driven}.json").json()
        assert [row["lateral_m"] for row in view["offsets"]["rows"]] == [0.0, 0.5]
        assert sum(row["pairs"] for row in view["offsets"]["rows"]) == 11
        assert sum(row["candidate_failed"] for row in view["offsets"]["rows"]) == 1
        assert view["sandbox"] == {
            "candidate": ["namespaces, seccomp"],
            "baseline": ["namespaces, seccomp"],
        }
        assert any("redrive submit" in command for command in view["reproduce"].values())
