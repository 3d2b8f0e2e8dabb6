"""How a process stops in time: deadlines are brought forward, so that what is under way is answered and logged."""

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from function.core.retry import Deadline

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
