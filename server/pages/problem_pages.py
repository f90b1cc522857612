"""Problems as pages: whoever looks with a browser reads what is wrong, whose it is and what to do next."""

import json

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.api.problem_types import OWNERS
from server.pages.rendering import SAFE, render


class HtmlProblems:
    """Turns a problem document into a page where the client prefers HTML and the address is not the API's."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or scope["path"].startswith("/v1/")
            or not _browser(Headers(scope=scope))
        ):
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        body = bytearray()

        async def rewrite(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                if (
                    Headers(raw=message["headers"])
                    .get("content-type", "")
                    .startswith("application/problem+json")
                ):
                    start = message
                    return
            elif start is not None:
                body.extend(message.get("body", b""))
                if message.get("more_body", False):
                    return
                page = render("problem.html", problem=json.loads(body), owners=OWNERS)
                headers = MutableHeaders(raw=start["headers"])
                headers.update(
                    SAFE
                    | {
                        "Content-Type": "text/html; charset=utf-8",
                        "Content-Length": str(len(page.body)),
                    }
                )
                await send(start)
                await send({"type": "http.response.body", "body": bytes(page.body)})
                return
            await send(message)

        await self.app(scope, receive, rewrite)


def _browser(headers: Headers) -> bool:
    return "text/html" in headers.get("accept", "")
