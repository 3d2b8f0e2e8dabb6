"""The threads of small uploads, side by side on one processor.

Python runs one thread at a time, and each system call hands its turn to another thread. On two processors that one has
to be woken on the other, which takes longer than what it then does: a batch took a fifth longer and a third more
processor time. Source: D. Beazley, 'Understanding the Python GIL', 2010; here: `make bench`, the row of two accounts.

One processor makes 400 small uploads a second, and Drive lets in a hundred. Large contents are hashed and encrypted
outside of Python's turns, so they keep all processors.
"""

import contextlib
import os
import random
import threading
from collections.abc import Iterator

SMALL_MAX_BYTES = 256 * 1024
"""Up to here Python's own work is most of an upload's."""

_lock = threading.Lock()
_users = 0
_processor: int | None = None


@contextlib.contextmanager
def one_processor() -> Iterator[None]:
    """Keep this thread, and those that it starts meanwhile, where all others are that do so at the moment."""
    global _users, _processor  # noqa: PLW0603 - Python's turns are the process's own, too
    allowed = _allowed()
    if len(allowed) < 2:
        yield
        return
    with _lock:
        if _users == 0 or _processor not in allowed:
            _processor = random.choice(sorted(allowed))
        _users += 1
        chosen = _processor
    _stay_on({chosen})
    try:
        yield
    finally:
        _stay_on(allowed)
        with _lock:
            _users -= 1


def _allowed() -> set[int]:
    """The processors that this thread may run on; empty where the system doesn't tell (macOS, a sandbox)."""
    try:
        return os.sched_getaffinity(0)
    except (AttributeError, OSError):
        return set()


def _stay_on(processors: set[int]) -> None:
    with contextlib.suppress(OSError):  # a sandbox that forbids it: as slow as without
        os.sched_setaffinity(0, processors)  # of this thread
