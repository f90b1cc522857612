"""What there is to drive and to judge by: models, segments, suites, the ratchet."""
