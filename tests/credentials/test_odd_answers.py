"""Answers of token endpoints that are good but for a field, or have no end: neither file nor memory is harmed."""

import base64
import gzip
import json
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import urllib3

from function.core.errors import TransientDriveError
from function.core.retry import Deadline
from function.credentials import token_endpoint, token_file
from function.credentials.account_credentials import Credentials
from function.credentials.token_endpoint import Endpoint
from local_runner.drive_emulator import DriveEmulator
from tests.credentials.test_workloads import IMPERSONATION, workload
from tests.support.token_files import PAST, by_pydrive2

MB = 1024 * 1024
METADATA = {"metadata-flavor": "Google"}


class StandIn(ThreadingHTTPServer):
    """Stands before an embedded Drive's token endpoint: changes its answers, or answers by itself."""

    daemon_threads = True

    def __init__(self, drive: DriveEmulator) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.token_uri = f"{drive.url}/token"
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.change: Callable[[dict[str, Any]], dict[str, Any]] | None = lambda answer: answer
        """None to answer with `blocks`."""
        self.encoding = "identity"
        self.blocks: list[bytes] = []
        self.sent = 0


class _Answering(BaseHTTPRequestHandler):
    server: StandIn

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Encoding", self.server.encoding)
        self.send_header("Metadata-Flavor", "Google")
        self.end_headers()
        blocks = self.server.blocks if self.server.change is None else [self._changed(body)]
        try:
            for block in blocks:
                self.wfile.write(block)
                self.server.sent += len(block)
        except OSError:
            self.close_connection = True

    do_GET = do_POST  # noqa: N815 its name in the standard library

    def _changed(self, body: bytes) -> bytes:
        assert self.server.change is not None
        if b"subject_token" in body or not body:
            answer: dict[str, Any] = {"access_token": "ya29.x", "expires_in": 3599}
        elif self.path.endswith(":generateAccessToken"):
            answer = {"accessToken": "ya29.acted", "expireTime": "2099-01-01T00:00:00Z"}
        else:
            passed = ("Content-Type", "Authorization")
            headers = {name: self.headers[name] for name in passed if name in self.headers}
            answer = urllib3.request("POST", self.server.token_uri, body=body, headers=headers).json()
        return json.dumps(self.server.change(answer)).encode()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@pytest.fixture
