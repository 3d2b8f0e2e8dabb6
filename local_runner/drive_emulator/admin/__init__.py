"""The emulator's own addresses: administration, and pages to browse."""
