"""Static files: kept by browsers under their digest."""

import pytest
from fastapi.testclient import TestClient

pytestmark = pytest.mark.services


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
