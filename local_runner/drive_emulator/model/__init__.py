"""The vocabulary: records, errors, times, ids."""
