"""It must not go deaf: out of descriptors, out of disk, on nonsense, beside another emulator."""

import json
import resource
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from local_runner.drive_emulator import DriveEmulator, ServerOptions
from local_runner.drive_emulator.http import read, tls
from local_runner.drive_emulator.methods import about
from local_runner.drive_emulator.storage.state import DataFolderInUse
from tests.emulator import fuzz
from tests.emulator.launching import Launch
from tests.emulator.wire import Api


def test_out_of_descriptors_it_waits_and_goes_on(launch: Launch) -> None:
    """Three hundred connections at once are more than 256 descriptors; once they are closed it serves as before."""
    _, url = launch(limits={resource.RLIMIT_NOFILE: 256})
    host, port = url.removeprefix("http://").split(":")
    with ExitStack() as connections:
        for _ in range(300):
            connections.enter_context(closing(socket.create_connection((host, int(port)), timeout=10)))

    assert requests.get(f"{url}/emulator/accounts", timeout=30).status_code == 200


@pytest.mark.parametrize("size", [100, 60_000], ids=["small", "with a file of its own"])
def test_a_full_disk_refuses_and_loses_nothing(tmp_path: Path, launch: Launch, size: int) -> None:
    """Files may grow to 200 KB: uploads are 503 from there on, and what was acknowledged is readable, also later."""
    data, token = tmp_path / "data", tmp_path / "token.json"
    flags = ("--data", str(data), "--write-token", str(token))
    process, url = launch(*flags, limits={resource.RLIMIT_FSIZE: 200_000})
    headers = {"Authorization": f"Bearer {json.loads(token.read_text())['token']}"}
    kept: dict[str, bytes] = {}
    statuses = []
    for number in range(400):
        content = str(number).zfill(size).encode()
        made = requests.post(f"{url}/upload/drive/v3/files?uploadType=media", data=content, headers=headers, timeout=10)
        statuses.append(made.status_code)
        if made.status_code == 200:
            kept[made.json()["id"]] = content
        elif statuses[-20:] == [503] * 20:
            break
    assert set(statuses) == {200, 503}

    def check(url: str) -> None:
        files = requests.get(f"{url}/emulator/files", timeout=10).json()
        assert {one["id"] for one in files} == set(kept)
        for file_id, content in kept.items():
            got = requests.get(f"{url}/drive/v3/files/{file_id}?alt=media", headers=headers, timeout=10)
            assert got.content == content

    check(url)
    process.kill()
    process.wait()
    _, url_again = launch("--data", str(data))
    check(url_again)


def test_on_a_full_disk_it_starts_and_what_frees_space_is_done(tmp_path: Path, launch: Launch) -> None:
    """Through kill -9 and a restart: one can sign in, read and delete; writes say why not."""
    data, token = tmp_path / "data", tmp_path / "token.json"
    flags = ("--data", str(data), "--write-token", str(token), "--accept-token", "mine")
    full = {resource.RLIMIT_FSIZE: 100_000}
    headers = {"Authorization": "Bearer mine"}
    process, url = launch(*flags, limits=full)
    made = []
    while (answer := requests.post(f"{url}/drive/v3/files", json={}, headers=headers, timeout=10)).status_code == 200:
        made.append(answer.json()["id"])
    assert answer.status_code == 503
    assert "deleting may still be possible" in answer.json()["error"]["message"]
    assert len(made) > 20

    for deleted in range(10):
        process.kill()
        process.wait()
        process, url = launch(*flags, limits=full)
        user = json.loads(token.read_text())
        asked = {
            "grant_type": "refresh_token",
            **{key: user[key] for key in ("refresh_token", "client_id", "client_secret")},
        }
        fresh = requests.post(f"{url}/token", data=asked, timeout=10).json()["access_token"]
        gone = requests.delete(
            f"{url}/drive/v3/files/{made[deleted]}", headers={"Authorization": f"Bearer {fresh}"}, timeout=10
        )
        listed = requests.get(f"{url}/drive/v3/files?pageSize=1000", headers=headers, timeout=10).json()["files"]
        renamed = requests.patch(f"{url}/drive/v3/files/{made[-1]}", json={"name": "b"}, headers=headers, timeout=10)
        assert (gone.status_code, renamed.status_code) == (204, 503)
        assert {one["id"] for one in listed} == set(made[deleted + 1 :])

    process.kill()
    process.wait()
    _, url = launch(*flags)
    assert requests.post(f"{url}/drive/v3/files", json={}, headers=headers, timeout=10).status_code == 200


