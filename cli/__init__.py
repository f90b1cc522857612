"""The `redrive` command, the demo, the supervisor of the embedded services."""
