"""What an upload is and what may be decided about it: pure, without file or socket; only retry.py knows a clock."""
