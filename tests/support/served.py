"""The function as it is served, over a real socket."""

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import requests
from urllib3 import Retry

from tests.support.home import PROJECT, Home

BY_US = ("-m", "function", "serve")
BY_FRAMEWORK = ("-m", "functions_framework", "--source", str(PROJECT / "function/main.py"), "--target", "drive_upload")
"""Commands that serve the function: our own, and functions-framework's."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running function."""

    url: str
    process: "subprocess.Popen[str]"
    stderr: Path
    """What it printed: a pipe that nobody reads would stop it."""

    @property
    def port(self) -> int:
        """Where it listens, on the loopback address."""
        return int(self.url.rpartition(":")[2])

    def memory_bytes(self) -> int:
        """The most memory that the process ever had resident."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(each for each in status.splitlines() if each.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024


def free_port() -> int:
    """A port that nobody listens on, and no outgoing connection gets: who calls it too early would meet himself."""
    while True:
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", random.SystemRandom().randrange(10_000, 32_000)))
            return int(probe.getsockname()[1])


@contextmanager
def until_killed(home: Home, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """The server, soon to answer, in a process group of its own: killed whole at the end, as a machine that is lost."""
    process = subprocess.Popen(
        [sys.executable, "-m", "function", "serve"],
        cwd=PROJECT,
        env=os.environ | home.environ | {"PORT": str(port), "HOST": "127.0.0.1", "LOG_LEVEL": "CRITICAL"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def serving(
    home: Home,
    *,
    command: tuple[str, ...] = BY_US,
    folder: Path = PROJECT,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Served]:
    """The server on that home, when it answers; gone at the end."""
    port = free_port()
    stderr = home.folder.with_name(f"{home.folder.name}-{port}.stderr")
    with stderr.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=os.environ | home.environ | {"PORT": str(port), "HOST": "127.0.0.1"} | dict(environ or {}),
            stderr=output,
            text=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        with requests.Session() as session:
            patient = Retry(total=None, connect=300, read=0, backoff_factor=0.05, backoff_max=0.2)
            session.mount("http://", requests.adapters.HTTPAdapter(max_retries=patient))
            assert session.get(url, timeout=30).json()["status"] == "ok"
        yield Served(url, process, stderr)
    finally:
        process.kill()
        process.wait()
