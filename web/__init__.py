"""Templates and static files: what the browser gets."""
