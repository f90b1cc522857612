"""Runs and their rollouts over HTTP."""

from server.api.runs import artifacts, comparisons, rollouts, run_results, runs, watch

ROUTERS = (
    runs.router,
    watch.router,
    run_results.router,
    rollouts.router,
    artifacts.router,
    comparisons.router,
)
