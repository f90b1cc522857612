"""Pages of models, segments and suites."""

from server.pages.bank import models, segments, suites

ROUTERS = (models.router, suites.router, segments.router)
