"""Paths <-> ids of folders on Drive, and what a folder's listing shows."""
