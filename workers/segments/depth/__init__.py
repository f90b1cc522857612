"""Depth of stored frames: its format and its sources."""
