"""How an invocation and a process end in time.

A deadline is brought forward, so that what is under way is answered and logged. For what may hang (a read, a lock or a
write of a volume that is gone) nobody waits longer than there is time: a system call that hangs can't be interrupted,
so it goes on in a daemon thread of its own.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from function.core.retry import Deadline
from function.telemetry import in_context

GRACE_S = 5.0
"""Time for an upload in hand to finish after SIGTERM, before it is left to be resumed: Cloud Run kills after 10 s."""

_end = Deadline(math.inf)
_under_way: list[Deadline] = []


@contextmanager
def deadline(seconds: float) -> Iterator[Deadline]:
    """The deadline of an invocation that begins now: so many seconds, or what the process has left."""
    own = Deadline.after(seconds)
    _under_way.append(own)
    if _end.cancelled:
        own.cancel(_end.cancelled, _end.remaining_s())
    try:
        yield own
    finally:
        _under_way.remove(own)


def stop(why: str, grace_s: float) -> None:
    """Leave so many seconds to all that this process does, and will be asked to do."""
    for each in (_end, *_under_way):
        each.cancel(why, grace_s)


def on_sigterm() -> None:
    """Let SIGTERM stop the process in time, besides what its handler does so far."""
    before = signal.getsignal(signal.SIGTERM)

    def handle(number: int, frame: FrameType | None) -> None:
        stop("SIGTERM: stopped before the end; call again to go on.", GRACE_S)
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, handle)


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
