"""File ids that Drive reserved for us, in bulk: one call in hundreds of uploads.

The pool is a text file with an id a line. Ids are taken from its end by truncation, which is durable before an id is
used: an id handed out twice would be two destinations in one file.
"""

import os
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from function.core.deadline import Deadline
from function.core.errors import VolumeUnavailable
from function.core.types import FileId

RESERVE_COUNT = 1000
"""Ids per call, Drive's most. Source: Drive's discovery document, files.generateIds."""

_ID = re.compile(rb"[A-Za-z0-9_-]{10,100}")


@dataclass(frozen=True, slots=True)
class IdPool:
    """The reserved ids of one account, shared by all invocations on the volume."""

    path: Path
    shared_lock: Callable[[Deadline], AbstractContextManager[None]]

    def take(self, count: int, reserve: Callable[[int], list[str]], deadline: Deadline) -> list[FileId]:
        """That many ids, each handed out once; `reserve(n)` asks Drive for more. Raises VolumeUnavailable."""
        taken = self._draw(count, deadline)
        while len(taken) < count:
            fresh = [FileId(each) for each in reserve(RESERVE_COUNT)]
            needed = count - len(taken)
            taken += fresh[:needed]
            self._store(fresh[needed:], deadline)
        return taken

    def discard(self) -> None:
        """Forget all: Drive refused one of them."""
        self.path.unlink(missing_ok=True)

    def _draw(self, count: int, deadline: Deadline) -> list[FileId]:
        try:
            with self.shared_lock(deadline), open(self.path, "r+b") as file:
                lines = _whole(file.read()).split()
                if not all(_ID.fullmatch(line) for line in lines):
                    file.truncate(0)
                    return []
                kept = lines[: max(0, len(lines) - count)]
                file.truncate(sum(len(line) + 1 for line in kept))
                os.fsync(file.fileno())
        except FileNotFoundError:
            return []
        except IsADirectoryError:
            os.replace(self.path, f"{self.path}.damaged-{time.time_ns()}")
            return []
        except OSError as error:
            raise VolumeUnavailable(f"{self.path}: can't be written ({error.strerror}).") from error
        return [FileId(line.decode()) for line in lines[len(kept) :]]

    def _store(self, ids: list[FileId], deadline: Deadline) -> None:
        try:
            with self.shared_lock(deadline):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                with os.fdopen(fd, "r+b") as file:
                    file.seek(len(_whole(file.read())))
                    file.write(b"".join(each.encode() + b"\n" for each in ids))
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise VolumeUnavailable(f"{self.path}: can't be written ({error.strerror}).") from error


def _whole(content: bytes) -> bytes:
    """The lines that were written to their end: a process killed in its write leaves a piece of an id."""
    return content[: content.rfind(b"\n") + 1]
