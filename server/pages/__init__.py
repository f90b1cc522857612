"""The dashboard: HTML over the services that the API calls too. `install_pages` mounts it."""

from fastapi import FastAPI

from server.pages import assets, cases, checks, comparisons, models, runs, segments, suites, surprises, waivers
from server.pages.failures import HtmlProblems


def install_pages(app: FastAPI) -> None:
    """Serve the pages, their JSON twins and the files that they need; answer browsers' errors with a page."""
    for module in (runs, cases, comparisons, models, suites, segments, surprises, waivers, checks, assets):
        app.include_router(module.router)
    app.add_middleware(HtmlProblems)
