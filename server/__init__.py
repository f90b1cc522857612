"""HTTP, database, use cases."""
