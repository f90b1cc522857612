"""What runs a graph: one file per runtime."""
