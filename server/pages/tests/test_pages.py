"""The dashboard's pages on rollouts written as workers write them: readable without script, each with its JSON twin."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from server.db.failure_tables import CaseDraftRow
from server.db.queue_tables import DemandRow
from server.markup import code
from server.pages.filters import offset_words, plain
from server.tests.statements import counted
from suites.vocabulary import RunVerdict

pytestmark = pytest.mark.services
BROWSER = {"Accept": "text/html,application/xhtml+xml"}
INLINE = {"a", "b", "code", "i", "span", "strong", "time"}
VOID = {"meta", "link", "br", "input", "img", "hr"}


class Outline(HTMLParser):
    """What a page is made of; fails on tags that don't close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.text += "" if tag in INLINE else " "
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another one"
        self.text += "" if tag in INLINE else " "

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def look(client: TestClient, path: str) -> Outline:
    answer = client.get(path, headers=BROWSER)
    assert answer.status_code == 200, answer.text
    return Outline(answer.text)


PAGES = (
    "/runs",
    "/runs/{run}",
    "/runs/{run}/cases",
    "/runs/{run}/cases/4",
    "/runs/{run}/cases/2",
    "/runs/{run}/cases/11",
    "/models",
    "/models/candidate",
    "/suites",
    "/suites/highway",
    "/segments",
    "/segments/r1/0",
    "/waivers",
    "/checks",
    "/reports",
)


class TestEveryPage:
    def test_has_landmarks_headed_tables_and_a_json_twin(
        self, driven: str, client: TestClient
    ) -> None:
        for path in PAGES:
            self.check(look(client, path.replace("{run}", driven)), client)

    def check(self, page: Outline, client: TestClient) -> None:
        assert [len(page.all(tag)) for tag in ("main", "h1", "nav", "title")] == [1, 1, 1, 1]
        assert page.all("html")[0]["lang"] == "en"
        assert len(page.all("thead")) == len(page.all("table"))
        assert all("scope" in attrs for attrs in page.all("th")), "every head says what it heads"
        ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
        assert len(ids) == len(set(ids))
        named = [attrs["aria-labelledby"] for _, attrs in page.tags if "aria-labelledby" in attrs]
        assert set(named) <= set(ids)
        assert all("aria-label" in attrs or "aria-hidden" in attrs for attrs in page.all("svg"))
        assert all("src" in attrs for attrs in page.all("script")), "no script in the page itself"
        twin = next(
            str(attrs["href"]) for attrs in page.all("a") if str(attrs["href"]).endswith(".json")
        )
        assert client.get(twin).headers["content-type"] == "application/json"

    def test_nothing_that_strangers_say_is_run(
        self, driven: str, client: TestClient, decide: Callable[..., None]
    ) -> None:
        decide(driven, RunVerdict.FAIL, "FAIL: <script>alert(1)</script> & more")
        answer = client.get(f"/runs/{driven}")
        assert "<script>alert" not in answer.text
        assert "&lt;script&gt;alert" in answer.text
        assert "default-src 'self'" in answer.headers["content-security-policy"]


class TestEmptyInstallation:
    @pytest.mark.parametrize(
        "path, command",
        [
            ("/runs", "redrive submit"),
            ("/models", "redrive models push"),
            ("/segments", "redrive segments import"),
            ("/suites", "redrive suites push"),
            ("/waivers", "redrive cases waive"),
            ("/checks", "redrive selfcheck --nightly"),
        ],
    )
    def test_says_the_command_that_fills_it(
        self, path: str, command: str, client: TestClient
    ) -> None:
        assert command in look(client, path).words

    def test_the_dashboard_starts_with_the_runs(self, client: TestClient) -> None:
        assert client.get("/", follow_redirects=False).headers["location"] == "/runs"


class TestRunsList:
    def test_a_row_names_both_models_the_suite_the_counts_and_the_verdict(
        self, driven: str, client: TestClient, decide: Callable[..., None], suite: str
    ) -> None:
        decide(driven, RunVerdict.FAIL, "FAIL: worse.")
        page = look(client, "/runs")
        assert re.search(
            rf"Fail candidate against baseline highway@{suite[:6]} 12 of 12 1 1 (just now|\d+ min ago)",
            page.words,
        )
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
        decide(
            driven,
            verdict,
            f"{verdict.upper()}: because of this; about 40 more segments of other routes would tell.",
        )
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
        assert [(row["lateral_m"], row["pairs"]) for row in view["offsets"]["rows"]] == [
            (0.0, 6),
            (0.5, 5),
        ]
        assert sum(row["candidate_failed"] for row in view["offsets"]["rows"]) == 1
        assert view["sandbox"] == {
            "candidate": ["namespaces, seccomp"],
            "baseline": ["namespaces, seccomp"],
        }
        assert any("redrive submit" in command for command in view["reproduce"].values())


