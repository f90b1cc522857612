"""Pages of the standing checks."""

from server.pages.health import checks

ROUTERS = (checks.router,)
