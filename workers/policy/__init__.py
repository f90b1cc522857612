"""How a candidate is run: runtimes, sandbox, adapters. Knows no database, queue or HTTP."""
