"""A file goes up, with everything the contract promises about the result."""

import hashlib
from datetime import UTC, datetime

import pytest

from local_runner.drive_emulator import DriveEmulator
from tests.support.home import Home, Post


def test_a_new_file_is_uploaded(home: Home, post: Post, drive: DriveEmulator) -> None:
    """The answer is the log entry, every field of it filled in; Drive holds the bytes at the mirrored path."""
    path = home.put(content=b"remember me\n")

    answer = post(home, {"path": path, "metadata": {"tags": ["a"]}})

    (remote,) = [each for each in drive.files() if each["size"] is not None]
    entry = answer.entry
    assert (answer.code, answer.body["status"]) == (200, "uploaded")
    assert home.stored() == {"MemoryVDB/Meta/note.txt": b"remember me\n"}
    assert home.log() == [entry]
    assert entry["destination"] == "MemoryVDB/Meta/note.txt"
    assert (entry["account"], entry["path"]) == ("default", "Data/Meta/note.txt")
    assert (entry["reason"], entry["message"], entry["retryable"], entry["attempt"]) == (None, None, False, 1)
    assert (entry["file_id"], remote["id"] in entry["link"]) == (remote["id"], True)
    assert entry["size"] == 12
    assert entry["sha256"] == hashlib.sha256(b"remember me\n").hexdigest()
    assert entry["md5"] == hashlib.md5(b"remember me\n", usedforsecurity=False).hexdigest()
    assert entry["requests"] == len(drive.requests)
    assert entry["units"] == drive.requests.units
    assert 0 < entry["duration_s"] < 60
    assert entry["metadata"] == {"tags": ["a"]}
    assert entry["time"].endswith("Z")
    assert datetime.fromisoformat(entry["time"]).tzinfo is UTC


@pytest.mark.parametrize("size", [1, 1_500_000, 5_000_000])
def test_a_small_file_is_read_once(home: Home, post: Post, bytes_read: list[int], size: int) -> None:
    """Its digests are of the very bytes that are sent."""
    path = home.put(content=bytes(size))

    assert post(home, {"path": path}).body["status"] == "uploaded"

    assert sum(bytes_read) == size
