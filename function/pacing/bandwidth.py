"""How fast bytes may be sent (`bandwidth_limit`): one limit for all transfers of a process."""

import threading
import time
from collections.abc import Callable
from functools import lru_cache

_STEP_S = 0.5
"""How often a deadline is looked at while bytes wait."""


class BandwidthLimit:
    """Bytes a second, handed out in the order in which they are asked for; None: without limit. Safe for threads."""

    def __init__(
        self,
        bytes_per_s: int | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bytes_per_s = bytes_per_s
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = clock()
        """When all that was handed out has been sent, at the limit's pace."""

    def take(self, count: int, check: Callable[[], None]) -> None:
        """Wait until `count` bytes may be sent. `check` is called meanwhile and may raise: none are taken then."""
        if self._bytes_per_s is None:
            return
        duration_s = count / self._bytes_per_s
        with self._lock:
            begin = max(self._free_at, self._clock())
            self._free_at = begin + duration_s
        try:
            while (left := begin - self._clock()) > 0:
                check()
                self._sleep(min(left, _STEP_S))
        except BaseException:
            with self._lock:
                self._free_at -= duration_s
            raise


@lru_cache(maxsize=8)
def shared(bytes_per_s: int | None) -> BandwidthLimit:
    """The process's limit of that rate, whichever accounts and invocations send."""
    return BandwidthLimit(bytes_per_s)
