"""What is driven, what is measured and how it is judged: pure functions and frozen types, no service."""
