"""How the shipped models were made. Nothing that drives imports it."""
