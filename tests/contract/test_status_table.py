"""Every row of the contract's status table, met from outside: what happened, the answer's code, and the entry.

Each case makes its trouble in a home and returns the payload that meets it, with the word that the message must hold
(the field, the file or the folder it is about).
"""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from function.core.errors import HTTP_CODE
from function.core.naming import state_key
from function.core.retry import Deadline
from function.state.locks import Locks
from function.upload.item import receipt_name
from local_runner.drive_emulator import DriveEmulator
from tests.support.between import between
from tests.support.home import Answer, Home, Post
from tests.support.owner import Owner
from tests.support.privileges import permissions_count

Payload = Any
NOTE = "Data/Meta/note.txt"
DESTINATION = "MemoryVDB/Meta/note.txt"


@dataclass(frozen=True, slots=True)
class Trouble:
    """A home in which to make trouble, for as long as a test lasts."""

    home: Home
    lasting: ExitStack

    @property
    def drive(self) -> DriveEmulator:
        """The home's Drive."""
        return self.home.drive

    def always(self, on: str, **fault: Any) -> Payload:
        """A payload whose upload meets a fault whenever it asks that of Drive."""
        self.drive.faults.add({"on": on, "times": 1000, **fault})
        return {"path": self.home.put()}


@pytest.fixture
def trouble(home: Home) -> Iterator[Trouble]:
    """A home, and room for what lasts."""
    with ExitStack() as lasting:
        yield Trouble(home, lasting)


def outside(trouble: Trouble) -> Payload:
    """A path that leaves Data/ by `..`."""
    trouble.home.write("secret.txt", "mine")
    return {"path": "Data/../secret.txt"}


def unreadable(trouble: Trouble) -> Payload:
    """A file that nobody may read."""
    (trouble.home.folder / trouble.home.put()).chmod(0)
    trouble.lasting.enter_context(permissions_count())
    return {"path": NOTE}


def taken(trouble: Trouble) -> Payload:
    """The owner has a file of that name."""
    Owner(trouble.drive).make(DESTINATION)
    return {"path": trouble.home.put(), "if_exists": "fail"}


def no_such_root(trouble: Trouble) -> Payload:
    """A drive root that is not there."""
    trouble.home.settings(drive_root={"folder_id": "no-such-folder"})
    return {"path": trouble.home.put()}


def too_large(trouble: Trouble) -> Payload:
    """Drive calls the file too large."""
    return trouble.always("upload.start", do="status", status=413, reason="uploadTooLarge") | {
        "path": trouble.home.put(content=bytes(6_000_000))
    }


def no_token(trouble: Trouble) -> Payload:
    """No token file."""
    (trouble.home.folder / "drive_token.json").unlink()
    return {"path": trouble.home.put()}


def token_of_nonsense(trouble: Trouble) -> Payload:
    """A token file that is no JSON."""
    trouble.home.write("drive_token.json", "{")
    return {"path": trouble.home.put()}


def revoked(trouble: Trouble) -> Payload:
    """A grant that was revoked."""
    token = trouble.drive.authorized_user() | {"expiry": "2020-01-01T00:00:00Z", "refresh_token": "revoked"}
    trouble.home.write("drive_token.json", json.dumps(token))
    return {"path": trouble.home.put()}


def held_elsewhere(trouble: Trouble) -> Payload:
    """Another invocation holds the lock of the destination."""
    state = trouble.home.folder / ".drive_upload"
    token = trouble.drive.authorized_user()["token"]
    about = f"{trouble.drive.url}/drive/v3/about?fields=user(permissionId)"
    user = requests.get(about, headers={"authorization": f"Bearer {token}"}, timeout=10).json()["user"]["permissionId"]
    name = receipt_name(state_key(f"{user}\0root\0"), "MemoryVDB/Meta", "note.txt")
    trouble.lasting.enter_context(Locks(state.parent, state / "locks", "native").of(name, Deadline.after(1)))
    trouble.home.settings(deadline_s=3)
    return {"path": trouble.home.put(content="other")}


def no_answer_from_anyone(trouble: Trouble) -> Payload:
    """A port where nobody listens."""
    trouble.home.settings(deadline_s=60)
    closed = trouble.lasting.enter_context(socket.create_server(("127.0.0.1", 0)))
    host, port = closed.getsockname()
    closed.close()
    trouble.home.environ["DRIVE_EMULATOR_HOST"] = f"{host}:{port}"
    return {"path": trouble.home.put()}


def short_of_time(on: str, **fault: Any) -> Callable[[Trouble], Payload]:
    """A fault that lasts longer than the time budget."""

    def make(trouble: Trouble) -> Payload:
        trouble.home.settings(deadline_s=4)
        return trouble.always(on, **fault)

    return make


