"""Runs: submitted, followed, judged, read pair by pair, compared."""
