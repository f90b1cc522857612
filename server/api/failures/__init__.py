"""Field reports, drafts and waivers over HTTP."""

from server.api.failures import surprises

ROUTERS = (surprises.router,)