def edited_meanwhile(trouble: Trouble) -> Payload:
    """The source is written to while Drive takes it."""
    path = trouble.home.folder / trouble.home.put()

    def edit(method: str, url: str, body: bytes) -> None:
        if "uploadType=multipart" in url:
            path.write_bytes(b"another memory\n")

    trouble.home.environ["DRIVE_EMULATOR_HOST"] = trouble.lasting.enter_context(between(trouble.drive.url, edit))
    return {"path": NOTE}


def stored_wrongly(trouble: Trouble) -> Payload:
    """Drive reports another checksum than the content's."""

    def damage(method: str, url: str, body: bytes) -> bytes:
        document = json.loads(body or b"{}")
        if "md5Checksum" in document:
            return json.dumps(document | {"md5Checksum": "0" * 32}).encode()
        return body

    trouble.home.environ["DRIVE_EMULATOR_HOST"] = trouble.lasting.enter_context(
        between(trouble.drive.url, after=damage)
    )
    return {"path": trouble.home.put()}


def state_is_a_file(trouble: Trouble) -> Payload:
    """A file stands where the state's folder should be."""
    trouble.home.write(".drive_upload", "not a folder")
    return {"path": trouble.home.put()}


def refused(status: int, reason: str, on: str = "files.create") -> Callable[[Trouble], Payload]:
    """A refusal that Drive repeats for ever."""
    path = "/upload/" if on == "files.create" else ""  # of the content, not of the folders above it
    return lambda trouble: trouble.always(on, do="status", status=status, reason=reason, path=path)


@dataclass(frozen=True, slots=True)
class Row:
    """What makes the trouble, and what the answer must be."""

    reason: str
    make: Callable[[Trouble], Payload]
    names: str
    destination: str | None = DESTINATION


ROWS = [
    Row("invalid_payload", lambda trouble: {"path": 7}, "path", None),
    Row("batch_too_large", lambda trouble: {"files": [{"path": NOTE}] * 1001}, "files", None),
    Row("path_outside_data_root", outside, "Data/../secret.txt", None),
    Row("source_missing", lambda trouble: {"path": NOTE}, "note.txt"),
    Row("source_not_a_file", lambda trouble: {"path": os.path.dirname(trouble.home.put())}, "Meta", "MemoryVDB/Meta"),
    Row("source_unreadable", unreadable, "note.txt"),
    Row("destination_exists", taken, DESTINATION),
    Row("drive_rejected", refused(400, "invalid"), "invalid"),
    Row("drive_root_not_found", no_such_root, "no-such-folder", "no-such-folder/Meta/note.txt"),
    Row("permission_denied", refused(403, "insufficientParentPermissions"), "insufficientParentPermissions"),
    Row("permission_denied", refused(403, "domainPolicy", "files.list"), "domainPolicy"),
    Row("file_too_large", too_large, "uploadTooLarge"),
    Row("credentials_missing", no_token, "drive_token.json"),
    Row("credentials_invalid", token_of_nonsense, "drive_token.json"),
    Row("credentials_invalid", refused(403, "insufficientPermissions", "files.list"), "scope"),
    Row("credentials_invalid", refused(401, "authError", "*"), "token"),
    Row("credentials_expired", revoked, "drive_token.json"),
    Row("locked", held_elsewhere, ".lock"),
    Row("rate_limited", short_of_time("*", do="status", status=403, reason="userRateLimitExceeded"), "Drive"),
    Row("rate_limited", short_of_time("*", do="status", status=429), "Drive"),
    Row("rate_limited", refused(403, "dailyLimitExceeded"), "tomorrow"),
    Row("storage_quota_exceeded", lambda trouble: trouble.always("files.create", do="full_storage"), "space"),
    Row("storage_quota_exceeded", refused(403, "numChildrenInNonRootLimitExceeded"), "move some elsewhere"),
    Row("drive_unavailable", short_of_time("*", do="status", status=503), "503"),
    Row("network", no_answer_from_anyone, "connection"),
    Row("network", short_of_time("*", do="reset_before"), "connection"),
    Row("deadline_exceeded", short_of_time("*", do="delay", ms=9000), "deadline_s"),
    Row("source_changed", edited_meanwhile, "note.txt"),
    Row("checksum_mismatch", stored_wrongly, DESTINATION),
    Row("volume_unavailable", state_is_a_file, ".drive_upload"),
]


def test_every_reason_has_a_row() -> None:
    """The table here is the whole table of the contract; without settings and for secrets there are tests apart."""
    assert {row.reason for row in ROWS} == set(HTTP_CODE) - {"settings_invalid", "source_forbidden"}


@pytest.mark.usefixtures("short_waits")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.reason}-{getattr(row.make, '__name__', '')}")
def test_a_row_of_the_status_table(row: Row, trouble: Trouble, post: Post) -> None:
    """The code, Retry-After where it is 503, one entry in the log, and a sentence that names what it is about."""
    payload = row.make(trouble)

    answer = post(trouble.home, payload)

    entry = answer.entry
    assert (entry["reason"], answer.code) == (row.reason, HTTP_CODE[row.reason]), entry["message"]
    assert answer.body["status"] == entry["status"] == "failed"
    assert ("Retry-After" in answer.headers) == (answer.code == 503)
    assert int(answer.headers.get("Retry-After", 1)) >= 1
    assert entry["retryable"] == (answer.code == 503)
    assert row.names in entry["message"]
    assert entry["message"].endswith("."), entry["message"]
    assert entry["destination"] == row.destination
    assert_logged(trouble.home, answer)
    assert_nothing_twice(trouble.home)


