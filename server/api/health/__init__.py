"""The state of the service over HTTP."""

from server.api.health import audit, checks, health

ROUTERS = (checks.router, audit.router, health.router)
