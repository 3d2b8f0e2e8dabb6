from .cli import emulator

emulator()
