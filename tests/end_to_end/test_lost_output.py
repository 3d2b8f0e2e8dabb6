"""Output that is closed, full or not read any further: what was to be done is done, and the exit code tells it."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.home import PROJECT, Home

COMMANDS = {
    "local_runner upload Data": 0,
    "local_runner upload Data --json": 0,
    "local_runner retry": 0,
    "function upload Data/Meta/note.txt": 0,
    "function upload Data/none": 65,
    "local_runner status --json": 0,
    "local_runner doctor": 0,
    "local_runner upload": 64,
}
"""Command -> its exit code."""


def shell(home: Home, line: str) -> "subprocess.CompletedProcess[str]":
    """A finished line of a shell, in that home."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=home.folder,
        env=os.environ | home.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.mark.parametrize("way", [">&-", "2>&-", "<&-", ">&- 2>&-", "2>/dev/full", "| true", ">/dev/full"])
def test_lost_output_stops_nothing(home: Home, way: str) -> None:
    """No traceback; only a full standard output, which loses an answer, makes a 0 a 75."""
    if "/dev/full" in way and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    for command, code in COMMANDS.items():
        home.put()

        result = shell(home, f"{shlex.quote(sys.executable)} -m {command} {way}")

        assert result.returncode == (75 if way == ">/dev/full" and code == 0 else code), f"{command} {way}"
        assert "Traceback" not in result.stderr
    assert home.stored() == {"MemoryVDB/Meta/note.txt": b"remember me\n"}


def test_following_ends_with_its_reader(home: Home) -> None:
    """`status --follow` for a program that has seen enough: it ends at the next line."""
    for name in ("a", "b"):
        home.one_off(home.put(f"Data/{name}.txt"))

    result = shell(home, f"{shlex.quote(sys.executable)} -m local_runner status --follow --json | true")

    assert result.returncode == 0
