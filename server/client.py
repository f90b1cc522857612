"""A client of the HTTP API: what the command line, CI and the demo use."""

import math
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from suites.errors import DataError, Finding, MachineError, RedriveError, SubmitterError
from suites.identity import canonical_json
from suites.manifest import Manifest
from suites.vocabulary import Until

RETRIED = (502, 503, 504)
"""Statuses after which the same request is sent again: all of ours are idempotent."""

_OWNERS = {"submitter": SubmitterError, "data": DataError, "machine": MachineError}
"""Owner of a problem to the error that it becomes here; `us` is a MachineError to a client."""


class WaitTimeout(Exception):
    """The run is not that far yet; it goes on."""


class Client:
    """Speaks to one installation; asks up to `attempts` times, with growing pauses."""

    def __init__(
        self,
        url: str,
        *,
        attempts: int = 5,
        pause_s: float = 0.5,
        http: httpx2.Client | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.attempts = attempts
        self.pause_s = pause_s
        self.http = http or httpx2.Client(base_url=self.url, timeout=httpx2.Timeout(90, connect=5))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.http.close()

    def push_model(self, manifest: Manifest, graphs: Mapping[str, Path]) -> dict[str, Any]:
        """Upload a model's missing graphs (sha256 to file) and register it. Raises RedriveError."""
        for sha256, path in graphs.items():
            if self._send("HEAD", f"/v1/blobs/{sha256}", missing_ok=True).status_code == 404:
                self._send("PUT", f"/v1/blobs/{sha256}", file=path)
        return self._json("PUT", f"/v1/models/{manifest.digest}", content=canonical_json(manifest))

    def push_suite(self, toml: str, actor: str = "") -> dict[str, Any]:
        """Register a suite; the version that is newest then."""
        return self._json("POST", "/v1/suites", json={"toml": toml, "actor": actor})

    def submit(self, body: Mapping[str, Any], idempotency_key: str | None = None) -> dict[str, Any]:
        """Submit a run (server.services.runs.submission.Submission); the run, new or existing."""
        headers = {"Idempotency-Key": idempotency_key or secrets.token_hex(16)}
        return self._json("POST", "/v1/runs", json=dict(body), headers=headers)

    def run(self, run_id: str, wait_s: float = 0, until: Until = "decided") -> dict[str, Any]:
        """One run; with `wait_s`, as soon as it is decided (or nothing more is driven) or then."""
        return self._json("GET", f"/v1/runs/{run_id}", params={"wait": wait_s, "until": until})

    def follow(
        self,
        run_id: str,
        *,
        timeout_s: float | None = None,
        look_s: float = 2.0,
        until: Until = "decided",
    ) -> Iterator[dict[str, Any]]:
        """The run every `look_s` seconds; the last one is over. Raises WaitTimeout."""
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = max(0.0, deadline - time.monotonic())
            run = self.run(run_id, wait_s=min(look_s, left_s), until=until)
            yield run
            if is_over(run, until):
                return
            if time.monotonic() >= deadline:
                raise WaitTimeout(f"run {run_id} is not {until} after {timeout_s:g} s")

    def index_segments(self) -> dict[str, Any]:
        """Make what was imported since selectable; what was found."""
        return self._json("POST", "/v1/segments/index")

    def complete(self, run_id: str, actor: str = "") -> dict[str, Any]:
        """Have what an early verdict left out driven."""
        return self._json("POST", f"/v1/runs/{run_id}/complete", params={"actor": actor})

    def cancel(self, run_id: str, actor: str = "") -> dict[str, Any]:
        """Stop a run."""
        return self._json("POST", f"/v1/runs/{run_id}/cancel", params={"actor": actor})

    def text(self, path: str) -> str:
        """A document that isn't JSON: comment.md, junit.xml, report.html."""
        return self._send("GET", path).text

    def parts(self, path: str) -> Iterator[str]:
        """A long document, as it comes; one that breaks off raises MachineError."""
        try:
            with self.http.stream("GET", path) as response:
                if not response.is_success:
                    response.read()
                    raise _failure(response)
                yield from response.iter_text()
        except httpx2.TransportError as error:
            raise self._away(error) from None

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """One JSON document."""
        return self._json("GET", path, params=params)

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replace one thing."""
        return self._json("PUT", path, json=dict(body))

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Add one thing, or decide on one."""
        return self._json("POST", path, json=dict(body))

    def items(
        self, path: str, *, most: int | None = None, **params: Any
    ) -> Iterator[dict[str, Any]]:
        """All items of a list, page by page, at most `most`."""
        cursor: str | None = None
        count = 0
        while True:
            page = self.get(path, **params, **({"cursor": cursor} if cursor else {}))
            for item in page["items"]:
                if count == most:
                    return
                count += 1
                yield item
            cursor = page["next"]
            if cursor is None:
                return

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        if "content" in options:
            options["headers"] = {"Content-Type": "application/json"} | options.get("headers", {})
        document: dict[str, Any] = self._send(method, path, **options).json()
        return document

    def _send(
        self,
        method: str,
        path: str,
        *,
        file: Path | None = None,
        missing_ok: bool = False,
        **options: Any,
    ) -> httpx2.Response:
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(self.pause_s * 2 ** (attempt - 1))
            try:
                if file is not None:
                    options["content"] = _chunks(file)
                    options["headers"] = {"Content-Type": "application/octet-stream"}
                response = self.http.request(method, path, **options)
            except httpx2.TransportError as error:
                failure: RedriveError = self._away(error)
                continue
            if response.is_success or (missing_ok and response.status_code == 404):
                return response
            failure = _failure(response)
            if response.status_code not in RETRIED:
                break
        raise failure

    def _away(self, error: httpx2.TransportError) -> MachineError:
        remedy = "start it with `redrive up`, or name where it runs"
        return MachineError(
            f"the service at {self.url} does not answer: {error or type(error).__name__}",
            Finding("REDRIVE_URL", self.url, remedy),
        )


def _chunks(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


def _failure(response: httpx2.Response) -> RedriveError:
    if not response.headers.get("content-type", "").startswith("application/problem+json"):
        url = str(response.request.url)
        remedy = "see whether that is Redrive's address, and what stands in front of it"
        message = f"{url} answered {response.status_code}, and not with a problem of ours"
        return MachineError(message, Finding("REDRIVE_URL", url, remedy))
    problem = response.json()
    findings = tuple(Finding(e["where"], e["problem"], e["remedy"]) for e in problem["errors"])
    kind = _OWNERS.get(problem["owner"], MachineError)
    message = f"{problem['title']}: {problem['detail']} (request {problem['request_id']})"
    return kind(message, findings)


def is_over(run: Mapping[str, Any], until: Until = "decided") -> bool:
    """Whether it is decided or never will be; or whether nothing of it is driven any more."""
    decided = until == "decided" and run["verdict"] is not None
    return decided or run["status"] in ("finished", "cancelled", "errored")
