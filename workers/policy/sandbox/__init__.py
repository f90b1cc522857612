"""Untrusted graphs, each in a locked-down process of its own."""
