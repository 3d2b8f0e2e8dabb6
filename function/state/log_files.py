"""The files of one log, `upload_log.json` and the closed ones, `upload_log-<time>.json`; positions in them."""

import contextlib
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, TypeAlias

from function.state import files
from function.state.log_format import CLOSE, TAIL_MAX_BYTES

LogPosition: TypeAlias = int
"""A place in the log, for `lines_since`: in which file (low bits of its inode) and how far. It stays right when that
file is closed and a new log begun. 0, and a position in a file that is gone, are in front of all that the current log
and the one closed last tell."""

_OFFSET_BITS = 40
_INODE_MASK = (1 << 23) - 1

_CLOSED = re.compile(r"-\d{8}T\d{6}\.\d{6}Z")


def position_of(status: os.stat_result, offset: int) -> LogPosition:
    """That byte of that file."""
    return (status.st_ino & _INODE_MASK) << _OFFSET_BITS | offset


def end_position(path: Path) -> LogPosition:
    """Where the current log ends; 0 where there is none, and while its end is torn, since the next append moves it."""
    try:
        with open_log(path) as file:
            status = os.fstat(file.fileno())
            end = os.pread(file.fileno(), len(CLOSE), max(0, status.st_size - len(CLOSE)))
    except OSError:
        return 0
    return position_of(status, status.st_size) if end == CLOSE else 0


def open_log(path: str | os.PathLike[str]) -> BinaryIO:
    """The file, to be read; the log may be a link. Raises FileNotFoundError; UnexpectedFile where it is no file."""
    return os.fdopen(files.open_existing(real_path(path)), "rb")


def real_path(path: str | os.PathLike[str]) -> str:
    """The path of the log's file, where the log is a link."""
    return os.path.realpath(path) if os.path.islink(path) else os.fspath(path)


def closed_path(path: str, now: datetime) -> str:
    """The name under which the log at that path is kept when it is closed at that time."""
    stem, suffix = os.path.splitext(path)
    return f"{stem}-{now.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}{suffix}"


def closed_logs(path: Path) -> list[Path]:
    """The closed logs, oldest first. A log that is being closed has both names for a moment; it isn't among them."""
    real = Path(real_path(path))
    try:
        names = os.listdir(real.parent)
    except FileNotFoundError:
        return []
    current = _inode(real)
    found = (real.with_name(each) for each in sorted(names) if _is_closed(each, real))
    return [each for each in found if _inode(each) not in (current, None)]


def _is_closed(name: str, path: Path) -> bool:
    between = name.removeprefix(path.stem).removesuffix(path.suffix)
    return f"{path.stem}{between}{path.suffix}" == name and bool(_CLOSED.fullmatch(between))


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def all_logs(path: Path) -> list[Path]:
    """The closed logs and the current one, oldest first."""
    return [*closed_logs(path), path]


def lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a log; of one that is longer than any entry, pieces: it costs no more memory than an entry may."""
    while line := file.readline(TAIL_MAX_BYTES):
        yield line


def lines_since(path: Path, position: LogPosition) -> Iterator[bytes]:
    """The lines behind a position, oldest first. Raises OSError."""
    inode, offset = position >> _OFFSET_BITS, position & ((1 << _OFFSET_BITS) - 1)
    with contextlib.suppress(FileNotFoundError), open_log(path) as file:
        if inode and (os.fstat(file.fileno()).st_ino & _INODE_MASK) == inode:
            _seek_behind(file, offset)
            yield from lines(file)
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return  # it was not closed meanwhile, so nothing stands behind
    logs = all_logs(path)
    started = False
    for index, each in enumerate(logs):
        try:
            with open_log(each) as file:
                is_here = bool(inode) and (os.fstat(file.fileno()).st_ino & _INODE_MASK) == inode
                if is_here and not started:
                    _seek_behind(file, offset)
                started = started or is_here
                if started or (not inode and index >= len(logs) - 2):
                    yield from lines(file)
        except FileNotFoundError:
            continue
    if inode and not started:
        yield from lines_since(path, 0)


def _seek_behind(file: BinaryIO, offset: int) -> None:
    """Only where an entry ends is it still the log that was measured; else it is read from its beginning."""
    start = max(0, offset - len(CLOSE))
    file.seek(start if os.pread(file.fileno(), 2, start) in (b",\n", CLOSE[:2]) else 0)
