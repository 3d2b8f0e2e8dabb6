"""The vocabulary: records and errors."""
