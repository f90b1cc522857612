"""Models, segments and suites over HTTP."""

from server.api.bank import models, segments, suites

ROUTERS = (models.router, suites.router, segments.router)
