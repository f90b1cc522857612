"""Pages of field reports, drafts and waivers."""

from server.pages.failures import drafts, field_reports, waivers

ROUTERS = (field_reports.router, drafts.router, waivers.router)
