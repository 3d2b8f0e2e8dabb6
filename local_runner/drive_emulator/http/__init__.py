"""HTTP/1.1 on a socket: requests read, answers written."""
