"""upload_log.json for those who read it."""