@pytest.mark.parametrize("damaged", [False, True], ids=["out of date", "damaged"])
def test_a_journal_that_cannot_be_written_anew_goes_on(tmp_path: Path, launch: Launch, damaged: bool) -> None:
    """The disk has no room for a second one: everything is there all the same, and nothing half-made is left."""
    data = tmp_path / "data"
    with DriveEmulator(data, accept_tokens=["mine"]) as drive:
        api = Api(drive)
        kept = [api.made({"name": "x" * 100})["id"] for _ in range(300)]
        for number in range(0 if damaged else 1300):
            api.update(kept[0], {"description": str(number)})
    if damaged:
        with (data / "journal.jsonl").open("rb+") as journal:
            journal.readline()
            journal.write(b"?")

    process, url = launch("--data", str(data), "--accept-token", "mine", limits={resource.RLIMIT_FSIZE: 50_000})
    files = requests.get(f"{url}/emulator/files", timeout=10).json()

    assert {one["id"] for one in files} == set(kept)
    assert not list(data.glob("*.new"))
    process.terminate()
    assert "not written anew" in process.communicate(timeout=10)[1]


def test_a_bad_line_in_the_middle_of_a_journal_is_stepped_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is reported with its number, everything else is there, and the damaged journal is kept."""
    with DriveEmulator(tmp_path) as drive:
        api = Api(drive)
        for name in ("a", "b", "c"):
            api.multipart({"name": name}, name.encode())
    journal = tmp_path / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if b'"name":"b"' in line)
    lines[at] = lines[at][:40] + b"\xff garbage\n"
    journal.write_bytes(b"".join(lines))

    with DriveEmulator(tmp_path) as drive:
        contents = {one["name"]: drive.content(one["id"]) for one in drive.files()}

    assert contents == {"a": b"a", "c": b"c"}
    assert f"line {at + 1} can't be read" in capsys.readouterr().err
    assert (tmp_path / "journal-damaged-1.jsonl").read_bytes() == b"".join(lines)


def test_whatever_line_of_the_journal_is_bad_it_serves(tmp_path: Path) -> None:
    """What refers to a record that is gone is no 500."""
    with DriveEmulator(tmp_path) as drive:
        api = Api(drive)
        api.call("POST", "/drive/v3/drives?requestId=1", json={"name": "D"})
        kept = api.multipart({"name": "a"}, b"a").json()["id"]
        api.update(kept, {"name": "b"})
        api.call("DELETE", f"/drive/v3/files/{api.made({})['id']}")
        token = api.token
    lines = (tmp_path / "journal.jsonl").read_bytes().splitlines(keepends=True)

    for at in range(len(lines)):
        (tmp_path / "journal.jsonl").write_bytes(b"".join([*lines[:at], b"?\n", *lines[at + 1 :]]))
        with DriveEmulator(tmp_path) as drive:
            for path in ("files?fields=*", "drives", "changes?pageToken=1&fields=*", "about?fields=*", "files/root"):
                answer = requests.get(
                    f"{drive.url}/drive/v3/{path}", headers={"Authorization": f"Bearer {token}"}, timeout=5
                )
                assert answer.status_code in {200, 401, 404}, answer.text


def test_a_journal_that_is_mostly_out_of_date_is_written_anew(tmp_path: Path) -> None:
    """Many changes of one file: the next start keeps what counts, and the change feed goes on where it was."""
    with DriveEmulator(tmp_path) as drive:
        api = Api(drive)
        file_id = api.multipart({"name": "a"}, b"content").json()["id"]
        for number in range(700):
            api.update(file_id, {"description": str(number)})
        token = api.get("changes/startPageToken").json()["startPageToken"]
        size = (tmp_path / "journal.jsonl").stat().st_size

    with DriveEmulator(tmp_path) as drive:
        api = Api(drive)
        assert (tmp_path / "journal.jsonl").stat().st_size < size / 10
        assert api.get(f"files/{file_id}", fields="description").json()["description"] == "699"
        assert drive.content(file_id) == b"content"
        assert api.get("changes/startPageToken").json()["startPageToken"] == token
        assert [one["fileId"] for one in api.get("changes", pageToken="1").json()["changes"]] == [file_id]


BAD_CALLS: list[tuple[str, str, Any]] = [
    ("POST", "/emulator/accounts", {"email": "a@example.com", "storage_limit": "x"}),
    ("POST", "/emulator/accounts", {"email": "a@example.com", "storage_limit": -1}),
    ("POST", "/emulator/accounts", {"email": 5}),
    ("POST", "/emulator/accounts", {"email": "no address"}),
    ("POST", "/emulator/accounts", ["a@example.com"]),
    ("PATCH", "/emulator/weather", {"latency_ms": -5}),
    ("PATCH", "/emulator/weather", {"advance_s": 1e300}),
    ("PATCH", "/emulator/weather", {"writes_per_s": 0}),
    ("PATCH", "/emulator/weather", {"error_rate": 2}),
    ("PATCH", "/emulator/weather", b'{"latency_ms": NaN}'),
    ("PATCH", "/emulator/weather", []),
    ("POST", "/emulator/faults", {"do": "status", "status": 7}),
    ("POST", "/emulator/faults", {"do": "status", "headers": {"a": "b\r\nc: d"}}),
    ("POST", "/emulator/faults", {"do": "delay", "ms": -1}),
    ("POST", "/emulator/faults", {"do": "delay", "nth": "x"}),
    ("POST", "/emulator/faults", ["delay"]),
    ("POST", "/emulator/faults", b'{"do": "status", "body": "\\ud800"}'),
    ("POST", "/drive/v3/files", b'{"name": "\\ud800"}'),
    ("POST", "/drive/v3/files", {"modifiedTime": "0001-01-01T00:00:00+14:00"}),
    ("POST", "/drive/v3/files", {"modifiedTime": "9999-12-31T23:59:59-14:00"}),
    ("PUT", "/drive/v2/files/root", {"parents": [{}]}),
    ("PUT", "/drive/v2/files/root", {"parents": [None]}),
    ("GET", f"/drive/v3/changes?pageToken={'9' * 6000}", None),
    ("GET", f"/drive/v3/files/root/permissions?pageToken={'OTk5' * 2000}", None),
    ("GET", f"/drive/v2/changes?startChangeId={'9' * 6000}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), BAD_CALLS)
def test_bad_calls_are_refused_at_the_door(drive: DriveEmulator, api: Api, method: str, path: str, body: Any) -> None:
    """400, and everything is as before."""
    data = body if isinstance(body, bytes) else json.dumps(body) if body is not None else None
    answer = api.call(method, path, data=data, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400, answer.text
    assert api.get("files").json()["files"] == []
    assert api.made({"name": "after"})["name"] == "after"


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"])
def test_the_first_and_the_last_year_come_back_as_they_went(api: Api, time: str) -> None:
    """RFC 3339 has four digits for a year, also where strftime would write one."""
    made = api.made({"name": "old", "modifiedTime": time})

    assert made["modifiedTime"].removesuffix("Z").removesuffix(".000") == time.removesuffix("Z")
    assert api.get("files", fields="*").status_code == 200


def test_what_is_a_500_all_the_same_is_printed_and_recorded(
    drive: DriveEmulator, api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bug shows with its trace, and the record of requests counts it."""

    def break_down(call: object) -> dict[str, str]:
        raise RuntimeError("a bug of the emulator")

    monkeypatch.setattr(about, "storage_quota", break_down)

    assert api.get("about", fields="*").status_code == 500
    assert "a bug of the emulator" in capsys.readouterr().err
    assert drive.requests.of("about.get")[-1].status == 500


