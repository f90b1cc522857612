"""Pages of field reports, drafts and waivers."""

from server.pages.failures import surprises, waivers

ROUTERS = (surprises.router, waivers.router)
