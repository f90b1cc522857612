"""The outermost layer: request ids, body limits, request logs and metrics, and the last catch."""

import time
import uuid
from collections.abc import Mapping

import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.problems import REQUEST_ID, problem, problem_of, respond

REQUESTS = Counter(
    "redrive_http_requests_total", "Requests answered.", ["method", "route", "status"]
)
SECONDS = Histogram(
    "redrive_http_request_seconds", "Time to the last byte of the answer, s.", ["method", "route"]
)

STREAMED = "/v1/blobs/"
"""Bodies below this path are streamed to disk, up to their own limit; others are read whole."""


class Edge:
    """Pure ASGI middleware, so that streams and disconnects pass through it untouched."""

    def __init__(self, app: ASGIApp, public_url: str, max_document_bytes: int) -> None:
        self.app = app
        self.public_url = public_url
        self.max_document_bytes = max_document_bytes
        self.log = structlog.get_logger("server.http")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if REQUEST_ID.match(given) else uuid.uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status = 0
        began = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        try:
            await self._serve(scope, headers, receive, send_with_id)
        except Exception as error:
            self.log.exception("request_failed")
            if status:  # the answer has begun: it can only be cut off
                raise
            answer = respond(problem_of(self.public_url, scope["path"], error))
            await answer(scope, receive, send_with_id)
        finally:
            method = scope["method"]
            path = scope["path"]
            route = getattr(scope.get("route"), "path", "other")
            seconds = time.perf_counter() - began
            REQUESTS.labels(method, route, status).inc()
            SECONDS.labels(method, route).observe(seconds)
            rounded = round(seconds, 4)
            self.log.info("request", method=method, path=path, status=status, seconds=rounded)

    async def _serve(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send
    ) -> None:
        if scope["method"] not in ("POST", "PUT", "PATCH") or scope["path"].startswith(STREAMED):
            await self.app(scope, receive, send)
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self.max_document_bytes:
                detail = f"a document may have {self.max_document_bytes} bytes"
                refusal = problem(self.public_url, scope["path"], "too-large", detail)
                # the rest of the body was not read: the connection can't serve another request
                await respond(refusal, {"Connection": "close"})(scope, receive, send)
                return
        replayed = False

        async def replay() -> Message:
            nonlocal replayed
            if replayed:
                return await receive()
            replayed = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self.app(scope, replay, send)
