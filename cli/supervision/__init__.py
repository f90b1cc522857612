"""The embedded service: its processes and who restarts them."""
