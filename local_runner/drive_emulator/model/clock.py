"""The emulator's clock: real time plus an offset that a test can move, so that weeks pass at once."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """Milliseconds since 1970. `advance` lets tokens, sessions and quota minutes run out without waiting."""

    def __init__(self) -> None:
        self._offset_s = 0.0

    def now_s(self) -> float:
        return time.time() + self._offset_s

    def now_ms(self) -> int:
        return int(self.now_s() * 1000)

    def advance(self, seconds: float) -> None:
        self._offset_s += seconds


def rfc3339(ms: int) -> str:
    """`2026-11-22T18:40:00.123Z`, the form in which Drive writes times."""
    seconds, millis = divmod(ms, 1000)
    return f"{_to_the_second(seconds)}.{millis:03d}Z"


@lru_cache(maxsize=1024)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


def from_rfc3339(text: str) -> int:
    """Milliseconds for an RFC 3339 time; without a zone it is UTC.

    Raises ValueError for what is none, and for a moment that is, in UTC, before the year 1 or after 9999.
    """
    moment = datetime.fromisoformat(text.upper())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return (moment.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)
    except OverflowError as error:
        raise ValueError(f"{text} lies outside the years 1 to 9999") from error
