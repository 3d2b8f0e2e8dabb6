"""What a handler is given, how it answers, and the faults that strike on its way."""
