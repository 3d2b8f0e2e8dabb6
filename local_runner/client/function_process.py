"""The function as it runs in production: `python -m function serve`, a process of its own that speaks real HTTP."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import click
import urllib3

PROJECT = Path(__file__).resolve().parents[2]

READY_S = 30.0

STOP_S = 15.0
"""Time for uploads in hand to end after SIGTERM."""


class FunctionFailed(click.ClickException):
    """The function doesn't answer; the message says why."""

    exit_code = 75


@dataclass(frozen=True, slots=True)
class Running:
    """A function that answers at `url`; `is_alive` says whether it still can."""

    url: str
    is_alive: Callable[[], bool]


@contextmanager
def function_process(
    environment: Mapping[str, str], *, host: str = "127.0.0.1", port: int = 0, log: IO[str] | None = None
) -> Iterator[Running]:
    """A function that answers, until the block ends. Port 0 takes a free one; `log` gets what it prints.

    Raises FunctionFailed.
    """
    port = free_port(host, port)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "function", "serve"],
        env={**os.environ, **environment, "HOST": host, "PORT": str(port), "PYTHONPATH": _python_path()},
        stdin=subprocess.DEVNULL,
        stdout=log or sys.stderr.fileno(),
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is ours to pass on, as the SIGTERM after which it ends what it has in hand
    )
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104 - read, not bound
    try:
        _wait_until_ready(process, url)
        yield Running(url, lambda: process.poll() is None)
    finally:
        _stop(process)


def free_port(host: str, port: int) -> int:
    """The port itself where it is free: what answers there later must be ours. Raises FunctionFailed."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.create_server((host, port), family=family) as probe:
            return int(probe.getsockname()[1])
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise FunctionFailed(
                f"Port {port} of {host} is taken: name another with --port, or 0 for a free one."
            ) from error
        raise FunctionFailed(
            f"Port {port} of {host} can't be listened on ({error.strerror}); name another --host or --port."
        ) from error


def _python_path() -> str:
    return os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise FunctionFailed(f"The function ended with {process.returncode} instead of answering at {url}.")
        if _is_ready(url):
            return
        time.sleep(0.02)
    raise FunctionFailed(f"The function did not answer at {url} within {READY_S:.0f} s.")


def _is_ready(url: str) -> bool:
    try:
        answer = urllib3.request("GET", url, timeout=2, retries=False)
        return answer.status == 200 and "version" in json.loads(answer.data)
    except (urllib3.exceptions.HTTPError, ValueError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
