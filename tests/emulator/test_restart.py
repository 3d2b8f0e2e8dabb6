"""State across restarts, kill -9 included, and the command that serves it."""

import json
import os
import signal
from pathlib import Path

import pytest
import requests

from local_runner.drive_emulator import DriveEmulator
from local_runner.drive_emulator.content.slots import SLOT_BYTES
from tests.emulator.launching import Launch
from tests.emulator.wire import GRANULE, Api

LARGER = 20_000
"""Bytes of a content that has a file of its own."""


def test_everything_is_there_after_a_kill(tmp_path: Path, launch: Launch) -> None:
    """Files, contents, reserved ids, tokens and half a session outlive kill -9."""
    token_file, data = tmp_path / "token.json", tmp_path / "data"
    process, url = launch("--data", str(data), "--write-token", str(token_file))
    headers = {"Authorization": f"Bearer {json.loads(token_file.read_text())['token']}"}
    content = os.urandom(3 * GRANULE)
    reserved = requests.get(f"{url}/drive/v3/files/generateIds", headers=headers, timeout=5).json()["ids"]
    made = requests.post(
        f"{url}/upload/drive/v3/files?uploadType=media", data=b"kept", headers=headers, timeout=5
    ).json()
    start = requests.post(
        f"{url}/upload/drive/v3/files?uploadType=resumable&fields=id,sha256Checksum",
        json={"id": reserved[0], "name": "half"},
        headers=headers,
        timeout=5,
    )
    session = start.headers["Location"]
    first = {"Content-Range": f"bytes 0-{GRANULE - 1}/{len(content)}"}
    requests.put(session, data=content[:GRANULE], headers=first, timeout=5)
    process.send_signal(signal.SIGKILL)
    process.wait()

    _, url_again = launch("--data", str(data))
    session = session.replace(url, url_again)
    kept = requests.put(session, headers={"Content-Range": f"bytes */{len(content)}"}, timeout=5)
    rest = {"Content-Range": f"bytes {GRANULE}-{len(content) - 1}/{len(content)}"}
    done = requests.put(session, data=content[GRANULE:], headers=rest, timeout=5)

    files = {one["id"]: one for one in requests.get(f"{url_again}/emulator/files", timeout=5).json()}
    assert kept.headers["Range"] == f"bytes=0-{GRANULE - 1}"
    assert done.json()["id"] == reserved[0]
    assert set(files) == {made["id"], reserved[0]}
    for file_id, expected in ((made["id"], b"kept"), (reserved[0], content)):
        got = requests.get(f"{url_again}/drive/v3/files/{file_id}?alt=media", headers=headers, timeout=5)
        assert got.content == expected
    again = requests.post(f"{url_again}/drive/v3/files", json={"id": reserved[0]}, headers=headers, timeout=5)
    assert again.status_code == 409


def test_a_torn_last_line_of_the_journal_is_dropped(tmp_path: Path) -> None:
    """What was answered is there; what was being written when it died is not."""
    with DriveEmulator(tmp_path) as drive:
        Api(drive).made({"name": "a"})
    with (tmp_path / "journal.jsonl").open("ab") as journal:
        journal.write(b'["file",{"id":"1ab')

    with DriveEmulator(tmp_path) as drive:
        assert [one["name"] for one in drive.files()] == ["a"]


def test_new_ids_differ_from_those_of_the_last_run(tmp_path: Path) -> None:
    """One seed, two runs on one state: no id comes twice."""
    ids: list[str] = []
    for _ in range(2):
        with DriveEmulator(tmp_path, seed=3) as drive:
            ids += Api(drive).ids(50)

    assert len(set(ids)) == 100


