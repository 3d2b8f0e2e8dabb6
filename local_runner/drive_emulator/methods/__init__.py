"""Drive's methods that carry no upload, for v3 and v2."""
