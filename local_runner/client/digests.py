"""The digests of sources, which are opened as the job opens them: only regular files of data_root, none of its own."""

import time
from dataclasses import dataclass, field

from function.home.data_root import DataRoot, OwnFiles
from function.home.settings import Settings
from function.home.source import find_source
from function.serving.shutdown import ended_in_time
from local_runner.client.invoke import CallFailed

HANG_S = 60.0
"""Longer than any volume takes for a block, unless it is gone."""


@dataclass(slots=True)
class _Look:
    """What is known of a source's digest by now."""

    moved_s: float = field(default_factory=time.monotonic)
    found: str | Exception = ""

    def check(self) -> None:
        """The volume has answered once more."""
        self.moved_s = time.monotonic()


class Digests:
    """SHA-256 of the sources of one home. Safe for threads."""

    def __init__(self, home: Settings) -> None:
        self._data_root, self._own = DataRoot(home.home, home.data_root), OwnFiles(home)

    def of(self, path: str) -> str:
        """Of a request's path. Raises UploadError, and CallFailed where the volume doesn't answer at all."""
        look = _Look()

        def read() -> None:
            try:
                look.found = find_source(self._data_root.locate(path), self._own).sha256(look.check)
            except Exception as error:  # noqa: BLE001 - raised again where it is waited for
                look.found = error

        if not ended_in_time(read, lambda: look.moved_s + HANG_S - time.monotonic()):
            raise CallFailed(f"{path}: the volume doesn't answer within {HANG_S:g} s; mend it and call again.")
        if isinstance(look.found, Exception):
            raise look.found
        return look.found
