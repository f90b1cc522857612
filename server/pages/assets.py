"""Static files under addresses that hold their digest: browsers keep them for ever."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, Request, Response

import web
from server.problems import not_found

router = APIRouter(include_in_schema=False)

MEDIA = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FOREVER = "public, max-age=31536000, immutable"
PLOTLY = "plotly.min.js"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file and its compressed form."""

    data: bytes
    packed: bytes
    etag: str
    media_type: str


def _plotly() -> Path:
    """plotly.js, from its wheel. The package is only located: importing it is slow."""
    spec = find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "package_data" / PLOTLY


def _path(name: str) -> Path:
    """The file of an asset. Raises Refused (404) for any other name."""
    if name == PLOTLY:
        return _plotly()
    known = {path.name: path for path in web.STATIC.iterdir() if path.suffix in MEDIA}
    if name not in known:
        raise not_found("asset", name, "reload the page that asked for it")
    return known[name]


@cache
def _asset(path: Path, changed_ns: int) -> Asset:  # a file that changes is read again
    data = path.read_bytes()
    packed = gzip.compress(data, 6, mtime=0)
    return Asset(data, packed, hashlib.sha256(data).hexdigest()[:16], MEDIA[path.suffix])


def load(name: str) -> Asset:
    """An asset by its name. Raises Refused (404)."""
    path = _path(name)
    return _asset(path, path.stat().st_mtime_ns)


def address_of(name: str) -> str:
    """`/static/<digest>/<name>`: changes when the file does."""
    return f"/static/{load(name).etag}/{name}"


@router.get("/static/{etag}/{name}")
def static(etag: str, name: str, request: Request) -> Response:
    """A file of the dashboard. Under another digest than its own it is served, but not kept."""
    asset = load(name)
    kept = FOREVER if etag == asset.etag else "no-cache"
    headers = {"Cache-Control": kept, "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(asset.data, media_type=asset.media_type, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return Response(asset.packed, media_type=asset.media_type, headers=headers)
