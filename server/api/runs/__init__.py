"""Runs and their rollouts over HTTP."""

from server.api.runs import artifacts, comparisons, rollouts, runs

ROUTERS = (runs.router, rollouts.router, artifacts.router, comparisons.router)
