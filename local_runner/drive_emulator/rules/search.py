"""What a search knows of a file beyond its record: its text, and who has which role."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..content.blobs import Blobs
from ..model.records import FileRecord, Permission
from ..storage.store import Store
from . import access

TEXT_BYTES = 1024 * 1024
"""Longer contents aren't searched; Drive, too, indexes the beginning of a text only."""

_TEXT_TYPES = ("text/", "application/json", "application/xml", "application/x-yaml")


@dataclass(frozen=True, slots=True)
class SearchFacts:
    """The facts for one Drive's queries."""

    store: Store
    blobs: Blobs

    def text_of(self, record: FileRecord) -> str:
        """Name, description, and the content where it is text."""
        return f"{record.name} {record.description or ''} {self._content(record)}"

    def grants_of(self, record: FileRecord) -> Iterable[Permission]:
        """The strongest grant of each person, inherited ones, too."""
        return [grant.permission for grant in access.grants(self.store, record)]

    def _content(self, record: FileRecord) -> str:
        content = record.content
        if content is None or content.size > TEXT_BYTES or not record.mime_type.startswith(_TEXT_TYPES):
            return ""
        try:
            return self.blobs.read(content).decode("utf-8", "replace")
        except FileNotFoundError:  # deleted meanwhile
            return ""
