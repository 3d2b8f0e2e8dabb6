"""Bringing a content under an id: in one request where it is small, else by a resumable session that outlives us.

Each call here sends once. What an error leaves open is settled by whoever looks next: at the id, or at the session.
"""

import threading
from collections.abc import Callable, Iterator

import msgspec

from function import telemetry
from function.core.errors import TransientDriveError, UploadError
from function.core.types import MULTIPART_MAX_BYTES, NewFile, RemoteFile
from function.drive.port import Drive
from function.home.source import Source

ProgressCallback = Callable[[int, int], None]
"""Told bytes sent and bytes in all."""


class ContentUpload(msgspec.Struct):
    """One source's content on its way to Drive."""

    source: Source
    check: Callable[[], None]
    """Called between blocks; may raise (the deadline)."""
    progress: ProgressCallback
    pace: Callable[[int], None]
    """Waits until so many bytes may be sent; may raise (the deadline)."""
    has_progressed: bool = False
    """Drive has kept more of the content than before, in the last call."""

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return self.source.stat.size

    @property
    def is_small(self) -> bool:
        """Whether the content goes in one request."""
        return self.size <= MULTIPART_MAX_BYTES

    @telemetry.span("transfer")
    def create(self, drive: Drive, file: NewFile) -> RemoteFile:
        """A new file, in one request. Raises what `drive.create` raises, SourceError, and what `check` raises."""
        content = self.source.read(self.check)
        self.pace(self.size)
        created = drive.create(file, content)
        self.progress(self.size, self.size)
        return created

    def resume(self, drive: Drive, uri: str) -> tuple[RemoteFile, bool]:
        """Go on where the session stands; the file, and whether any of its bytes were sent now.

        A session is asked first: repeating bytes where it has a gap is answered 503 for ever.
        """
        threading.Thread(target=self._hash_ahead, daemon=True).start()
        progress = drive.session_status(uri, self.size)
        if isinstance(progress, RemoteFile):
            return progress, False
        return self.send(drive, uri, progress), True

    @telemetry.span("transfer")
    def send(self, drive: Drive, uri: str, offset: int = 0) -> RemoteFile:
        """Send the content from `offset` to the end. Raises TransientDriveError where Drive keeps nothing of it."""
        self.has_progressed = False
        while True:
            progress = drive.send(uri, self.size, offset, self._blocks(offset))
            if isinstance(progress, RemoteFile):
                return progress
            if progress <= offset:
                raise TransientDriveError("Drive keeps nothing of what is sent; call again later.")
            offset, self.has_progressed = progress, True

    def _hash_ahead(self) -> None:
        """Hash what an earlier invocation has sent, beside the sending of the rest."""
        try:
            self.source.sha256(self.check)
        except UploadError:
            return  # the sender meets the same and says so

    def _blocks(self, offset: int) -> Iterator[memoryview]:
        for block in self.source.blocks(offset, self.check):
            self.pace(len(block))
            yield block
            offset += len(block)
            self.progress(offset, self.size)