def test_without_data_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content is on disk while it runs, and gone afterwards."""
    with DriveEmulator() as drive:
        Api(drive).multipart({}, bytes(LARGER))
        folder = drive.drive.folder
        assert len(list(folder.glob("content/*/*"))) == 1

    assert not folder.exists()


def test_deleted_content_leaves_the_disk(drive: DriveEmulator, api: Api) -> None:
    """The last use of a blob removes it; a copy is a use."""
    made = api.multipart({}, bytes(LARGER)).json()
    copied = api.call("POST", f"/drive/v3/files/{made['id']}/copy", json={}).json()
    counts = []
    for file_id in (made["id"], copied["id"]):
        api.call("DELETE", f"/drive/v3/files/{file_id}")
        counts.append(len(list(drive.drive.folder.glob("content/*/*"))))

    assert counts == [1, 0]


def test_small_contents_share_a_file(tmp_path: Path) -> None:
    """A slot is used again once nobody uses its content, in this run and in the next; the others keep theirs."""

    def content(drive: DriveEmulator, file_id: str) -> bytes:
        return Api(drive).call("GET", f"/drive/v3/files/{file_id}?alt=media").content

    def slots() -> int:
        return -(-(tmp_path / "content/small").stat().st_size // SLOT_BYTES)

    with DriveEmulator(tmp_path) as drive:
        api = Api(drive)
        ids = [api.multipart({}, f"content {number}".encode()).json()["id"] for number in range(3)]
        api.call("DELETE", f"/drive/v3/files/{ids[1]}")
        again = api.multipart({}, b"in its place").json()["id"]
        assert slots() == 3
        api.call("DELETE", f"/drive/v3/files/{ids[0]}")
    with DriveEmulator(tmp_path) as drive:
        last = Api(drive).multipart({}, b"after a restart").json()["id"]
        found = [content(drive, each) for each in (again, ids[2], last)]

    assert found == [b"in its place", b"content 2", b"after a restart"]
    assert slots() == 3


def test_the_command_shows_each_request_and_ends_on_sigterm(tmp_path: Path, launch: Launch) -> None:
    """`-v` is a line a request; an accepted token works; the token file is private."""
    token_file = tmp_path / "token.json"
    process, url = launch("-v", "--accept-token", "mine", "--write-token", str(token_file))

    ready = requests.get(url, timeout=5)
    answer = requests.get(f"{url}/drive/v3/files", headers={"Authorization": "Bearer mine"}, timeout=5)
    process.terminate()
    _, shown = process.communicate(timeout=10)

    assert (ready.status_code, answer.status_code, process.returncode) == (200, 200, 0)
    assert "200 GET    files.list" in shown
    assert token_file.stat().st_mode & 0o777 == 0o600


def test_a_file_and_its_newest_revision_hold_their_content_once(tmp_path: Path) -> None:
    """As they were uploaded, the revision's line before the file's: a fourth of the memory of a large Drive."""
    with DriveEmulator(tmp_path) as drive:
        made = Api(drive).multipart({"name": "a.txt"}, b"hello").json()

    with DriveEmulator(tmp_path) as drive:
        record = drive.drive.store.files[made["id"]]
        (revision,) = drive.drive.store.revisions[made["id"]]
        assert record.content is revision.content
        assert record.id is revision.file_id
        assert record.head_revision_id is revision.id
        assert record.original_filename is revision.original_filename
        assert Api(drive).get(f"files/{made['id']}", alt="media").content == b"hello"


def test_properties_outlive_restarts_and_compaction(tmp_path: Path) -> None:
    """Public and private ones, packed when they are read back, answered, found, changed, and written anew."""
    with DriveEmulator(tmp_path) as drive:
        api = Api(drive)
        file_id = api.made({"name": "a", "properties": {"k": "v", "é": "ü"}, "appProperties": {"p": "1"}})["id"]
        for number in range(700):
            api.update(file_id, {"description": str(number)})

    for start in range(3):
        with DriveEmulator(tmp_path) as drive:
            api = Api(drive)
            found = api.get(
                "files", q="properties has { key='é' and value='ü' }", fields="files(properties,appProperties)"
            )
            private = {"p": "1"} if start == 0 else {"p": "1", "start": str(start - 1)}
            assert found.json()["files"] == [{"properties": {"k": "v", "é": "ü"}, "appProperties": private}]
            api.update(file_id, {"appProperties": {"start": str(start)}})
