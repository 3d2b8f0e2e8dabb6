"""`python -m local_runner.drive_emulator`: the command `emulator`."""

from .cli import emulator

emulator()
