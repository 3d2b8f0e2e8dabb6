"""One run of the job under observation: its events, in order, and the kill at one of them.

An event is a request to Drive, a block of a request's body, or a change of the volume below the home. They are found by
standing between the job and `os` or urllib3, so a write or a request that is new in the code is a new event.
"""

import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httplib2
import urllib3.connectionpool

WRITES_BY_PATH = ("replace", "rename", "link", "unlink", "remove", "mkdir", "rmdir")
FREEZE_S = 2.0
"""Longer than the leases of the tests, and the time that another invocation needs to take over."""

WRITES_BY_FD = ("fsync", "pwrite", "ftruncate", "write")


@dataclass(frozen=True, slots=True)
class Strike:
    """SIGKILL at one event: `before` it, `after` it, or with half of its bytes written (`torn`).

    `frozen` before it instead, the process stands still for FREEZE_S, as a paused machine does, and then goes on.
    """

    event: int
    when: str = "before"
    only: str = ""
    """Count only events whose label begins so."""


@dataclass(slots=True)
class Observer:
    """Tells every event to `tell`, and dies at the one that is struck."""

    home: str
    strike: Strike | None
    tell: Callable[[str], None]
    sees_locks: bool = False
    """Lock files change nothing that outlives a native lock's holder, so they count for leases only."""
    _count: Iterator[int] = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def install(self) -> None:
        """Stand between the job and the world; for the rest of this process."""
        for name in WRITES_BY_PATH:
            setattr(os, name, self._by_path(name, getattr(os, name)))
        for name in WRITES_BY_FD:
            setattr(os, name, self._by_fd(name, getattr(os, name)))
        os.open = self._open(os.open)
        pool: Any = urllib3.connectionpool.HTTPConnectionPool
        pool.urlopen = self._request(pool.urlopen)
        http: Any = httplib2.Http
        http.request = self._request_of_httplib2(http.request)

    def event(self, label: str, act: Callable[[], Any], torn: Callable[[], Any] | None = None) -> Any:
        """Do `act` as the next event."""
        with self._lock:
            at = next(self._count) if label.startswith(self.strike.only if self.strike else "") else -1
            self.tell(label)
        struck = self.strike.when if self.strike and self.strike.event == at else None
        if struck == "frozen":
            freeze()
        if struck == "torn" and torn:
            torn()
        if struck in ("before", "torn"):
            die()
        try:
            return act()
        finally:
            if struck == "after":
                die()

    def _by_path(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *rest: Any, **options: Any) -> Any:
            if not self._is_ours(path) or (name == "mkdir" and os.path.isdir(path)):
                return real(path, *rest, **options)
            shown = rest[0] if name in ("replace", "rename", "link") else path
            return self.event(f"{name} {self._short(shown)}", lambda: real(path, *rest, **options))

        return call

    def _by_fd(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(fd: int, *rest: Any) -> Any:
            path = os.readlink(f"/proc/self/fd/{fd}")
            if not self._is_ours(path):
                return real(fd, *rest)
            half = (lambda: real(fd, rest[0][: len(rest[0]) // 2], *rest[1:])) if name in ("pwrite", "write") else None
            return self.event(f"{name} {self._short(path)}", lambda: real(fd, *rest), half)

        return call

    def _open(self, real: Callable[..., int]) -> Callable[..., int]:
        def call(path: Any, flags: int, *rest: Any, **options: Any) -> Any:
            if not flags & os.O_CREAT or not self._is_ours(path) or os.path.exists(path):
                return real(path, flags, *rest, **options)
            return self.event(f"create {self._short(path)}", lambda: real(path, flags, *rest, **options))

        return call

    def _request(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(pool: Any, method: str, url: str, body: Any = None, *rest: Any, **options: Any) -> Any:
            label = f"{method} {urlsplit(url).path}"
            if body is not None and not isinstance(body, bytes | str):
                body = self._blocks(label, body)
            return self.event(f"request {label}", lambda: real(pool, method, url, body, *rest, **options))

        return call

    def _request_of_httplib2(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(http: Any, uri: str, method: str = "GET", *rest: Any, **options: Any) -> Any:
            label = f"request {method} {urlsplit(uri).path}"
            return self.event(label, lambda: real(http, uri, method, *rest, **options))

        return call

    def _blocks(self, label: str, body: Iterable[Any]) -> Iterator[Any]:
        for block in body:
            self.event(f"block of {label}", lambda: None)
            yield block

    def _is_ours(self, path: Any) -> bool:
        if isinstance(path, int):
            return False
        text = os.fspath(path)
        return isinstance(text, str) and text.startswith(self.home) and (self.sees_locks or ".lock" not in text)

    def _short(self, path: Any) -> str:
        return str(Path(path)).removeprefix(self.home).lstrip("/")


def freeze() -> None:
    """SIGSTOP, and SIGCONT from a process that waits for the end of the freeze."""
    frozen = os.getpid()
    if os.fork() == 0:
        try:
            while _state(frozen) not in "TZX":  # woken before it is stopped, it would never go on
                threading.Event().wait(0.001)
            threading.Event().wait(FREEZE_S)
            os.kill(frozen, signal.SIGCONT)
        finally:
            os._exit(0)
    os.kill(frozen, signal.SIGSTOP)


def _state(pid: int) -> str:
    """The letter of a process's state, as Linux tells it: T is stopped, Z and X have ended."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def die() -> None:
    """SIGKILL, as the kernel or a container engine sends it."""
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()
