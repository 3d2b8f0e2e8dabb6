"""Drive: the only shape of Google Drive that the job knows.

An implementation sends each call once, except that calls which may be repeated without harm (reads, reserving ids,
renames, moves, trashing) are repeated by itself while errors are transient. Creates and content are sent once: after
a TransientDriveError the caller looks what became of it.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from function.core.retry import Deadline
from function.core.types import FileId, NewFile, RemoteFile, Usage
from function.drive.query import Query


class Drive(Protocol):
    """One account's Drive.

    Every method may raise DriveError, TransientDriveError, CredentialsError and DeadlineExceeded.
    """

    def bound(self, usage: Usage, deadline: Deadline) -> "Drive":
        """The same Drive, counting into `usage` and ending at `deadline`."""
        ...

    def identity(self) -> str:
        """The user whose Drive this is, by an id that stays the same (`about`'s permissionId)."""
        ...

    def reserve_ids(self, count: int) -> list[str]:
        """Ids for files or folders to come (`files.generateIds`)."""
        ...

    def get(self, file_id: str) -> RemoteFile | None:
        """A file or folder by id, consistent at once; None where there is none or no right to see it.

        A proxy or a fault may say so once without being right: who would lose something by it asks twice.
        """
        ...

    def count_revisions(self, file_id: str) -> int:
        """How many contents a file is known to have had (`revisions.list`); 0 where there is no such file.

        A file with one revision holds what its create brought: nobody has written to it since.
        """
        ...

    def first_page(self, query: Query) -> tuple[list[RemoteFile], bool]:
        """Up to a thousand that match, in one request, and whether these are all; may lag as `list` does."""
        ...

    def list(self, query: Query) -> list[RemoteFile]:
        """All that match, every page; may lag behind what was done a moment ago."""
        ...

    def create_folder(self, file_id: FileId, name: str, parent: str, key: str) -> RemoteFile:
        """A new folder under a reserved id. Raises AlreadyExists."""
        ...

    def create(self, file: NewFile, content: memoryview) -> RemoteFile:
        """A new file in one request. Raises AlreadyExists."""
        ...

    def start(self, file: NewFile, size: int, *, revises: bool) -> str:
        """Start a resumable upload of `size` bytes; its session URI. Raises AlreadyExists, NotFound."""
        ...

    def session_status(self, uri: str, size: int) -> RemoteFile | int:
        """The file when the session is complete, else how many bytes it has kept. Raises SessionLost."""
        ...

    def send(self, uri: str, size: int, offset: int, blocks: Iterable[memoryview]) -> RemoteFile | int:
        """Send the content from `offset` to the end; as `session_status`. Raises SessionLost, AlreadyExists."""
        ...

    def update(
        self,
        file: RemoteFile,
        *,
        name: str | None = None,
        move_to: str | None = None,
        properties: Mapping[str, str | None] | None = None,
        description: str | None = None,
    ) -> RemoteFile:
        """Rename, move or describe; what is None stays. Of `properties` the named ones change, None clears one."""
        ...

    def trash(self, file: RemoteFile) -> RemoteFile:
        """Put into the bin, and take our ownership mark off: with it the file would be one that its owner put away."""
        ...
