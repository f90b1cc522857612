"""Engine, sessions, tables. Foreign keys name tables by text, so all of them are imported here."""

from server.db import bank_tables, failure_tables, health_tables, queue_tables, run_tables

__all__ = ["bank_tables", "failure_tables", "health_tables", "queue_tables", "run_tables"]
