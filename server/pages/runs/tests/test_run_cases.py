"""One case of a run: why it failed, the plots, the numbers, and the way to a test."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker

from server.db.failure_tables import CaseDraftRow
from server.pages.tests.outline import look
from suites.vocabulary import RunVerdict

pytestmark = pytest.mark.services


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
