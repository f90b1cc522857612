"""Pages of runs, their cases and comparisons."""

from server.pages.runs import cases, comparisons, runs

ROUTERS = (runs.router, cases.router, comparisons.router)
