"""One session makes one file, whoever sends what at the same moment and wherever the process is killed."""

import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from local_runner.drive_emulator import DriveEmulator
from tests.emulator.launching import Launch
from tests.emulator.wire import GRANULE, Api

ROUNDS = int(os.environ.get("DRIVE_EMULATOR_ROUNDS", "1"))
"""How many times as many races as usual: 10 of them are the bars of the project."""

Answer = tuple[int, bytes] | None
"""Status and body; None where the connection was cut, as a newer request for the session may do."""


def _send(uri: str, content: bytes, content_range: str | None = None) -> Answer:
    """A chunk on a connection of its own."""
    parts = urlsplit(uri)
    headers = {} if content_range is None else {"Content-Range": content_range}
    with closing(HTTPConnection(parts.netloc, timeout=30)) as connection, suppress(ConnectionError, HTTPException):
        connection.request("PUT", f"{parts.path}?{parts.query}", content, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    return None


def _ask(uri: str, total: int) -> Answer:
    """Where the session is."""
    return _send(uri, b"", f"bytes */{total}")


def _check(drive: DriveEmulator, name: str, content: bytes, answers: list[Answer]) -> None:
    """Exactly one file of that name, whole; every answer is that file's or tells where the session is."""
    found = [one for one in drive.files() if one["name"] == name]
    assert len(found) == 1
    assert drive.content(found[0]["id"]) == content
    given = [answer for answer in answers if answer is not None]
    assert {status for status, _ in given} <= {200, 308}
    assert {json.loads(body)["id"] for status, body in given if status == 200} == {found[0]["id"]}


def test_the_whole_content_sent_twice_makes_one_file(drive: DriveEmulator, api: Api) -> None:
    """A client that gives up and sends again at once, while its first request is still being served."""
    dice = random.Random(1)
    content = os.urandom(2 * GRANULE + 100)
    with ThreadPoolExecutor(2) as pool:
        for number in range(30 * ROUNDS):
            uri = api.session_uri({"name": f"double {number}"}, total=len(content))
            first = pool.submit(_send, uri, content)
            time.sleep(dice.uniform(0, 0.006))
            second = pool.submit(_send, uri, content)
            answers = [first.result(), second.result()]
            _check(drive, f"double {number}", content, [*answers, _ask(uri, len(content))])


def test_last_chunks_in_parallel_make_one_file(drive: DriveEmulator, api: Api) -> None:
    """Three connections bring the last chunk at once, while a fourth asks where the session is."""
    content = os.urandom(GRANULE + 70_000)
    last = f"bytes {GRANULE}-{len(content) - 1}/{len(content)}"
    with ThreadPoolExecutor(4) as pool:
        for number in range(15 * ROUNDS):
            uri = api.session_uri({"name": f"parallel {number}"})
            api.send(uri, content[:GRANULE], f"bytes 0-{GRANULE - 1}/{len(content)}")
            together = threading.Barrier(4)

            def send(uri: str = uri, together: threading.Barrier = together) -> Answer:
                together.wait()
                return _send(uri, content[GRANULE:], last)

            def ask(uri: str = uri, together: threading.Barrier = together) -> Answer:
                together.wait()
                return _ask(uri, len(content))

            sends = [pool.submit(send) for _ in range(3)]
            asked = pool.submit(ask)
            answers = [one.result() for one in (*sends, asked)]
            _check(drive, f"parallel {number}", content, [*answers, _ask(uri, len(content))])


def test_whatever_of_the_journal_survives_the_session_makes_one_file(tmp_path: Path) -> None:
    """The journal is cut behind each of its lines, as a kill cuts it, and the client finishes its upload."""
    content = os.urandom(GRANULE + 70_000)
    with DriveEmulator(tmp_path) as drive:
        api = Api(drive)
        uri = api.session_uri({"name": "a"}, total=len(content))
        begun = len((tmp_path / "journal.jsonl").read_bytes().splitlines())
        api.send(uri, content)
        query = uri.removeprefix(drive.url)
    lines = (tmp_path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    assert len(lines) > begun

    for count in range(begun, len(lines) + 1):
        (tmp_path / "journal.jsonl").write_bytes(b"".join(lines[:count]))
        with DriveEmulator(tmp_path) as drive:
            answer = requests.put(drive.url + query, headers={"Content-Range": f"bytes */{len(content)}"}, timeout=5)
            if answer.status_code == 308:
                answer = requests.put(drive.url + query, data=content, timeout=5)
            assert answer.status_code == 200
            assert [one["name"] for one in drive.files()] == ["a"]
            assert drive.content(answer.json()["id"]) == content


def test_a_kill_at_completion_leaves_one_file(tmp_path: Path, launch: Launch) -> None:
    """kill -9 while the last bytes are being answered: after the restart the same session ends in one file."""
    dice = random.Random(2)
    content = os.urandom(2 * GRANULE)
    data, token = tmp_path / "data", tmp_path / "token.json"
    for number in range(3 * ROUNDS):
        process, url = launch("--data", str(data), "--write-token", str(token))
        headers = {"Authorization": f"Bearer {json.loads(token.read_text())['token']}"}
        start = requests.post(
            f"{url}/upload/drive/v3/files?uploadType=resumable", json={"name": f"k{number}"}, headers=headers, timeout=5
        )
        sender = threading.Thread(target=_send, args=(start.headers["Location"], content))
        sender.start()
        time.sleep(dice.uniform(0, 0.02))
        _kill(process)
        sender.join()

        process, url_again = launch("--data", str(data))
        uri = start.headers["Location"].replace(url, url_again)
        where = requests.put(uri, headers={"Content-Range": f"bytes */{len(content)}"}, timeout=5)
        assert where.status_code in {200, 308}
        assert requests.put(uri, data=content, timeout=5).status_code == 200
        files = requests.get(f"{url_again}/emulator/files", timeout=5).json()
        assert [one["size"] for one in files if one["name"] == f"k{number}"] == [len(content)]
        _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("ending", ["no last chunk", "fewer bytes than announced"])
@pytest.mark.parametrize("path", ["/upload/drive/v3/files?uploadType=multipart", "/batch/drive/v3"])
def test_a_request_that_never_ended_makes_nothing(drive: DriveEmulator, api: Api, ending: str, path: str) -> None:
    """The closing boundary arrived and the end of the request didn't, as Go's client does when an upload fails."""
    if path.startswith("/batch"):
        kind = "multipart/mixed"
        parts = [b"POST /drive/v3/files HTTP/1.1\r\nContent-Length: 14\r\n\r\n" + b'{"name": "no"}']
    else:
        kind = "multipart/related"
        parts = [b'{"name": "no"}', b"content"]
    body = b"".join(b"--B\r\nContent-Type: application/json\r\n\r\n" + part + b"\r\n" for part in parts) + b"--B--\r\n"
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {api.token}\r\n"
    head += f"Content-Type: {kind}; boundary=B\r\n"
    if ending == "no last chunk":
        sent = head.encode() + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(body), body)
    else:
        sent = head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body) + 1, body)

    assert _answer_to(drive, sent) == b""
    assert drive.files() == []
    assert list((drive.drive.folder / "parts").iterdir()) == []


def _answer_to(drive: DriveEmulator, sent: bytes) -> bytes:
    """What comes back for these bytes when nothing follows them."""
    with socket.create_connection(("127.0.0.1", drive.port), timeout=10) as sock:
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
        received = b""
        with suppress(ConnectionResetError):
            while block := sock.recv(65536):
                received += block
        return received
