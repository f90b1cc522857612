"""The queue of record: who demands rollouts, and the shards in which they are driven."""
