"""Field reports, drafts and waivers over HTTP."""

from server.api.failures import drafts, field_reports, waivers

ROUTERS = (field_reports.router, drafts.router, waivers.router)
