"""Bringing a content under an id: in one request where it is small, else by a resumable session that outlives us.

Whatever goes wrong on the way is resolved by looking at the id or at the session, never by creating anew.
"""

import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from function.core.deadline import Deadline
from function.core.errors import AlreadyExists, SessionLost, TransientDriveError, UploadError
from function.core.types import MULTIPART_MAX_BYTES, NewFile, RemoteFile
from function.drive import idempotent_create
from function.drive.port import Drive
from function.home.source import Source

SESSIONS_MAX = 4
"""Sessions begun for one content in one invocation before giving up for now."""

_STALLED = TransientDriveError("Drive keeps nothing of what is sent; call again later.")

Progress = Callable[[int, int], None]
"""Told bytes sent and bytes in all."""


@dataclass(slots=True)
class Sending:
    """One content on its way to one id."""

    drive: Drive
    source: Source
    file: NewFile
    revises: bool
    deadline: Deadline
    check: Callable[[], None]
    """Called before each write to Drive: raises when the lock was lost."""
    keep_session: Callable[[str | None], None]
    """Makes the session's URI durable, before a byte is sent to it."""
    progress: Progress
    was_taken: bool = False
    """The first request found the id in use: what stands there is not of this sending."""

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return self.source.stat.size

    def run(self, session: str | None, *, look_first: bool) -> RemoteFile | None:
        """What stands under the id in the end; None when the id can't be used.

        The caller compares it with the source: the id may hold something else.
        A revision always goes through a session, which makes one revision however often its content is sent: there
        is no id that would make a second one impossible.
        """
        if self.size <= MULTIPART_MAX_BYTES and not self.revises:
            return self._in_one_request(look_first=look_first)
        return self._in_a_session(session)

    def _in_one_request(self, *, look_first: bool) -> RemoteFile | None:
        content = self.source.read(self.deadline.check)

        requests = itertools.count()

        def create() -> RemoteFile:
            self.check()
            number = next(requests)
            try:
                return self.drive.create(self.file, content)
            except AlreadyExists:
                self.was_taken = number == 0
                raise

        sent = idempotent_create.once(create, self._stored, self.deadline, look_first=look_first)
        self.progress(self.size, self.size)
        return sent

    def _stored(self) -> RemoteFile | None:
        return self.drive.get(self.file.id)

    def _in_a_session(self, session: str | None) -> RemoteFile | None:
        if session:  # what an earlier invocation has sent is hashed beside the sending of the rest
            threading.Thread(target=self._hash_ahead, daemon=True).start()
        for number in range(SESSIONS_MAX):
            try:
                return self._send(session or self._start(), resumed=session is not None)
            except AlreadyExists:
                self.was_taken = number == 0 and session is None
                return self._stored()
            except SessionLost:
                session = None
                self.keep_session(None)
                if not self.revises and (found := self._stored()):
                    return found
        raise TransientDriveError("Drive keeps losing the upload's session; call again later.")

    def _hash_ahead(self) -> None:
        try:
            self.source.sha256(self.deadline.check)
        except UploadError:
            return  # the sender meets the same and says so

    def _start(self) -> str:
        attempt = 0
        while True:
            self.check()
            try:
                uri = self.drive.start(self.file, self.size, revises=self.revises)
                self.keep_session(uri)
                return uri
            except TransientDriveError as error:
                idempotent_create.pause(attempt, error, self.deadline)
                attempt += 1

    def _send(self, uri: str, *, resumed: bool) -> RemoteFile:
        progress: RemoteFile | int = self.drive.session_status(uri, self.size) if resumed else 0
        attempt = 0
        while not isinstance(progress, RemoteFile):
            self.check()
            offset, error = progress, _STALLED
            try:
                progress = self.drive.send(uri, self.size, offset, self._blocks(offset))
            except TransientDriveError as failure:
                error = failure
            if progress == offset:
                idempotent_create.pause(attempt, error, self.deadline)
                progress = self.drive.session_status(uri, self.size)
            attempt = attempt + 1 if progress == offset else 0
        return progress

    def _blocks(self, offset: int) -> Iterator[memoryview]:
        for block in self.source.blocks(offset, self.deadline.check):
            yield block
            offset += len(block)
            self.progress(offset, self.size)
