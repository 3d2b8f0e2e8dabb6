"""Waiting no longer than there is time for what may hang: a read, a lock or a write of a volume that is gone.

A system call that hangs can't be interrupted. It goes on in a daemon thread of its own, and nobody waits for it.
"""

import threading
import time
from collections.abc import Callable

from function.telemetry import in_context

_STEP_S = 1.0
"""How often a deadline that may have been brought forward is looked at."""


def ended_in_time(do: Callable[[], None], remaining_s: Callable[[], float]) -> bool:
    """Call `do`, and say whether it ended while there was time. `do` raises nothing."""
    running = threading.Thread(target=in_context(do), daemon=True)
    running.start()
    while running.is_alive() and (left := remaining_s()) > 0:
        running.join(min(_STEP_S, left))
    return not running.is_alive()


def seconds_from_now(seconds: float) -> Callable[[], float]:
    """What is left of that many seconds."""
    end = time.monotonic() + seconds
    return lambda: end - time.monotonic()
