"""What the emulator knows: records, their journal on disk, and what of it changes while it serves."""
