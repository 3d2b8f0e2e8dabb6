"""Files that survive a crash of the process, of the machine and of the power supply.

Everything that the job writes to the volume is written through these functions, so that the rules stand once:

- A file is for its owner only (0600), a folder too (0700).
- The last part of a path is never followed where it is a link, and no descriptor is inherited by a child process.
- A content is on the disk (fsync) before a name leads to it, and a name is on the disk (fsync of its folder) before
  the function returns, where the function's text says so. A missing folder is made, and is on the disk first.

All of them raise OSError as the volume gives it; `UnexpectedFile` where something stands in a file's place that can't
be a file of ours. They call `os` by name, so that the crash tests can strike each of their steps.
"""

import contextlib
import errno
import os
import random
import stat
import time

FILE_MODE = 0o600
FOLDER_MODE = 0o700

_BLOCK_BYTES = 64 * 1024

_NOT_REGULAR = (errno.ELOOP, errno.EISDIR, errno.ENXIO)
"""What a kernel says of a link (with O_NOFOLLOW), of a folder and of a socket."""


Version = tuple[int, int, int, int]
"""Tells a file from one that replaced it, and from itself after a change: its device, inode, size and time."""


class UnexpectedFile(OSError):
    """No file of the job's: a folder, a link, a pipe or a device stands there, or the file is too long to be one."""


def create(path: str | os.PathLike[str], content: bytes) -> None:
    """Let a file appear with all of its content, or not at all. Name and content are on the disk on return.

    Raises FileExistsError where the name is taken, by whatever: of several that create it, one succeeds.
    """
    publish(path, content)
    sync_folder(os.path.dirname(os.fspath(path)))


def publish(path: str | os.PathLike[str], content: bytes) -> Version:
    """`create` for a caller that calls `sync_folder` itself, after more changes in that folder.

    The name appears by a hard link to a synced temporary file, because a rename would replace what has the name.
    """
    temporary, written = _temporary(path, content, None)
    try:
        os.link(temporary, path)
    finally:
        os.unlink(temporary)
    return written


def replace(path: str | os.PathLike[str], content: bytes, *, owner: os.stat_result | None = None) -> None:
    """Put a file in the place of what has the name, or create it. Name and content are on the disk on return.

    A reader meets the old content or the new one. On an error the old file is unchanged. `owner`: the file is given to
    that user and group where they aren't the process's own.
    """
    temporary, _ = _temporary(path, content, owner)
    try:
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(os.path.dirname(os.fspath(path)))


