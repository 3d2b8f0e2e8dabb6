"""How much may be held in memory at one time by all threads of a process."""

import threading
from collections.abc import Callable

CHECK_EVERY_S = 0.5


class MemoryBudget:
    """So many bytes, taken and given back; who asks for more than that is served when nobody else holds any."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._changed = threading.Condition()

    def take(self, count: int, check: Callable[[], None]) -> None:
        """Wait until `count` bytes are left. `check` is called meanwhile and may raise: none is taken then."""
        with self._changed:
            while self._taken and self._taken + count > self._limit:
                self._changed.wait(CHECK_EVERY_S)
                check()
            self._taken += count

    def give_back(self, count: int) -> None:
        """Let those who wait try again."""
        with self._changed:
            self._taken -= count
            self._changed.notify_all()
