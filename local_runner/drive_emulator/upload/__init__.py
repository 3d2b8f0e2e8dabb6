"""Content coming in: in one request or in a resumable session."""
