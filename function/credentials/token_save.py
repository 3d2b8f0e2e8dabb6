"""Writing a token file back: whole or not at all, mode 0600, and without a word where the mount is read-only."""

import errno
import json
import logging
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from function.state import files

_log = logging.getLogger(__name__)

_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_NOT_REPLACEABLE = (*_READ_ONLY, errno.EBUSY, errno.EXDEV)
"""What a file that is itself a mount point answers to a rename, or its folder to a new file."""


def save(path: Path, fields: Mapping[str, Any]) -> bool:
    """Whether `fields` is now the content of the token file at `path`, which exists.

    A link (as Kubernetes mounts secrets) and a file without write permission bits are taken as read-only.
    A failure leaves the old content and is logged, never raised: the new access token works all the same.
    """
    content = json.dumps(fields, indent=2).encode() + b"\n"
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or not status.st_mode & 0o222:
            return False
        return _save(path, content, status)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            _log.warning("%s: the renewed token can't be saved (%s); it is kept in memory.", path, error.strerror)
        return False


def _save(path: Path, content: bytes, status: os.stat_result) -> bool:
    try:
        # A file that its owner could no longer read would be worse than one written in place.
        files.replace(path, content, owner=status)
    except OSError as error:
        if error.errno not in _NOT_REPLACEABLE:
            raise
        _write_in_place(path, content)
    return True


def _write_in_place(path: Path, content: bytes) -> None:
    """Overwrite a file that can't be replaced, in one write and never empty in between.

    The shorter content, old or new, is padded with spaces to the longer one's length: a reader may meet the old length
    with the new bytes, which then are JSON all the same.
    """
    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        old_size = os.fstat(fd).st_size
        os.pwrite(fd, b" " * (len(content) - old_size), old_size)
        os.pwrite(fd, content.ljust(old_size), 0)
        os.ftruncate(fd, len(content))
        os.fsync(fd)
        with suppress(PermissionError):
            os.fchmod(fd, 0o600)
    finally:
        os.close(fd)
