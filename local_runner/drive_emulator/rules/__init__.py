"""Drive's rules, without HTTP: what may be done, and what it does."""
