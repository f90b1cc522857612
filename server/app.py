"""The HTTP service: `create_app(settings)` for tests and programs, `app` for uvicorn."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from server.api import bank, failures, health, problem_types, runs
from server.broker import celery_app
from server.db.engine import make_engine, make_sessions
from server.error_handlers import install_problems
from server.logs import configure_logs
from server.middleware import Edge
from server.pages import install_pages
from server.problems import PROBLEMS, Problem
from server.settings import Settings, get_settings
from server.storage import BlobStore

ROUTERS = (*bank.ROUTERS, *runs.ROUTERS, *failures.ROUTERS, *health.ROUTERS, problem_types.router)
SUMMARY = "Does this driving model drive worse than the last one, where, and how sure are we?"


def create_app(settings: Settings) -> FastAPI:
    """The service on a database and a data folder; it connects at the first request."""
    engine = make_engine(settings.sqlalchemy_url, settings.database_pool)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        engine.dispose()

    app = FastAPI(
        title="Redrive",
        version="1",
        lifespan=lifespan,
        docs_url="/v1/docs",
        openapi_url="/v1/openapi.json",
        redoc_url=None,
        summary=SUMMARY,
    )
    app.state.settings = settings
    app.state.engine = engine
    app.state.sessions = make_sessions(engine)
    app.state.blobs = BlobStore(settings.blobs)
    app.state.celery = celery_app(settings)
    for router in ROUTERS:
        app.include_router(router)
    install_problems(app, settings.public_url)
    app.add_middleware(
        Edge, public_url=settings.public_url, max_document_bytes=settings.max_document_bytes
    )
    install_pages(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, object]:
    """The schema with `Problem` among its components and the problems' documentation."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes
        )
        _, defined = models_json_schema(
            [(Problem, "serialization")], ref_template="#/components/schemas/{model}"
        )
        schema["components"]["schemas"].update(defined["$defs"])
        lines = [
            f"- `{slug}` ({kind.status}): {kind.title}. {kind.remedy}"
            for slug, kind in PROBLEMS.items()
        ]
        schema["info"]["description"] = "Problems (RFC 9457):\n" + "\n".join(lines)
        app.openapi_schema = schema
    return app.openapi_schema


@cache
def _app() -> FastAPI:
    settings = get_settings()
    configure_logs(settings)
    return create_app(settings)


def __getattr__(name: str) -> FastAPI:
    """`server.app:app` is made when uvicorn asks for it: an import needs no settings."""
    if name != "app":
        raise AttributeError(name)
    return _app()