def _temporary(path: str | os.PathLike[str], content: bytes, owner: os.stat_result | None) -> tuple[str, Version]:
    """A synced file with that content, beside `path`, under a name that nobody else uses."""
    temporary = f"{os.fspath(path)}.{_random()}.tmp"
    fd = _in_folder(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        try:
            write_at(fd, content, 0)
            if owner is not None and (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(fd, owner.st_uid, owner.st_gid)
            os.fsync(fd)
            written = version(os.fstat(fd))
        finally:
            os.close(fd)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return temporary, written


def version_at(path: str | os.PathLike[str]) -> Version | None:
    """The version of what has the name; None where no file has it.

    It is opened for that: NFS remembers for a minute what `stat` said, and asks the server when a file is opened.
    """
    try:
        fd = _open(os.fspath(path), os.O_RDONLY)
    except (FileNotFoundError, UnexpectedFile):
        return None
    try:
        return version(os.fstat(fd))
    finally:
        os.close(fd)


def version(status: os.stat_result) -> Version:
    """The version of the file with that status."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _random() -> str:
    """No secret: O_EXCL and exclusive links see to it that two of them never meet."""
    return f"{random.getrandbits(64):016x}"


def open_or_create(path: str | os.PathLike[str], *, is_private: bool = False) -> int:
    """A descriptor to read and write the file; where it is missing, it is created empty, and its folder with it.

    The new name is not on the disk yet: a caller to whom that matters calls `sync_folder` once the content is.
    A file that `is_private` and was made by an earlier version is closed to other users. Raises UnexpectedFile.
    """
    fd = _in_folder(os.fspath(path), os.O_RDWR | os.O_CREAT)
    return _regular(fd, path, is_private=is_private)


def open_existing(path: str | os.PathLike[str], *, write: bool = False) -> int:
    """A descriptor to read the file, or to read and write it. Raises FileNotFoundError, UnexpectedFile."""
    return _regular(_open(os.fspath(path), os.O_RDWR if write else os.O_RDONLY), path)


def _in_folder(path: str, flags: int) -> int:
    """Open a path whose folder is made where it is missing."""
    try:
        return _open(path, flags)
    except FileNotFoundError:
        make_folder(os.path.dirname(path))
        return _open(path, flags)


def _open(path: str, flags: int) -> int:
    """O_NONBLOCK: a pipe that somebody put there must not stop the job until its other end is opened."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        if error.errno in _NOT_REGULAR:
            raise _unexpected(path) from None
        raise


def _regular(fd: int, path: str | os.PathLike[str], *, is_private: bool = False) -> int:
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            raise _unexpected(path)
        if is_private and mode & 0o077:
            with contextlib.suppress(PermissionError):
                os.fchmod(fd, FILE_MODE)
        return fd
    except BaseException:
        os.close(fd)
        raise


def _unexpected(path: str | os.PathLike[str]) -> UnexpectedFile:
    return UnexpectedFile(0, "not a regular file", os.fspath(path))


def read(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """The file's content. Raises FileNotFoundError; UnexpectedFile also where it is longer than `max_bytes`."""
    fd = open_existing(path)
    try:
        return read_all(fd, max_bytes)
    finally:
        os.close(fd)


def read_all(fd: int, max_bytes: int) -> bytes:
    """What follows in an open file, to its end. Raises UnexpectedFile where that is longer than `max_bytes`."""
    blocks: list[bytes] = []
    left = max_bytes
    while block := os.read(fd, min(_BLOCK_BYTES, left + 1)):
        blocks.append(block)
        left -= len(block)
        if left < 0:
            raise UnexpectedFile(0, f"longer than {max_bytes} bytes")
    return b"".join(blocks)


def write_at(fd: int, content: bytes, offset: int) -> int:
    """Write all of the content from that byte on; return the byte behind it. Not synced.

    One system call where the volume takes it in one, which local file systems do unless they are full or interrupted.
    Raises OSError when part of the content may have been written.
    """
    while content:
        count = os.pwrite(fd, content, offset)
        content, offset = content[count:], offset + count
    return offset


def append(path: str | os.PathLike[str], content: bytes, to: Version) -> Version | None:
    """Add to the end of the file while it is of that version; its version then, None where it is of another one.

    Not synced. Raises OSError when part of the content may have been written.
    """
    fd = _open(os.fspath(path), os.O_WRONLY | os.O_APPEND)
    try:
        if version(os.fstat(fd)) != to:
            return None
        while content:
            content = content[os.write(fd, content) :]
        return version(os.fstat(fd))
    finally:
        os.close(fd)


def set_aside(path: str | os.PathLike[str], label: str = "damaged") -> str:
    """Rename whatever has the name to `<path>.<label>-<time>-<random>`; return that path, which is on the disk.

    It never replaces anything. Raises FileNotFoundError where another set it aside first.
    """
    aside = aside_path(path, label)
    os.rename(path, aside)
    sync_folder(os.path.dirname(aside))
    return aside


def aside_path(path: str | os.PathLike[str], label: str = "damaged") -> str:
    """A name beside the path, `<path>.<label>-<time>-<random>`, that nothing has."""
    return f"{os.fspath(path)}.{label}-{time.time_ns()}-{_random()}"


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Make the folder and those that it lies in where they are missing; the name of each is on the disk on return."""
    path = os.fspath(folder)
    with contextlib.suppress(FileExistsError):  # another process makes it just now
        try:
            os.mkdir(path, FOLDER_MODE)
        except FileNotFoundError:
            make_folder(os.path.dirname(path))
            os.mkdir(path, FOLDER_MODE)
    sync_folder(os.path.dirname(path))


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Bring the names in the folder to the disk: those that were made, replaced and removed."""
    fd = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
