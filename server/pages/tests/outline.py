"""Pages as a reader without script gets them."""

from html.parser import HTMLParser

from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from server.pages import ROUTERS

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


def pages_without_id() -> list[str]:
    """Addresses of all pages that show no one thing: each has a JSON twin."""
    routes = [route for router in ROUTERS for route in router.routes]
    paths = [route.path for route in routes if isinstance(route, APIRoute)]
    twins = [path for path in paths if path.endswith(".json") and "{" not in path]
    return [path.removesuffix(".json") for path in twins]
