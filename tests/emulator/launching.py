"""The emulator as a process of its own."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Launch = Callable[..., tuple[subprocess.Popen[str], str]]
"""Starts `python -m local_runner.drive_emulator` with flags, and gives its process and URL."""


@contextmanager
def launching() -> Iterator[Launch]:
    """A `Launch` whose processes end with it."""
    running: list[subprocess.Popen[str]] = []

    def start(*flags: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "local_runner.drive_emulator", "--port", "0", *flags]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        return process, found.group()

    yield start
    for process in running:
        process.kill()
        process.communicate()
