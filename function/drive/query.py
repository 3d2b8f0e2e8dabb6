r"""What to look for on Drive: conditions that can be sent, as text of the `q` language, and be held against a file.

All queries of the job are made here. In a string literal first `\` is escaped, then `'`.
Source: Drive guide, 'Search query terms and operators'.
"""

from collections.abc import Callable, Collection, Iterable
from functools import reduce
from operator import or_
from typing import TypeAlias

import msgspec

from function.core.naming import spellings
from function.core.types import FOLDER_MIME_TYPE, KEY_PROPERTY, RemoteFile

Place: TypeAlias = tuple[str, str]
"""Id of a parent, or an alias such as `root`, and a name in it, spelled in any way."""

Matches: TypeAlias = Callable[[RemoteFile, Collection[str]], bool]
"""Whether a condition holds for a file in these parents: their ids, and the alias `root` for the root's."""


class Query(msgspec.Struct, frozen=True, eq=False):
    """A condition on files. `q` is its text for Drive, `matches` its meaning; two of one text are equal."""

    q: str
    matches: Matches

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Query) and self.q == other.q

    def __hash__(self) -> int:
        return hash(self.q)

    def __and__(self, other: "Query") -> "Query":
        return Query(
            f"({self.q} and {other.q})", lambda file, ids: self.matches(file, ids) and other.matches(file, ids)
        )

    def __or__(self, other: "Query") -> "Query":
        return Query(f"({self.q} or {other.q})", lambda file, ids: self.matches(file, ids) or other.matches(file, ids))


LIVE = Query("trashed = false", lambda file, ids: not file.trashed)
"""Neither in the bin itself nor by a folder above."""

FOLDERS = Query(f"mimeType = '{FOLDER_MIME_TYPE}'", lambda file, ids: file.mime_type == FOLDER_MIME_TYPE)
"""Folders only."""


def inside(folder: str) -> Query:
    """What lies right in a folder, given by its id or the alias `root`."""
    return Query(f"{_literal(folder)} in parents", lambda file, ids: folder in ids)


def named(names: Collection[str]) -> Query:
    """What has one of these names, of which there is at least one."""
    texts = " or ".join(f"name = {_literal(name)}" for name in names)
    return Query(f"({texts})", lambda file, ids: file.name in names)


def spelled(names: Iterable[str]) -> Query:
    """What has one of these names, spelled in any way."""
    return named(sorted({each for name in names for each in spellings(name)}))


def clause(places: Iterable[Place]) -> Query:
    """What has those names, spelled in any way, in those parents; there is at least one place."""
    names: dict[str, list[str]] = {}
    for parent, name in places:
        names.setdefault(parent, []).append(name)
    return reduce(or_, (inside(parent) & spelled(each) for parent, each in names.items()))


def marked(key: str) -> Query:
    """What carries our mark of that destination, wherever it is."""
    text = f"appProperties has {{ key={_literal(KEY_PROPERTY)} and value={_literal(key)} }}"
    return Query(text, lambda file, ids: file.key == key)


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
