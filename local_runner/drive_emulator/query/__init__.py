"""The language of `q`."""
