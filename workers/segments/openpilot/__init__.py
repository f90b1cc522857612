"""Import of openpilot routes."""
