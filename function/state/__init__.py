"""What survives a process: receipts, the log, reserved ids, and the locks around them."""
