"""Checks of the service itself, by day and by night."""