def assert_logged(home: Home, answer: Answer) -> None:
    """The log tells the same as the answer; in a refusal of the payload, without the payload."""
    assert home.log()[-1] == answer.entry
    assert answer.code != 400 or answer.entry["path"] is answer.entry["metadata"] is None


def assert_nothing_twice(home: Home) -> None:
    """A failed upload leaves no file that looks like an uploaded one, and no folder twice."""
    done = {each["file_id"] for each in home.log() if each["status"] == "uploaded"}
    assert len(set(home.folders())) == len(home.folders())
    assert len(home.stored()) <= len(done) + 2


def test_a_failure_leaves_the_source_alone(home: Home, post: Post) -> None:
    """Content, times and mode of the source are what they were."""
    path = home.folder / home.put()
    before = (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode)
    home.drive.faults.add({"on": "files.create", "do": "full_storage", "times": 9})

    post(home, {"path": NOTE})

    assert (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode) == before


@pytest.mark.parametrize("seconds", [100, 3600])
def test_drives_own_retry_after_is_passed_on(home: Home, post: Post, seconds: int) -> None:
    """A Retry-After that leaves no time in this invocation is what the caller is told."""
    home.settings(deadline_s=30)
    home.drive.faults.add({"do": "status", "status": 429, "retry_after": seconds, "times": 99})

    answer = post(home, {"path": home.put()})

    assert (answer.code, answer.entry["reason"]) == (503, "rate_limited")
    assert seconds - 30 <= int(answer.headers["Retry-After"]) <= seconds + 1


def test_a_file_beyond_drives_limit_is_refused_unread(home: Home, post: Post) -> None:
    """5 TiB and a byte: refused at once, without a request."""
    path = home.put()
    try:
        os.truncate(home.folder / path, 5 * 1024**4 + 1)
    except OSError as error:
        pytest.skip(f"this file system can't hold a sparse file of 5 TiB: {error}")

    answer = post(home, {"path": path})

    assert (answer.code, answer.entry["reason"]) == (422, "file_too_large")
    assert not home.drive.requests.count("files.create")


def test_a_home_that_is_gone_is_said(home: Home, post: Post, tmp_path: Path) -> None:
    """Without settings nothing can be logged, but the answer says which file is missing."""
    (home.folder / "paths.json").unlink()

    answer = post(home, {"path": NOTE})

    assert (answer.code, answer.entry["reason"]) == (503, "settings_invalid")
    assert answer.headers["Retry-After"] == "3600"
    assert str(home.folder / "paths.json") in answer.entry["message"]


def test_what_cannot_be_logged_is_not_called_done(home: Home, post: Post) -> None:
    """The log's place is taken by a folder: 503, and the next call, once it can log, logs the upload."""
    (home.folder / "upload_log.json").mkdir()
    path = home.put()

    first = post(home, {"path": path})
    (home.folder / "upload_log.json").rmdir()
    second = post(home, {"path": path})

    assert (first.code, first.entry["reason"]) == (503, "volume_unavailable")
    assert "upload_log.json" in first.entry["message"]
    assert second.body["status"] == "uploaded"
    assert [each["status"] for each in home.log()] == ["uploaded"]
    assert list(home.stored()) == [DESTINATION]


@pytest.mark.parametrize("make", [no_token, no_such_root, refused(403, "insufficientParentPermissions")])
def test_what_a_person_must_mend_waits_an_hour(
    make: Callable[[Trouble], Payload], trouble: Trouble, post: Post
) -> None:
    """A queue that came back every few seconds would only cost requests."""
    assert post(trouble.home, make(trouble)).headers["Retry-After"] == "3600"


@pytest.mark.usefixtures("short_waits")
def test_what_waits_for_a_person_does_not_hold_up_a_batch(trouble: Trouble, post: Post) -> None:
    """The answer names the time after which the first of its files can succeed."""
    trouble.home.settings(deadline_s=60)
    trouble.drive.faults.add({"on": "files.create", "nth": 3, "do": "status", "status": 403, "reason": "domainPolicy"})
    trouble.drive.faults.add({"on": "files.create", "nth": 4, "do": "status", "status": 503, "times": 99})
    paths = [trouble.home.put(f"Data/Meta/{name}.txt", name) for name in ("one", "two")]

    answer = post(trouble.home, {"files": [{"path": path} for path in paths]})

    assert {each["reason"] for each in answer.entries} == {"permission_denied", "drive_unavailable"}
    assert answer.headers["Retry-After"] == "30"
