"""The stored segment format and one importer per source of logs."""
