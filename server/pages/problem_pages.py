"""Problems as pages: what is wrong, whose it is and what to do next, for browsers."""

import json

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.api.problem_types import OWNERS
from server.pages.rendering import SAFE, render


class HtmlProblems:
    """Turns a problem document into a page for browsers, but for the API's addresses."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _shows_pages(scope):
            send = _Rewriting(send).send
        await self.app(scope, receive, send)


class _Rewriting:
    """Holds a problem document back until it is whole, and lets every other answer through."""

    def __init__(self, send: Send) -> None:
        self.onwards = send
        self.start: Message | None = None
        self.body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_problem(message):
            self.start = message
        elif self.start is None:
            await self.onwards(message)
        else:
            self.body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self.start)

    async def _finish(self, start: Message) -> None:
        page = bytes(render("problem.html", problem=json.loads(self.body), owners=OWNERS).body)
        media = {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(page))}
        MutableHeaders(raw=start["headers"]).update(SAFE | media)
        await self.onwards(start)
        await self.onwards({"type": "http.response.body", "body": page})


def _shows_pages(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["path"].startswith("/v1/"):
        return False
    return "text/html" in Headers(scope=scope).get("accept", "")


def _is_problem(start: Message) -> bool:
    media: str = Headers(raw=start["headers"]).get("content-type", "")
    return media.startswith("application/problem+json")
