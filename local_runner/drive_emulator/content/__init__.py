"""Bytes on disk: contents of files, and uploads that are arriving."""
