"""Paired, clustered, sequential tests: pure functions that anyone can rerun."""
