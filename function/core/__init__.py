"""What an upload is and what may be decided about it: pure, without a file, a socket or a clock."""
