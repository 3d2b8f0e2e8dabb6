"""An invocation whose time is up before its files have ended: what it answers, and what becomes of them."""

import fcntl
import json
import math
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from function.core.retry import Deadline
from function.serving import app, shutdown
from function.state.locks import Locks
from tests.support.home import Answer, Home, Post

pytestmark = pytest.mark.usefixtures("unreported")


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer comes soon after the deadline."""
    monkeypatch.setattr(app, "LOGGING_S", 1.3)


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread brings about."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def statuses(home: Home) -> list[str]:
    """Of the log's entries."""
    return [each["status"] for each in home.log()]


def test_an_upload_whose_entry_is_still_being_written_is_not_called_done(
    home: Home, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that hangs past the deadline: 503; what it was asked to keep is kept once it goes on, and once only."""
    home.settings(deadline_s=3)
    path = home.put()
    goes_on = threading.Event()
    real = os.fsync

    def fsync(fd: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}").endswith("upload_log.json"):
            assert goes_on.wait(20)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)

    late = post(home, {"path": path})
    goes_on.set()
    until(lambda: "uploaded" in statuses(home))
    again = post(home, {"path": path})

    assert (late.code, late.entry["reason"]) == (503, "volume_unavailable")
    assert again.body["status"] == "unchanged"
    assert statuses(home).count("uploaded") == 1


def test_who_waits_in_vain_for_a_destination_writes_nothing_of_it(home: Home, post: Post) -> None:
    """Its receipt is written under its lock only; afterwards attempts are counted on."""
    home.settings(deadline_s=2)
    path = home.put()
    home.drive.faults.add({"on": "files.create", "do": "status", "status": 403, "reason": "storageQuotaExceeded"})
    failed = post(home, {"path": path})
    (receipt,) = (home.folder / ".drive_upload").rglob("receipts/**/*.json")
    before = receipt.read_bytes()

    state = home.folder / ".drive_upload"
    with Locks(home.folder, state / "locks", "native").of(receipt.parent.name + receipt.stem, Deadline.after(1)):
        waited = post(home, {"path": path})
    unwritten = receipt.read_bytes()
    home.drive.faults.clear()
    again = post(home, {"path": path})

    assert (failed.entry["attempt"], waited.entry["attempt"], again.entry["attempt"]) == (1, None, 2)
    assert waited.entry["reason"] == "locked"
    assert unwritten == before


def test_an_account_whose_token_does_not_come_holds_up_no_other(home: Home, post: Post) -> None:
    """What it waits for here is a workload's own token, in a pipe that nobody writes to."""
    home.settings(deadline_s=1, accounts={"bad": {"token": "bad.json"}, "good": {"token": "drive_token.json"}})
    pipe, path = home.folder / "subject", home.put()
    os.mkfifo(pipe)
    workload = {"type": "external_account", "audience": "a", "subject_token_type": "t", "token_url": home.drive.url}
    home.write("bad.json", json.dumps(workload | {"credential_source": {"file": str(pipe)}}))

    late = post(home, {"path": path, "account": "bad"})
    good = post(home, {"path": path, "account": "good"})

    os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))  # fails where nobody waits for it any more
    assert (late.code, late.entry["reason"]) == (503, "deadline_exceeded")
    assert good.body["status"] == "uploaded", good.entry["message"]


HANGING: dict[str, tuple[Any, str, str, str]] = {
    "the look at the source": (os, "lstat", "note.txt", "deadline_exceeded"),
    "the walk over its folder": (os, "listdir", "Data/Meta", "deadline_exceeded"),
    "the opening of the source": (os, "open", "note.txt", "deadline_exceeded"),
    "the reading of the source": (os, "preadv", "note.txt", "deadline_exceeded"),
    "the lock": (fcntl, "fcntl", ".lock", "deadline_exceeded"),
    "the reading of the settings": (os, "open", "paths.json", "volume_unavailable"),
}


@pytest.mark.parametrize(("module", "call", "target", "reason"), HANGING.values(), ids=list(HANGING))
def test_whatever_hangs_the_answer_comes(
    home: Home, post: Post, monkeypatch: pytest.MonkeyPatch, module: Any, call: str, target: str, reason: str
) -> None:
    """503 soon after the deadline; once the volume is there again, the same call succeeds."""
    home.environ["DRIVE_UPLOAD_DEADLINE_S"] = "0.5"
    path = home.put("Data/Meta/none.txt") if call == "listdir" else home.put()
    if call == "listdir":
        (home.folder / path).unlink()
    goes_on = threading.Event()
    with monkeypatch.context() as patch:
        hang(patch, module, call, target, goes_on)

        began = time.monotonic()
        late = post(home, {"path": path})
        took_s = time.monotonic() - began
    goes_on.set()

    home.environ["DRIVE_UPLOAD_DEADLINE_S"] = "60"
    home.put(path)
    assert late.code == 503
    # Where the log's lock hangs as well, or the lock itself is given up before the invocation.
    assert late.entry["reason"] in (reason, "locked", "volume_unavailable")
    assert took_s < 20  # a hang lasts for ever
    until(lambda: post(home, {"path": path}).code == 200)


def hang(patch: pytest.MonkeyPatch, module: Any, call: str, target: str, goes_on: threading.Event) -> None:
    """Let a call hang where it is about that file."""
    real: Callable[..., Any] = getattr(module, call)

    def about(what: Any) -> str:
        if isinstance(what, int):
            return os.readlink(f"/proc/self/fd/{what}")
        return os.fspath(what) if not isinstance(what, bytes) else ""

    def hanging(what: Any, *arguments: Any, **options: Any) -> Any:
        if about(what).endswith(target):
            assert goes_on.wait(60)
        return real(what, *arguments, **options)

    patch.setattr(module, call, hanging)


def test_a_refusal_does_not_wait_for_the_log(home: Home, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """A payload that isn't acceptable is refused also where the log hangs."""
    goes_on = threading.Event()
    monkeypatch.setattr(app, "LAST_LOG_S", 0.2)
    with monkeypatch.context() as patch:
        hang(patch, os, "fsync", "upload_log.json", goes_on)
        refused = post(home, b"no JSON")
    goes_on.set()

    assert refused.code == 400


def test_an_upload_whose_create_ends_after_the_answer_is_found_by_the_next_call(
    home: Home, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller was told to come again: the next call finds the file through its receipt, and logs it once."""
    post(home, {"path": home.put("Data/Meta/first.txt")})
    path = home.put()
    home.drive.faults.add({"on": "files.create", "do": "delay", "ms": 2000})
    answers: list[Answer] = []
    caller = threading.Thread(target=lambda: answers.append(post(home, {"path": path, "if_exists": "skip"})))

    caller.start()
    until(lambda: home.drive.requests.count("files.create") == 4)
    with monkeypatch.context() as patch:
        patch.setattr(shutdown, "_end", Deadline(math.inf))
        shutdown.stop("Stopped.", 0)
    caller.join()
    until(lambda: not any(each.name.endswith("(_run)") for each in threading.enumerate()))
    again = post(home, {"path": path, "if_exists": "skip"})

    (late,) = answers
    assert (late.code, late.entry["reason"], late.entry["message"]) == (503, "deadline_exceeded", "Stopped.")
    assert again.code == 200
    assert statuses(home).count("uploaded") == 2
    assert sorted(home.stored()) == ["MemoryVDB/Meta/first.txt", "MemoryVDB/Meta/note.txt"]
