"""The simulators and the lock-step engine. Knows no database, queue or HTTP."""
