"""What meets a volume, waited for only while it moves on: a system call that hangs can't be interrupted."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeAlias, TypeVar

from function.serving.shutdown import ended_in_time

Moved: TypeAlias = Callable[[], None]
"""To be called when the volume has answered once more, by what may take long."""

T = TypeVar("T")


def in_time(do: Callable[[Moved], T], patience_s: float) -> T:
    """What `do` returns or raises. Raises TimeoutError where it hasn't moved on for so long."""
    found: Future[T] = Future()
    moved_s = time.monotonic()

    def moved() -> None:
        nonlocal moved_s
        moved_s = time.monotonic()

    def run() -> None:
        try:
            found.set_result(do(moved))
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            found.set_exception(error)

    if not ended_in_time(run, lambda: moved_s + patience_s - time.monotonic()):
        raise TimeoutError
    return found.result()
