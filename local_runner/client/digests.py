"""The digests of sources, which are opened as the job opens them: only regular files of data_root, none of its own."""

from function.home.data_root import DataRoot, OwnFiles
from function.home.settings import Settings
from function.home.source import find_source
from local_runner.client.in_time import in_time
from local_runner.client.invoke import CallFailed

HANG_S = 60.0
"""Longer than any volume takes for a block, unless it is gone."""


class Digests:
    """SHA-256 of the sources of one home. Safe for threads."""

    def __init__(self, home: Settings) -> None:
        self._data_root, self._own = DataRoot(home.home, home.data_root), OwnFiles(home)

    def of(self, path: str) -> str:
        """Of a request's path. Raises UploadError, and CallFailed where the volume doesn't answer at all."""
        try:
            return in_time(lambda moved: find_source(self._data_root.locate(path), self._own).sha256(moved), HANG_S)
        except TimeoutError as error:
            raise CallFailed(
                f"{path}: the volume doesn't answer within {HANG_S:g} s; mend it and call again."
            ) from error
