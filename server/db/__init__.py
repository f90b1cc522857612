"""Engine, session, models."""
