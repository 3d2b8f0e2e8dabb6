"""A volume that answers oddly, or not at all: what `upload` and `enqueue` make of it."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from local_runner.drive_emulator import DriveEmulator

Run = Callable[..., Result]

TO_QUEUE = (
    "--queue", "projects/p/locations/l/queues/q", "--url", "https://function.example/", "--endpoint", "127.0.0.1:9",
)  # fmt: skip


@pytest.mark.parametrize(
    ("code", "exits", "said"),
    [
        ("ESTALE", 75, "can't be read now (Stale file handle); mend the volume and call again"),
        ("EIO", 75, "can't be read now (Input/output error); mend the volume and call again"),
        ("EMFILE", 75, "can't be read now (Too many open files); mend the volume and call again"),
        ("EACCES", 65, "can't be read (Permission denied)"),
        ("EPERM", 65, "can't be read (Operation not permitted)"),
    ],
)
def test_a_folder_that_cant_be_listed(
    home: Path, drive: DriveEmulator, run: Run, monkeypatch: pytest.MonkeyPatch, code: str, exits: int, said: str
) -> None:
    """Only missing rights are for good; what the volume can't do now is for later."""
    real: Callable[..., Any] = os.scandir

    def scandir(path: Any) -> Any:
        if str(path).endswith("Data/Notes"):
            raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)), path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)

    uploaded, queued = run("upload", "Data"), run("enqueue", "Data/Notes", *TO_QUEUE)

    assert (uploaded.exit_code, queued.exit_code) == (exits, exits)
    assert said in " ".join(uploaded.stdout.split())
    assert queued.stderr == f"Data/Notes: {said}\n"
