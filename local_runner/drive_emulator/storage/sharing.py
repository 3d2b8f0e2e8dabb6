"""Records just read from a journal take less memory: what they have in common is held once, small mappings are packed.

That is half of the memory of a large Drive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import force_setattr

from ..model.records import Change, FileRecord, Revision


class Packed(Mapping[str, Any]):
    """A mapping kept as JSON, in a third of what a small `dict` takes; each look reads it."""

    __slots__ = ("_json",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._json = msgspec.json.encode(values)

    def __getitem__(self, key: str) -> Any:
        return self._read()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def _read(self) -> dict[str, Any]:
        values: dict[str, Any] = msgspec.json.decode(self._json)
        return values


_NOTHING = Packed({})


class Sharing:
    """What was read so far. A file's line may come after those of its revisions (as it was uploaded) or before them."""

    def __init__(self, files: Mapping[str, FileRecord], revisions: Mapping[str, tuple[Revision, ...]]) -> None:
        self._files = files
        self._revisions = revisions
        self._common: dict[Any, Any] = {}
        self.by_kind: Mapping[str, Callable[[Any], None]] = {
            "file": self._file,
            "revision": self._revision,
            "change": self._change,
        }
        """For each kind of journal line of which there are many: replaces parts of such a record by equal ones."""

    def _file(self, file: FileRecord) -> None:
        once = self._common.setdefault
        force_setattr(file, "mime_type", once(file.mime_type, file.mime_type))
        force_setattr(file, "owner", once(file.owner, file.owner))
        force_setattr(file, "last_modifying_user", once(file.last_modifying_user, file.last_modifying_user))
        force_setattr(file, "apps", once(file.apps, file.apps))
        force_setattr(file, "permissions", once(file.permissions, file.permissions))
        force_setattr(file, "parents", once(file.parents, file.parents))
        force_setattr(file, "properties", Packed(file.properties) if file.properties else _NOTHING)
        force_setattr(file, "app_properties", Packed(file.app_properties) if file.app_properties else _NOTHING)
        if file.created_ms == file.arrived_ms:
            force_setattr(file, "created_ms", file.arrived_ms)
        if file.modified_ms == file.arrived_ms:
            force_setattr(file, "modified_ms", file.arrived_ms)
        if file.original_filename == file.name:
            force_setattr(file, "original_filename", file.name)
        for revision in self._revisions.get(file.id, ()):
            force_setattr(file, "id", revision.file_id)
            _share_head(file, revision)

    def _revision(self, revision: Revision) -> None:
        once = self._common.setdefault
        force_setattr(revision, "mime_type", once(revision.mime_type, revision.mime_type))
        force_setattr(revision, "modified_by", once(revision.modified_by, revision.modified_by))
        if file := self._files.get(revision.file_id):
            force_setattr(revision, "file_id", file.id)
            _share_head(file, revision)

    def _change(self, change: Change) -> None:
        force_setattr(change, "viewers", self._common.setdefault(change.viewers, change.viewers))
        if file := self._files.get(change.file_id):
            force_setattr(change, "file_id", file.id)
            if change.time_ms == file.arrived_ms:
                force_setattr(change, "time_ms", file.arrived_ms)


def _share_head(file: FileRecord, revision: Revision) -> None:
    """A file and its newest revision have nearly everything in common."""
    if revision.id != file.head_revision_id or revision.content != file.content:
        return
    force_setattr(file, "head_revision_id", revision.id)
    force_setattr(file, "content", revision.content)
    if revision.original_filename == file.original_filename:
        force_setattr(revision, "original_filename", file.original_filename)
    if revision.modified_ms == file.modified_ms:
        force_setattr(revision, "modified_ms", file.modified_ms)
