"""`functools.cached_property` without the lock that it has up to Python 3.11.

That one is common to all objects of a class: where one account's token, or one file of a volume, doesn't answer, every
other invocation of the process waited for it, too. Source: 'What's New In Python 3.12', functools.
"""

import functools
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

T = TypeVar("T")


def cached_property(make: Callable[[Any], T]) -> functools.cached_property[T]:
    """A property that is made when it is first asked for; threads that ask at once may each make one."""
    made = functools.cached_property(make)
    made.lock = nullcontext()  # type: ignore[attr-defined]
    return made
