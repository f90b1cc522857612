"""Static checks of submitted graphs: they are read, never run."""
