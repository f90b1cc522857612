"""The demo: three verdicts, and how a surprise becomes a test."""