class TestCasePage:
    def test_it_says_why_it_failed_and_marks_the_moment(
        self, driven: str, client: TestClient
    ) -> None:
        page = look(client, f"/runs/{driven}/cases/4")
        assert "Left the road by 0.02 m on the left at 2.45 s. Look at 2.45 s" in page.words
        marks = next(attrs for attrs in page.all("div") if attrs.get("id") == "case")
        assert (marks["data-instant"], marks["data-failed"]) == ("2.450", "1")
        assert "lane_departure" in str(marks["data-incidents"])

    def test_j_and_k_lead_to_the_failing_cases_beside_it(
        self, driven: str, client: TestClient
    ) -> None:
        ways = {
            at: client.get(f"/runs/{driven}/cases/{at}.json").json()["case"] for at in (0, 4, 5, 7)
        }
        assert [(ways[at]["previous"], ways[at]["next"]) for at in (0, 4, 5, 7)] == [
            (None, 4),
            (None, 7),
            (4, 7),
            (4, None),
        ]

    def test_plots_have_candidate_baseline_and_log(self, driven: str, client: TestClient) -> None:
        panels = {
            p["id"]: p for p in client.get(f"/runs/{driven}/cases/4/figures.json").json()["panels"]
        }
        assert list(panels) == [
            "lateral",
            "curvature",
            "speed",
            "lateral-acceleration",
            "lateral-jerk",
            "lane",
        ]
        lengths = {series["who"]: len(series["values"]) for series in panels["lateral"]["series"]}
        assert lengths == {"candidate": 50, "baseline": 60, "log": 60}
        assert panels["lateral"]["series"][0]["values"][-1] == pytest.approx(
            2.5 * 49 / 60, rel=1e-3
        )
        assert panels["lateral-acceleration"]["series"][0]["values"][0] == pytest.approx(0.4)

    def test_each_plot_has_its_numbers_in_a_table(self, driven: str, client: TestClient) -> None:
        tables = client.get(f"/runs/{driven}/cases/4.json").json()["tables"]
        rows = tables[0]["rows"]
        assert [row["t_s"] for row in rows] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
        assert rows[-1]["values"][0] is None, "the candidate had ended"

    def test_metrics_of_both_with_gates_first(
        self, driven: str, client: TestClient, decide: Callable[..., None]
    ) -> None:
        decide(driven, RunVerdict.FAIL, "FAIL: worse.")
        metrics = client.get(f"/runs/{driven}/cases/7.json").json()["case"]["metrics"]
        assert (metrics[0]["metric"], metrics[0]["gate"]) == ("lateral_error_mean_m", True)
        assert metrics[0]["delta"] == pytest.approx(0.541, abs=1e-3)

    def test_a_case_without_a_trace_says_so(self, driven: str, client: TestClient) -> None:
        assert (
            "There is no trace to plot: frames.mp4 is damaged."
            in look(client, f"/runs/{driven}/cases/2").words
        )
        assert (
            "The candidate has not driven this case yet."
            in look(client, f"/runs/{driven}/cases/11").words
        )

    def test_it_has_the_commands_that_drive_it_again(self, driven: str, client: TestClient) -> None:
        assert "redrive replay r" in look(client, f"/runs/{driven}/cases/4").words

    def test_registering_it_begins_with_the_broken_gate_and_the_baselines_bound(
        self,
        driven: str,
        client: TestClient,
        decide: Callable[..., None],
        sessions: sessionmaker[Session],
    ) -> None:
        decide(driven, RunVerdict.FAIL, "FAIL: worse.")
        found = client.get(f"/runs/{driven}/cases/7.json").json()["case"]["suggestion"]
        assert (found["gate"], found["signal"]) == ("lateral_error_mean_m", "lateral_offset_m")
        assert found["bound"] == pytest.approx(found["baseline_largest"] + 0.3, abs=0.006)
        assert found["baseline_largest"] < found["bound"] < found["candidate_largest"]
        page = look(client, f"/runs/{driven}/cases/7")
        fields = {
            str(attrs["name"]): str(attrs.get("value"))
            for attrs in page.all("input")
            if "name" in attrs
        }
        assert (fields["segment"], float(fields["bound"])) == (
            "r" + fields["segment"][1:],
            found["bound"],
        )
        assert float(fields["start_s"]) == 1.0 < float(fields["end_s"])
        assert page.all("textarea")[0].keys() >= {"required"}, "a note is required"
        sent = {name: value for name, value in fields.items() if name != "time"} | {
            "author": "ada",
            "note": "it drifted",
        }
        made = client.post("/case-drafts", data=sent, follow_redirects=False)
        assert made.status_code == 303, made.text
        with sessions() as session:
            asked = session.get_one(CaseDraftRow, made.headers["location"].rpartition("/")[2]).asked
        assert asked is not None
        rule = {"signal": "lateral_offset_m", "absolute": True, "below": found["bound"]}
        assert asked["conditions"][0]["always"] == rule
        assert (asked["start_s"], asked["end_s"], asked["note"]) == (
            1.0,
            float(fields["end_s"]),
            "it drifted",
        )
        assert asked["offset"]["lateral_m"] == float(fields["lateral_m"])
        proposed = client.post(
            "/case-drafts", data=sent | {"bound": "", "name": "other"}, follow_redirects=False
        )
        with sessions() as session:
            asked = session.get_one(
                CaseDraftRow, proposed.headers["location"].rpartition("/")[2]
            ).asked
        assert asked is not None
        assert asked["conditions"] == [], "an empty bound: the rule is proposed"

    def test_where_the_candidate_kept_to_the_bound_the_proof_proposes_one(
        self, driven: str, client: TestClient
    ) -> None:
        assert client.get(f"/runs/{driven}/cases/0.json").json()["case"]["suggestion"] is None
        assert (
            "The window and the bound are proposed" in look(client, f"/runs/{driven}/cases/0").words
        )

    def test_no_such_place_is_404(self, driven: str, client: TestClient) -> None:
        assert client.get(f"/runs/{driven}/cases/99").status_code == 404


