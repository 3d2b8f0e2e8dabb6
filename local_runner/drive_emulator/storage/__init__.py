"""What the emulator keeps: records, contents, the journal on disk."""
