"""Every page is readable without script and has its JSON twin; empty ones say what to do."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from server.pages.tests.outline import Outline, look, pages_without_id
from suites.vocabulary import RunVerdict

pytestmark = pytest.mark.services


PAGES_OF_ONE_THING = (
    "/runs/{run}",
    "/runs/{run}/cases",
    "/runs/{run}/cases/4",
    "/runs/{run}/cases/2",
    "/runs/{run}/cases/11",
    "/models/candidate",
    "/suites/highway",
    "/segments/r1/0",
)


class TestEveryPage:
    def test_has_landmarks_headed_tables_and_a_json_twin(
        self, driven: str, client: TestClient
    ) -> None:
        for path in (*pages_without_id(), *PAGES_OF_ONE_THING):
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
