"""comma's learned lateral dynamics."""
