"""What is driven, what is measured, how it is judged: pure functions and frozen types."""