def test_two_emulators_never_share_a_data_folder(tmp_path: Path) -> None:
    """The second one is refused, and the folder is free again when the first ends."""
    with DriveEmulator(tmp_path), pytest.raises(DataFolderInUse, match="in use by another"):
        DriveEmulator(tmp_path)
    with DriveEmulator(tmp_path) as drive:
        assert Api(drive).made({"name": "a"})


def _taken_port(tmp_path: Path) -> list[str]:
    return ["--port", "{port}"]


def _no_host(tmp_path: Path) -> list[str]:
    return ["--port", "0", "--host", "203.0.113.7"]


def _no_name(tmp_path: Path) -> list[str]:
    return ["--port", "0", "--host", "300.1.1.1"]


def _no_state(tmp_path: Path) -> list[str]:
    (tmp_path / "state").write_text("of something else")
    return ["--port", "0", "--load", str(tmp_path / "state")]


def _unwritable(tmp_path: Path) -> list[str]:
    (tmp_path / "file").write_text("in the way")
    return ["--port", "0", "--data", str(tmp_path / "file/data")]


def _used(tmp_path: Path) -> list[str]:
    return ["--port", "0", "--data", "{data}"]


def _token_of_another(tmp_path: Path) -> list[str]:
    (tmp_path / "token.json").write_text('{"token": "ya29.real", "client_id": "mine.apps.googleusercontent.com"}')
    return ["--port", "0", "--write-token", str(tmp_path / "token.json")]