class TestProblems:
    def test_a_browser_gets_a_page_with_the_request_id_and_whose_it_is(
        self, client: TestClient
    ) -> None:
        answer = client.get("/runs/nothing", headers=BROWSER | {"X-Request-ID": "seen-42"})
        assert (answer.status_code, answer.headers["content-type"]) == (
            404,
            "text/html; charset=utf-8",
        )
        words = Outline(answer.text).words
        assert "There is no such thing here" in words
        assert "Who must act whoever sent the request Request seen-42" in words

    def test_an_unknown_address_and_a_failure_of_ours_are_pages_too(
        self, client: TestClient, driven: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert "no such thing" in Outline(client.get("/nowhere", headers=BROWSER).text).words

        def broken(*_: Any, **__: Any) -> None:
            raise RuntimeError("secret")

        monkeypatch.setattr("server.pages.runs.runs.worst_pairs", broken)
        answer = client.get(f"/runs/{driven}", headers=BROWSER)
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert "We failed" in Outline(answer.text).words

    def test_programs_get_problem_documents(self, client: TestClient) -> None:
        assert client.get("/runs/nothing").headers["content-type"] == "application/problem+json"
        assert (
            client.get("/v1/runs/nothing", headers=BROWSER).headers["content-type"]
            == "application/problem+json"
        )


class TestAssets:
    def test_files_are_kept_for_ever_under_their_digest(self, client: TestClient) -> None:
        page = client.get("/runs").text
        path = page.split('rel="stylesheet" href="')[1].split('"')[0]
        kept = client.get(path)
        assert "immutable" in kept.headers["cache-control"]
        assert kept.headers["content-type"].startswith("text/css")
        other = client.get("/static/0000/app.css")
        assert (other.status_code, other.headers["cache-control"], other.text) == (
            200,
            "no-cache",
            kept.text,
        )

    def test_plotly_comes_from_its_wheel_compressed(self, client: TestClient) -> None:
        answer = client.get("/static/x/plotly.min.js", headers={"Accept-Encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip"
        assert "plotly.js v" in answer.text[:200]

    @pytest.mark.parametrize("name", ["..%2f..%2fpyproject.toml", "base.html", "__init__.py"])
    def test_nothing_else_is_served(self, name: str, client: TestClient) -> None:
        assert client.get(f"/static/x/{name}").status_code == 404


def test_words_of_offsets_and_problems() -> None:
    assert offset_words("+0.50m+0.0m+0.0deg") == "0.50 m left"
    assert offset_words("-0.25m+0.0m-1.0deg") == "0.25 m right, 1.0° right"
    assert offset_words("elsewhere") == "elsewhere"
    assert code("see `errors` & <b>") == "see <code>errors</code> &amp; &lt;b&gt;"
    assert plain({"displaced": True, "epochs": 3}) == "displaced yes, epochs 3"
