"""Importing a package without what it imports in vain.

google-api-python-client pulls in a parser for HTTP challenges, signing for service accounts and, where it finds it,
oauth2client: two thirds of its start-up time, none of it used by this job.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class _Deferred(ModuleType):
    """Stands for a module until something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        real = importlib.import_module(self.__name__)
        return getattr(real, name) if hasattr(real, name) else importlib.import_module(f"{self.__name__}.{name}")


@contextmanager
def deferred(*names: str) -> Iterator[None]:
    """While it lasts, imports of these modules wait until something of them is used, however late that is."""
    stand_ins = {name: _Deferred(name) for name in names if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]