def stand_in(drive: DriveEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A running one, asked once a call."""
    monkeypatch.setattr(token_endpoint, "_TRIES", 1)
    with StandIn(drive) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def credentials(path: Path, stand_in: StandIn, cache: Path | None = None) -> Credentials:
    """Those of the token file, with the stand-in as their endpoint."""
    uri = f"{stand_in.url}/token"
    return Credentials(path, refresh_lock=lambda _: nullcontext(), token_uri_override=uri, cache_path=cache)


def by_google(drive: DriveEmulator) -> dict[str, Any]:
    """google-auth's form, its access token long past."""
    return drive.authorized_user() | {"token": "ya29.old", "expiry": PAST}


def of_workforce(drive: DriveEmulator) -> dict[str, Any]:
    """A workforce's form, whose endpoint is like the others'."""
    names = ("client_id", "client_secret", "refresh_token")
    return {
        **{name: value for name, value in drive.authorized_user().items() if name in names},
        "type": "external_account_authorized_user",
        "audience": "//iam.googleapis.com/locations/global/workforcePools/p/providers/q",
        "token_url": f"{drive.url}/token",
    }


def works(drive: DriveEmulator, token: str) -> bool:
    """Whether the drive takes the access token."""
    headers = {"Authorization": f"Bearer {token}"}
    return urllib3.request("GET", f"{drive.url}/drive/v3/about?fields=user", headers=headers).status == 200


FORMS = pytest.mark.parametrize("form", [by_google, by_pydrive2, of_workforce])
Form = Callable[[DriveEmulator], dict[str, Any]]


def outdated(path: Path) -> None:
    """Let the access token in the file be long past, and nothing else."""
    fields = json.loads(path.read_text())
    path.write_text(json.dumps(fields | {"token_expiry" if "_class" in fields else "expiry": PAST}))


@FORMS
@pytest.mark.parametrize(
    "odd",
    ["X\n", "a b", "\ud800", 5, ["a"], {"a": 1}, True, "x" * 20_000, "[" * 300, "", None],
    ids=lambda odd: repr(odd)[:40],
)
def test_an_odd_refresh_token_leaves_the_good_one(
    drive: DriveEmulator, stand_in: StandIn, token_path: Path, form: Form, odd: object
) -> None:
    """It counts as absent: the call has its access token, the same user's, and the next renewal the old one."""
    before = form(drive)
    token_path.write_text(json.dumps(before))
    source = credentials(token_path, stand_in)
    identity = source.identity_hint(Deadline.after(10))
    stand_in.change = lambda answer: answer | {"refresh_token": odd}

    first = source.access_token(Deadline.after(10), identity)

    assert works(drive, first)
    assert json.loads(token_path.read_text())["refresh_token"] == before["refresh_token"]
    outdated(token_path)
    second = credentials(token_path, stand_in).access_token(Deadline.after(10), identity)
    assert works(drive, second)
    assert second != first


@FORMS
def test_a_good_refresh_token_is_taken_over(
    drive: DriveEmulator, stand_in: StandIn, token_path: Path, form: Form
) -> None:
    """An endpoint that rotates them ends the old one."""
    token_path.write_text(json.dumps(form(drive)))
    stand_in.change = lambda answer: answer | {"refresh_token": "1//new"}

    credentials(token_path, stand_in).access_token(Deadline.after(10))

    assert json.loads(token_path.read_text())["refresh_token"] == "1//new"


@FORMS
@pytest.mark.parametrize("odd", ["X\n", "\ud800", 5, ["a"], "x" * 20_000, "", None], ids=repr)
def test_an_odd_access_token_is_no_answer(
    drive: DriveEmulator, stand_in: StandIn, token_path: Path, form: Form, odd: object
) -> None:
    """It goes into no header and no file, which stays as it was."""
    before = form(drive)
    token_path.write_text(json.dumps(before))
    stand_in.change = lambda answer: answer | {"access_token": odd}

    with pytest.raises(TransientDriveError):
        credentials(token_path, stand_in).access_token(Deadline.after(10))

    assert json.loads(token_path.read_text()) == before


def id_token(claims: object) -> str:
    """An unsigned one."""
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2ln"


@FORMS
@pytest.mark.parametrize(
    "odd",
    [
        {"scope": ["https://www.googleapis.com/auth/drive.readonly"]},
        {"scope": 5},
        {"scope": "\ud800"},
        {"scope": "x" * 20_000},
        {"id_token": 5},
        {"id_token": "a.b"},
        {"id_token": "a.\ud800.b"},
        {"id_token": id_token([])},
        {"id_token": id_token({"a": [[]] * 300})},
        {"token_type": ["Bearer"], "more": [[]] * 300, "nested": "\ud800"},
        {"error": 5, "error_description": ["x"]},
    ],
    ids=lambda odd: repr(odd)[:40],
)
def test_other_odd_fields_count_as_absent(
    drive: DriveEmulator, stand_in: StandIn, token_path: Path, form: Form, odd: dict[str, Any]
) -> None:
    """The file is read again afterwards, holds what it held, and says the same of its scopes."""
    good = {"id_token": {"sub": "1"}, "id_token_jwt": id_token({"sub": "1"})}
    before = form(drive) | (good if form is by_pydrive2 else {})
    token_path.write_text(json.dumps(before))
    stand_in.change = lambda answer: {name: value for name, value in answer.items() if name != "scope"} | odd
    source = credentials(token_path, stand_in)
    scopes = source.scopes()

    assert works(drive, source.access_token(Deadline.after(10)))

    saved = token_file.read(token_path).fields
    changing = {"token", "expiry", "access_token", "token_expiry", "token_response"}
    assert {name: saved[name] for name in before.keys() - changing} == {
        name: before[name] for name in before.keys() - changing
    }
    assert set(saved.get("token_response") or ()) <= {"access_token", "expires_in", "token_type"}
    assert source.scopes() == scopes


def test_a_good_id_token_is_saved_as_pydrive2_does(drive: DriveEmulator, stand_in: StandIn, token_path: Path) -> None:
    """Another program reads it from the file."""
    token_path.write_text(json.dumps(by_pydrive2(drive)))
    stand_in.change = lambda answer: answer | {"id_token": id_token({"sub": "1"})}

    credentials(token_path, stand_in).access_token(Deadline.after(10))

    assert json.loads(token_path.read_text())["id_token"] == {"sub": "1"}


ODD_LIVES = ["9" * 30, 10**30, 1e308, "1e999", float("inf"), float("nan"), -1, 0, "soon", "", True, [3599], {}, None]


def key(drive: DriveEmulator) -> dict[str, Any]:
    """A service account's key."""
    return drive.service_account()


@pytest.mark.parametrize("form", [by_google, by_pydrive2, of_workforce, key])
@pytest.mark.parametrize("odd", [*ODD_LIVES, "9" * 5000], ids=lambda odd: repr(odd)[:40])
def test_an_odd_lifetime_is_a_short_one(
    drive: DriveEmulator, stand_in: StandIn, token_path: Path, form: Form, odd: object
) -> None:
    """The token is good: it is used now, kept for minutes, in the file as in the cache, and renewed after them."""
    token_path.write_text(json.dumps(form(drive)))
    cache = token_path.with_name("cache.json")
    stand_in.change = lambda answer: answer | {"expires_in": odd}
    source = credentials(token_path, stand_in, cache)

    token = source.access_token(Deadline.after(10))

    assert works(drive, token)
    fields = json.loads((cache if form is key else token_path).read_text())
    ends = (
        fields["expires_at"] if form is key else token_file.parse_time(fields.get("expiry", fields.get("token_expiry")))
    )
    assert 60 < ends - time.time() <= 600
    assert credentials(token_path, stand_in, cache).access_token(Deadline.after(10)) == token
    assert drive.requests.count("oauth.token") == 1


def test_a_lifetime_of_thousands_of_digits_is_a_short_one(
    drive: DriveEmulator, stand_in: StandIn, token_path: Path
) -> None:
    """Python refuses to read so long a number."""
    token_path.write_text(json.dumps(by_google(drive)))
    stand_in.change, stand_in.blocks = None, [b'{"access_token": "ya29.x", "expires_in": %s}' % (b"9" * 5000)]

    assert credentials(token_path, stand_in).access_token(Deadline.after(10)) == "ya29.x"


@pytest.mark.parametrize("life", [100, "100", 100.5])
def test_a_lifetime_that_can_be_is_kept(
    drive: DriveEmulator, stand_in: StandIn, token_path: Path, life: object
) -> None:
    """As a number, or as its digits."""
    token_path.write_text(json.dumps(by_google(drive)))
    stand_in.change = lambda answer: answer | {"expires_in": life}

    credentials(token_path, stand_in).access_token(Deadline.after(10))

    left_s = token_file.parse_time(json.loads(token_path.read_text())["expiry"]) - time.time()
    assert 60 < left_s <= 101


@pytest.mark.parametrize("odd", [*ODD_LIVES, "2099-01-01T00:00:00Z", "0001-01-01T00:00:00Z"], ids=repr)
@pytest.mark.parametrize("acting", [False, True])
def test_an_odd_lifetime_of_a_workloads_token_is_a_short_one(
    tmp_path: Path, stand_in: StandIn, token_path: Path, acting: bool, odd: object
) -> None:
    """Of the exchanged token, and of the one that IAM gives for it."""
    token_path.write_text(
        json.dumps(workload(tmp_path, **({"service_account_impersonation_url": IMPERSONATION} if acting else {})))
    )
    name = "expireTime" if acting else "expires_in"
    stand_in.change = lambda answer: answer | ({name: odd} if name in answer else {})
    cache = token_path.with_name("cache.json")

    token = credentials(token_path, stand_in, cache).access_token(Deadline.after(10))

    assert token == ("ya29.acted" if acting else "ya29.x")
    assert 60 < json.loads(cache.read_text())["expires_at"] - time.time() <= 601


@pytest.mark.parametrize("odd", [*ODD_LIVES, "9" * 5000], ids=lambda odd: repr(odd)[:40])
def test_an_odd_lifetime_of_a_machines_token_is_a_short_one(stand_in: StandIn, odd: object) -> None:
    """A metadata server's answers pass the same gate; what else a GET fetches is left as it is."""
    stand_in.change = lambda answer: answer | {"expires_in": odd, "more": "x"}

    with Endpoint(Deadline.after(10), None) as endpoint:
        machines = json.loads(endpoint(stand_in.url, headers=METADATA).data)
        workloads = json.loads(endpoint(stand_in.url, headers={"Metadata": "True"}).data)

    assert machines == {"access_token": "ya29.x", "expires_in": 600}
    assert workloads["more"] == "x"


def asked(source: Credentials) -> str:
    """What it fails with, and that it took little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(TransientDriveError) as failure:
            source.access_token(Deadline.after(20))
        assert tracemalloc.get_traced_memory()[1] < 24 * MB
    finally:
        tracemalloc.stop()
    assert failure.value.reason == "network"
    return failure.value.message


GOOD = b'{"access_token": "ya29.x", "expires_in": 3599'


@pytest.mark.parametrize("form", [by_google, by_pydrive2, of_workforce, key])
@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_without_end_takes_no_memory(
    drive: DriveEmulator, stand_in: StandIn, token_path: Path, form: Form, packed: bool
) -> None:
    """A token behind 100 MB of blanks, sent or unpacked, is read for a megabyte: no answer of Google's."""
    before = form(drive)
    token_path.write_text(json.dumps(before))
    stand_in.change = None
    blanks = [b" " * MB] * 100
    stand_in.blocks = [gzip.compress(b"".join([GOOD, *blanks, b"}"]))] if packed else [GOOD, *blanks, b"}"]
    stand_in.encoding = "gzip" if packed else "identity"

    assert "over 1048576 bytes" in asked(credentials(token_path, stand_in))

    assert stand_in.sent < 20 * MB
    assert json.loads(token_path.read_text()) == before


@pytest.mark.parametrize("headers", [METADATA, {}])
def test_what_a_machine_answers_has_an_end_too(stand_in: StandIn, headers: dict[str, str]) -> None:
    """Metadata servers and addresses that give a workload's own token."""
    stand_in.change, stand_in.blocks = None, [b" " * MB] * 100

    with (
        Endpoint(Deadline.after(10), None) as endpoint,
        pytest.raises(TransientDriveError, match="over 1048576 bytes"),
    ):
        endpoint(stand_in.url, headers=headers)

    assert stand_in.sent < 20 * MB


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_packed_answer_is_unpacked(
    drive: DriveEmulator, stand_in: StandIn, token_path: Path, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    """Nobody asks for one; some proxies pack all the same."""
    token_path.write_text(json.dumps(by_google(drive)))
    stand_in.change, stand_in.encoding, stand_in.blocks = None, encoding, [pack(GOOD + b"}")]

    assert credentials(token_path, stand_in).access_token(Deadline.after(10)) == "ya29.x"


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(GOOD)[:20]],
    ids=["none at all", "cut"],
)
def test_a_damaged_packed_answer_is_transient(
    drive: DriveEmulator, stand_in: StandIn, token_path: Path, content: bytes
) -> None:
    """It is asked for again, as any answer that makes no sense."""
    token_path.write_text(json.dumps(by_google(drive)))
    stand_in.change, stand_in.encoding, stand_in.blocks = None, "gzip", [content]

    assert asked(credentials(token_path, stand_in))
