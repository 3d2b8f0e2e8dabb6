"""The emulator as a process of its own."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

Launch = Callable[..., tuple[subprocess.Popen[str], str]]
"""Starts `python -m local_runner.drive_emulator` with flags and `limits` (RLIMIT_…), gives its process and URL."""

_LIMITED = """
import json, os, resource, sys
for kind, value in json.loads(sys.argv[1]):
    resource.setrlimit(kind, (value, value))
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Sets limits and becomes the command that follows them."""


@contextmanager
def launching() -> Iterator[Launch]:
    """A `Launch` whose processes end with it."""
    running: list[subprocess.Popen[str]] = []

    def start(*flags: str, limits: Mapping[int, int] | None = None) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "local_runner.drive_emulator", "--port", "0", *flags]
        if limits:
            command = [sys.executable, "-c", _LIMITED, json.dumps(list(limits.items())), *command]
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
