"""File ids that Drive reserved for us, in bulk: one call in hundreds of uploads.

The pool is a text file with an id a line. Ids are taken from its end by truncation, which is durable before an id is
used: an id handed out twice would be two destinations in one file.
"""

import contextlib
import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from function.core.errors import VolumeUnavailable
from function.core.retry import Deadline
from function.core.types import FileId
from function.state import files

RESERVE_COUNT = 1000
"""Ids per call, Drive's most. Source: Drive's discovery document, files.generateIds."""

MAX_BYTES = 16 * 1024 * 1024
"""A longer file is no pool: one call's ids take 40 KB."""

_IDS = re.compile(rb"(?:[A-Za-z0-9_-]{10,100}\n)*")


class IdPool(msgspec.Struct, frozen=True):
    """The reserved ids of one account, shared by all invocations on the volume."""

    path: Path
    shared_lock: Callable[[Deadline], AbstractContextManager[object]]

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
            with self.shared_lock(deadline):
                fd = files.open_existing(self.path, write=True)
                try:
                    return self._cut_off(fd, count)
                finally:
                    os.close(fd)
        except FileNotFoundError:
            return []
        except files.UnexpectedFile:
            return self._begin_anew()
        except OSError as error:
            raise self._unavailable(error) from error

    def _cut_off(self, fd: int, count: int) -> list[FileId]:
        """The last ids of the file, which are no longer in it on return; none where it holds something else."""
        content = _whole(files.read_all(fd, MAX_BYTES))
        lines = content.split() if _IDS.fullmatch(content) else []
        kept = lines[: max(0, len(lines) - count)]
        os.ftruncate(fd, sum(len(line) + 1 for line in kept))
        os.fsync(fd)
        return [FileId(line.decode()) for line in lines[len(kept) :]]

    def _begin_anew(self) -> list[FileId]:
        with contextlib.suppress(FileNotFoundError):
            files.set_aside(self.path)
        return []

    def _store(self, ids: list[FileId], deadline: Deadline) -> None:
        try:
            with self.shared_lock(deadline):
                fd = files.open_or_create(self.path)
                try:
                    end = len(_whole(files.read_all(fd, MAX_BYTES)))
                    files.write_at(fd, "".join(f"{each}\n" for each in ids).encode(), end)
                    os.fsync(fd)
                finally:
                    os.close(fd)
                files.sync_folder(self.path.parent)
        except OSError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: OSError) -> VolumeUnavailable:
        return VolumeUnavailable(f"{self.path}: can't be written ({error.strerror}).")


def _whole(content: bytes) -> bytes:
    """The lines that were written to their end: a process killed in its write leaves a piece of an id."""
    return content[: content.rfind(b"\n") + 1]