def _certificate_of_another(tmp_path: Path) -> list[str]:
    tls.Tls(tmp_path / "tls")
    chain = (tmp_path / "tls/server.pem").read_bytes()
    shutil.rmtree(tmp_path / "tls")
    (tmp_path / "bundle.pem").write_bytes(chain[chain.index(b"-----BEGIN CERTIFICATE") :])
    return ["--port", "0", "--write-ca", str(tmp_path / "bundle.pem")]


def _no_folder(tmp_path: Path) -> list[str]:
    return ["--port", "0", "--write-token", str(tmp_path / "nowhere/token.json")]


def _bad_flag(tmp_path: Path) -> list[str]:
    return ["--port", "0", "--latency-ms", "-5"]


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (_taken_port, 75, "is taken"),
        (_no_host, 64, "is no address of this machine"),
        (_no_name, 64, "--host: 300.1.1.1 is no address of this machine"),
        (_no_state, 64, "is no saved state of a Drive emulator"),
        (_unwritable, 78, "Not a directory"),
        (_used, 75, "in use by another"),
        (_token_of_another, 78, "no Drive emulator wrote"),
        (_certificate_of_another, 78, "no Drive emulator wrote"),
        (_no_folder, 78, "--write-token: "),
        (_bad_flag, 64, "latency_ms"),
    ],
)
def test_what_keeps_it_from_starting_is_said_in_one_line(
    tmp_path: Path, flags: Callable[[Path], list[str]], code: int, said: str
) -> None:
    """No trace, an exit code, and nothing of others is touched."""
    given = flags(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    data = tmp_path / "data"
    with DriveEmulator(data) as drive:
        command = [sys.executable, "-m", "local_runner.drive_emulator"]
        command += [each.format(port=drive.port, data=data) for each in given]
        run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert (run.returncode, run.stderr.count("\n")) == (code, 1), run.stderr
    assert said in run.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path != data} == before


@pytest.mark.parametrize(
    "flags", [["--port", "x"], ["--nonsense"], ["--allow-origin", "x"], ["--seed-from", "nowhere"]]
)
def test_wrong_usage_exits_with_64(flags: list[str]) -> None:
    """As the command's help says, and as every command of the package does."""
    command = [sys.executable, "-m", "local_runner.drive_emulator", *flags]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert run.returncode == 64
    assert "Error: " in run.stderr


def test_an_authority_half_written_is_made_anew(tmp_path: Path) -> None:
    """A kill or a full disk left a file that is no certificate: https works all the same, and clients can get it."""
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls/authority.pem").write_bytes(b"-----BEGIN PRIVATE KEY-----\nMIG")

    with DriveEmulator(tmp_path, options=ServerOptions(https=True)) as drive:
        (tmp_path / "ca.pem").write_bytes(drive.ca_pem)
        assert requests.get(f"{drive.url}/emulator/health", verify=str(tmp_path / "ca.pem"), timeout=10).ok


def test_a_token_of_an_emulator_is_replaced(tmp_path: Path, launch: Launch) -> None:
    """The file is there before anybody is answered."""
    token = tmp_path / "token.json"
    texts = []
    for _ in range(2):
        process, url = launch("--write-token", str(token))
        assert json.loads(token.read_text())["token_uri"] == f"{url}/token"
        texts.append(token.read_text())
        process.kill()
        process.wait()
    assert texts[0] != texts[1]


def test_an_error_rate_of_one_spares_the_emulators_own_addresses(drive: DriveEmulator, api: Api) -> None:
    """Otherwise nobody could turn it off again over HTTP."""
    assert api.call("PATCH", "/emulator/weather", json={"error_rate": 1}).status_code == 200
    assert api.get("files").status_code == 503
    assert api.call("PATCH", "/emulator/weather", json={"error_rate": 0}).status_code == 200
    assert api.get("files").status_code == 200


