"""A volume that answers oddly, or not at all: what `upload` and `enqueue` make of it."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from local_runner.client import digests
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


def test_only_a_regular_file_is_queued(home: Path, run: Run) -> None:
    """What the job would refuse is refused here: a pipe, which would never end, and the job's own files."""
    os.mkfifo(home / "Data/pipe")
    (home / "Data/link.json").symlink_to(home / "paths.json")
    (home / "Data/own.json").hardlink_to(home / "paths.json")

    pipe, outside, own = (run("enqueue", f"Data/{name}", *TO_QUEUE) for name in ("pipe", "link.json", "own.json"))

    assert (pipe.exit_code, outside.exit_code, own.exit_code) == (65, 65, 65)
    assert pipe.stderr == "Data/pipe is not a regular file.\n"
    assert "lies outside data_root" in outside.stderr
    assert "Data/own.json is the job's own" in own.stderr


def test_a_read_that_hangs_is_not_waited_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows what the volume does; the sentence names the file, and the same call can succeed later."""
    released = threading.Event()
    monkeypatch.setattr(digests, "HANG_S", 0.2)
    monkeypatch.setattr(os, "preadv", lambda *_: released.wait(30) and 0)

    result = run("enqueue", "Data/Meta/a.txt", *TO_QUEUE)
    released.set()

    assert result.exit_code == 75
    assert "Data/Meta/a.txt: the volume doesn't answer within 0.2 s; mend it and call again." in result.stderr
