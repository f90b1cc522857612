"""The dashboard: HTML over the services that the API calls too. `install_pages` mounts it."""

from fastapi import FastAPI

from server.pages import assets, bank, failures, health, runs
from server.pages.problem_pages import HtmlProblems

ROUTERS = (*runs.ROUTERS, *bank.ROUTERS, *failures.ROUTERS, *health.ROUTERS, assets.router)


def install_pages(app: FastAPI) -> None:
    """Serve the pages, their JSON twins and their files; answer browsers' errors with a page."""
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(HtmlProblems)
