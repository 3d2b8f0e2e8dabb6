"""What an invocation is asked for, as values."""

from typing import Any

import msgspec

from function.core.types import Policy


class FileRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file to upload, as the caller names it."""

    path: str
    metadata: dict[str, Any] = {}
    account: str | None = None
    if_exists: Policy | None = None


class Job(msgspec.Struct, frozen=True):
    """A validated request; `from_queue` when the caller repeats whatever isn't answered 2xx."""

    files: tuple[FileRequest, ...]
    from_queue: bool = False
