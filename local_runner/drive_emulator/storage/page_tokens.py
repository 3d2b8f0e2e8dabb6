"""Page tokens: opaque to the client, a remembered result here.

A token stands for the ids that are still to come and for the parameters it was made with. The oldest are forgotten, as
Google forgets them after some hours.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from ..model.errors import invalid_parameter

KEPT = 2000


@dataclass(frozen=True, slots=True)
class Cursor:
    """What is left of a listing: `ids` from `at` on, for requests with the same `asked`."""

    ids: tuple[str, ...]
    at: int
    asked: tuple[object, ...]


class Cursors:
    """The page tokens that are still good."""

    def __init__(self) -> None:
        self._cursors: OrderedDict[str, Cursor] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, token: str, cursor: Cursor) -> str:
        with self._lock:
            self._cursors[token] = cursor
            while len(self._cursors) > KEPT:
                self._cursors.popitem(last=False)
        return token

    def get(self, token: str, asked: tuple[object, ...]) -> Cursor:
        """The rest of a listing; 400 for a token that is unknown, forgotten, or was made for other parameters."""
        cursor = self._cursors.get(token)
        if cursor is None or cursor.asked != asked:
            raise invalid_parameter("pageToken")
        return cursor
