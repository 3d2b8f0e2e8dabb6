"""One transient fault at any request of an upload: that same invocation succeeds, and makes exactly one file.

The requests are not listed here: a dry run of each story shows them, so a new request in the job is a new case.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local_runner.drive_emulator import DriveEmulator
from local_runner.drive_emulator.storage.request_log import RequestRecord
from tests.support.home import Home, Post, new_home
from tests.support.owner import Owner

SMALL = b"remember me\n"
LARGE = bytes(range(256)) * 24_000
"""Over 5 MB: a resumable session."""

FAULTS: dict[str, dict[str, Any]] = {
    "503": {"do": "status", "status": 503},
    "429": {"do": "status", "status": 429},
    "403": {"do": "status", "status": 403, "reason": "userRateLimitExceeded"},
    "reset before": {"do": "reset_before"},
    "reset in the body": {"do": "reset_in_body"},
    "lost answer": {"do": "lose_answer"},
    "truncated answer": {"do": "truncate_answer"},
    "an empty answer": {"do": "status", "status": 200, "body": ""},
    "an answer without content": {"do": "status", "status": 200, "body": "{}"},
    "a list for an answer": {"do": "status", "status": 200, "body": "[]"},
    "expired token": {"do": "expire_token"},
    "lost session": {"do": "lose_session"},
}

STORIES: dict[str, tuple[bytes, str, dict[str, Any]]] = {
    "small": (SMALL, "Data/Meta/note.txt", {}),
    "large": (LARGE, "Data/Meta/note.txt", {}),
    "new chain": (SMALL, "Data/a/b/c/note.txt", {}),
    "small revision": (SMALL, "Data/Meta/note.txt", {"if_exists": "new_revision"}),
    "large revision": (LARGE, "Data/Meta/note.txt", {"if_exists": "new_revision"}),
    "keep both": (SMALL, "Data/Meta/note.txt", {"if_exists": "keep_both", "metadata": {"a": "b"}}),
}
"""Content, path, and what else the payload says. Where there is a policy, the owner has other content of that name."""


@contextmanager
def told(story: str, folder: Path) -> Iterator[tuple[Home, dict[str, Any]]]:
    """A home and a Drive at the start of the story, and its payload."""
    content, path, more = STORIES[story]
    with DriveEmulator() as drive:
        home = new_home(folder, drive)
        if story != "new chain":
            Owner(drive).make("MemoryVDB/Meta/other.txt", b"other")
        if "if_exists" in more:
            Owner(drive).make("MemoryVDB/Meta/note.txt", b"theirs")
        drive.requests.clear()
        yield home, {"path": home.put(path, content)} | more


def strikes(fault: dict[str, Any], request: RequestRecord) -> bool:
    """Whether this request is one that the fault can do something to."""
    match fault["do"]:
        case "reset_in_body":
            return request.bytes_in > 1
        case "lose_session":
            return request.method_id.startswith("upload.")
        case _:
            return True


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("story", STORIES)
@pytest.mark.timeout(300)
def test_one_fault_at_any_request(story: str, fault: str, tmp_path: Path, post: Post, quick_retries: None) -> None:
    """As many runs as the story has requests, each with the fault at another one."""
    with told(story, tmp_path / "dry") as (home, payload):
        post(home, payload)
        dry = list(home.drive.requests)
        expected = home.stored()

    struck = [nth for nth, request in enumerate(dry, 1) if strikes(FAULTS[fault], request)]
    for nth in struck:
        with told(story, tmp_path / str(nth)) as (home, payload):
            body = {"after_bytes": dry[nth - 1].bytes_in // 2}
            home.drive.faults.add({"on": "*", "nth": nth} | body | FAULTS[fault])

            answer = post(home, payload)

            case = f"{fault} at request {nth}, {dry[nth - 1].method_id}: {answer.entry['message']}"
            assert (answer.code, answer.body["status"]) == (200, "uploaded"), case
            assert home.stored() == expected, case
            assert home.stored(trashed=True) == {}, case
            assert len(set(home.folders())) == len(home.folders()), case
            assert [each["status"] for each in home.log()] == ["uploaded"], case


@pytest.mark.parametrize(("reason", "slows"), [("userRateLimitExceeded", True), ("dailyLimitExceeded", False)])
def test_a_days_limit_is_no_rate(reason: str, slows: bool, tmp_path: Path, post: Post, quick_retries: None) -> None:
    """Nothing is learned from it of how fast the account's requests may follow each other."""
    with told("small", tmp_path) as (home, payload):
        home.drive.faults.add({"on": "files.create", "do": "status", "status": 403, "reason": reason})

        answer = post(home, payload)

        learned = [each for file in tmp_path.rglob("pace/*.json") for each in json.loads(file.read_bytes())]
        assert answer.code == (200 if slows else 503)
        assert any(each["state"] != "free" for each in learned) is slows
