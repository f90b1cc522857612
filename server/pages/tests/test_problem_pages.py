"""Problems as pages, for browsers."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.pages.tests.outline import BROWSER, Outline

pytestmark = pytest.mark.services


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