def test_half_a_request_head_is_given_up(drive: DriveEmulator, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is answered 400 and closed after the limit; one that rests before a request stays open."""
    assert read.HEAD_LIMIT_S == 60
    monkeypatch.setattr(read, "HEAD_LIMIT_S", 0.2)
    with (
        closing(socket.create_connection(("127.0.0.1", drive.port), timeout=10)) as resting,
        closing(socket.create_connection(("127.0.0.1", drive.port), timeout=10)) as half,
    ):
        half.sendall(b"GET / HTTP/1.1\r\nHost: 127.")
        received = b"".join(iter(lambda: half.recv(65536), b""))
        resting.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answered = resting.recv(65536)

    assert received.startswith(b"HTTP/1.1 400 ")
    assert answered.startswith(b"HTTP/1.1 200 ")


def test_delays_run_in_parallel(drive: DriveEmulator, api: Api) -> None:
    """All of them have begun before the first ends: none waits for another."""
    drive.faults.add({"on": "files.create", "do": "delay", "ms": 400, "times": 8})
    clients = [Api(drive) for _ in range(8)]
    made: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda one=one: made.append(one.made({}))) for one in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    spans = [record.duration_ms for record in drive.requests.of("files.create")]
    assert len(made) == 8
    assert min(spans) >= 400
    assert max(spans) < 8 * 400


def test_answers_that_no_drive_gives(drive: DriveEmulator, api: Api) -> None:
    """A proxy's page, a redirect, a cut JSON, an incomplete search, a listing without parents: each is one fault."""
    drive.faults.add(
        {"on": "files.list", "do": "status", "status": 403, "body": "<h1>Blocked</h1>", "content_type": "text/html"},
        {"on": "files.list", "do": "status", "status": 302, "headers": {"Location": "http://login.invalid/"}},
        {"on": "files.list", "do": "status", "status": 407, "headers": {"Proxy-Authenticate": "Basic"}, "body": ""},
        {"on": "files.list", "do": "status", "status": 404, "body": ""},
        {"on": "files.list", "do": "shorten_answer"},
        {"on": "files.list", "do": "edit_answer", "set": {"incompleteSearch": True}, "drop": ["files.parents"]},
        {"on": "files.create", "do": "status", "status": 403, "done_first": True, "body": "no"},
    )

    def listed() -> requests.Response:
        return api.call("GET", "/drive/v3/files?fields=*", allow_redirects=False)

    blocked, redirected, proxy, bare, short, edited = (listed() for _ in range(6))
    assert (blocked.status_code, blocked.text, blocked.headers["Content-Type"]) == (
        403,
        "<h1>Blocked</h1>",
        "text/html",
    )
    assert (redirected.status_code, redirected.headers["Location"]) == (302, "http://login.invalid/")
    assert (proxy.status_code, proxy.headers["Proxy-Authenticate"], proxy.content) == (407, "Basic", b"")
    assert (bare.status_code, bare.content) == (404, b"")
    assert short.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        short.json()
    assert edited.json()["incompleteSearch"] is True
    answer = api.create({"name": "made all the same"})
    assert (answer.status_code, answer.text) == (403, "no")
    assert [one["name"] for one in drive.files()] == ["made all the same"]
    drive.faults.add({"on": "files.list", "do": "edit_answer", "drop": ["files.parents"]})
    assert ["parents" in one for one in listed().json()["files"]] == [False]


@pytest.mark.parametrize("seed", [1, 2])
def test_calls_at_random_are_never_a_500(tmp_path: Path, seed: int) -> None:
    """Nonsense of all kinds, and a restart after each thousand. (`python -m tests.emulator.fuzz` runs longer.)"""
    statuses = fuzz.run(1100, seed, tmp_path)

    assert {200, 400, 404} <= statuses.keys()


def test_sixteen_writers_and_a_kill_lose_nothing_acknowledged(tmp_path: Path, launch: Launch) -> None:
    """kill -9 in the middle of it, twice: every file that was answered 200 is there, whole, and none is there twice."""
    data, token = tmp_path / "data", tmp_path / "token.json"
    acknowledged: dict[str, bytes] = {}
    process, url = launch("--data", str(data), "--write-token", str(token))
    headers = {"Authorization": f"Bearer {json.loads(token.read_text())['token']}"}
    for _ in range(2):
        enough = threading.Event()

        def write(thread: int, url: str = url, enough: threading.Event = enough) -> None:
            with requests.Session() as session, suppress(requests.RequestException):
                for number in range(10_000):
                    content = f"{thread} {number} {len(acknowledged)}".encode() * (1 + 3000 * (number % 2))
                    made = session.post(
                        f"{url}/upload/drive/v3/files?uploadType=media", data=content, headers=headers, timeout=10
                    )
                    acknowledged[made.json()["id"]] = content
                    if number == 5:
                        enough.set()

        threads = [threading.Thread(target=write, args=(thread,)) for thread in range(16)]
        for thread in threads:
            thread.start()
        assert enough.wait(60)
        process.kill()
        process.wait()
        for thread in threads:
            thread.join()

        process, url = launch("--data", str(data))
        files = requests.get(f"{url}/emulator/files", timeout=30).json()
        assert acknowledged.keys() <= {one["id"] for one in files}
        with requests.Session() as session:
            for file_id, content in acknowledged.items():
                got = session.get(f"{url}/drive/v3/files/{file_id}?alt=media", headers=headers, timeout=10)
                assert got.content == content
