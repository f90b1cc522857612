"""Pages of runs, their cases and comparisons."""

from server.pages.runs import comparisons, runs
from server.pages.runs import run_cases as cases

ROUTERS = (runs.router, cases.router, comparisons.router)
