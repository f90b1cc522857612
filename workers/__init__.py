"""How a segment is driven."""
