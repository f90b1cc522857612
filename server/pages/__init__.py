"""The dashboard: HTML over the same services as the API."""
