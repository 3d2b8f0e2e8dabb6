"""What goes wrong on request: network conditions, rate limits, scripted faults."""
