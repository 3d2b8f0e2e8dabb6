"""The use case: a batch of files, each to its destination."""
