"""What is measured: one pure function per metric over a trace, one literal registry."""
