"""Engine, sessions, tables. Foreign keys name tables by text: all are known whichever is imported."""

from server.db import bank_tables, failure_tables, health_tables, queue_tables, run_tables

__all__ = ["bank_tables", "failure_tables", "health_tables", "queue_tables", "run_tables"]
