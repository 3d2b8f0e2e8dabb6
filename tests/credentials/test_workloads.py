"""Workload identity and impersonation, against a server that records what it is asked: the emulator speaks neither."""

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from oauth2client.service_account import ServiceAccountCredentials

from function.core.errors import CredentialsError
from function.core.retry import Deadline
from function.credentials.account_credentials import Credentials
from local_runner.drive_emulator import DriveEmulator

DRIVE = "https://www.googleapis.com/auth/drive"
IMPERSONATION = "http://127.0.0.1:9/v1/projects/-/serviceAccounts/s@p.iam.gserviceaccount.com:generateAccessToken"


class Endpoint(ThreadingHTTPServer):
    """Google's STS and IAM, as far as a token takes; `asked` holds path, Authorization header and body of requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.asked: list[tuple[str, str | None, str]] = []
        self.status = 200
        self.more: dict[str, str] = {}


class _Answering(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append((self.path, self.headers["Authorization"], body))
        if self.server.status != 200:
            answer: dict[str, Any] = {"error": {"code": self.server.status, "status": "PERMISSION_DENIED"}}
        elif self.path.endswith(":signJwt"):
            answer = {"signedJwt": "signed.jwt.here"}
        elif self.path.endswith(":generateAccessToken"):
            answer = {"accessToken": "ya29.acted", "expireTime": "2099-01-01T00:00:00Z"}
        else:
            answer = {"access_token": "ya29.exchanged", "expires_in": 3600, "scope": DRIVE, **self.server.more}
        content = json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        """A metadata server's answers. Source: Compute Engine, 'About VM metadata'."""
        self.server.asked.append((self.path, self.headers["Metadata-Flavor"], ""))
        if self.path.split("?")[0].endswith("/token"):
            answer: dict[str, Any] = {"access_token": "ya29.machine", "expires_in": 3600, "token_type": "Bearer"}
        else:
            answer = {"email": "run@p.iam.gserviceaccount.com", "scopes": [DRIVE], "aliases": ["default"]}
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A running endpoint."""
    with Endpoint() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def access_token(tmp_path: Path, endpoint: Endpoint) -> Callable[[dict[str, Any]], str]:
    """Gets an access token for the content of a token file, all traffic sent to the endpoint."""

    def get(fields: dict[str, Any], subject: str | None = None) -> str:
        path = tmp_path / "drive_token.json"
        path.write_text(json.dumps(fields))
        uri = f"http://127.0.0.1:{endpoint.server_port}/token"
        source = Credentials(
            path, refresh_lock=lambda _: nullcontext(), token_uri_override=uri, cache_path=None, subject=subject
        )
        token = source.access_token(Deadline.after(10))
        assert source.access_token(Deadline.after(10)) == token
        assert json.loads(path.read_text()) == fields
        return token

    return get


def workload(folder: Path, **more: Any) -> dict[str, Any]:
    """A workload identity whose own token lies in a file, as Kubernetes projects it."""
    (folder / "subject").write_text("subject-token")
    return {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "http://127.0.0.1:9/v1/token",
        "credential_source": {"file": str(folder / "subject")},
        **more,
    }


def test_a_workload_identity_is_exchanged(tmp_path: Path, endpoint: Endpoint, access_token: Callable[..., str]) -> None:
    """The workload's own token becomes Google's, with the drive scope, at the endpoint that the emulator host names."""
    assert access_token(workload(tmp_path)) == "ya29.exchanged"

    [(path, _, body)] = endpoint.asked
    form = {name: values[0] for name, values in parse_qs(body).items()}
    assert path == "/token"
    assert form["subject_token"] == "subject-token"
    assert form["scope"] == DRIVE


def test_a_workload_acts_as_a_service_account(
    tmp_path: Path, endpoint: Endpoint, access_token: Callable[..., str]
) -> None:
    """With an impersonation URL the exchanged token buys the service account's."""
    assert access_token(workload(tmp_path, service_account_impersonation_url=IMPERSONATION)) == "ya29.acted"

    assert [path for path, _, _ in endpoint.asked] == [
        "/token",
        IMPERSONATION.removeprefix("http://127.0.0.1:9"),
    ]
    assert endpoint.asked[1][1] == "Bearer ya29.exchanged"
    assert json.loads(endpoint.asked[1][2])["scope"] == [DRIVE]


def test_a_person_acts_as_a_service_account(endpoint: Endpoint, access_token: Callable[..., str]) -> None:
    """gcloud's impersonation file: google-auth would ask Google itself, the emulator's address counts all the same."""
    source = {
        "type": "authorized_user",
        "client_id": "id",
        "client_secret": "cs",
        "refresh_token": "1//0",
        "token_uri": "http://127.0.0.1:9/token",
    }
    fields = {
        "type": "impersonated_service_account",
        "source_credentials": source,
        "service_account_impersonation_url": IMPERSONATION,
        "delegates": [],
    }

    assert access_token(fields) == "ya29.acted"

    assert endpoint.asked[0][0] == "/token"


def test_what_the_machine_lacks_is_named(tmp_path: Path, access_token: Callable[..., str]) -> None:
    """A subject token that isn't there is a fault of the machine, told with its path."""
    fields = workload(tmp_path)
    (tmp_path / "subject").unlink()

    with pytest.raises(CredentialsError, match="subject") as refusal:
        access_token(fields)

    assert refusal.value.reason == "credentials_invalid"


def test_a_refusal_is_told_by_its_code(tmp_path: Path, endpoint: Endpoint, access_token: Callable[..., str]) -> None:
    """Google's APIs put the code a level deeper than OAuth does."""
    endpoint.status = 403

    with pytest.raises(CredentialsError, match="PERMISSION_DENIED"):
        access_token(workload(tmp_path))


@pytest.mark.parametrize("source", ["x", 1, {"executable": {"command": "x"}}, {"environment_id": "aws9"}, {"url": 1}])
def test_damaged_workload_files_are_invalid(tmp_path: Path, source: object, access_token: Callable[..., str]) -> None:
    """Whatever google-auth makes of a damaged file, it is one sentence here."""
    with pytest.raises(CredentialsError) as refusal:
        access_token(workload(tmp_path, credential_source=source))

    assert refusal.value.reason == "credentials_invalid"


BOSS = "boss@example.com"


def person() -> dict[str, Any]:
    """A person's token, as gcloud embeds it."""
    client = {"client_id": "id", "client_secret": "cs", "token_uri": "http://127.0.0.1:9/token"}
    return {"type": "authorized_user", "refresh_token": "1//0", **client}


def claims(signed: str) -> dict[str, Any]:
    """What a signed assertion says."""
    body = signed.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


@pytest.mark.parametrize("where", ["settings", "file"])
@pytest.mark.parametrize("form", ["google", "pydrive2"])
def test_a_key_acts_for_its_subject(
    endpoint: Endpoint, access_token: Callable[..., str], form: str, where: str
) -> None:
    """Domain-wide delegation: the assertion names the user of the settings, or of the key file itself."""
    with DriveEmulator() as drive:
        key: dict[str, Any] = drive.service_account() | {"token_uri": "http://127.0.0.1:9/token"}
    if form == "pydrive2":
        saved = ServiceAccountCredentials.from_json_keyfile_dict(key, scopes=DRIVE, token_uri=key["token_uri"])
        # The token in the file is the robot's own.
        key = json.loads(saved.to_json()) | {"access_token": "ya29.robot", "token_expiry": "2099-01-01T00:00:00Z"}
    fields = {**key, "subject": BOSS} if where == "file" else key

    assert access_token(fields, BOSS if where == "settings" else None) == "ya29.exchanged"

    [(_, _, body)] = endpoint.asked
    claimed = claims(parse_qs(body)["assertion"][0])
    assert (claimed["sub"], claimed["iss"], claimed["scope"]) == (BOSS, "robot@project.iam.gserviceaccount.com", DRIVE)


def test_an_impersonated_account_acts_for_its_subject(endpoint: Endpoint, access_token: Callable[..., str]) -> None:
    """Without a key, IAM signs: the person's token, then the signature, then the user's token."""
    fields = {
        "type": "impersonated_service_account",
        "source_credentials": person(),
        "service_account_impersonation_url": IMPERSONATION,
    }

    assert access_token(fields, BOSS) == "ya29.exchanged"

    assert [path.rpartition(":")[2] for path, _, _ in endpoint.asked] == ["/token", "signJwt", "/token"]
    signed = json.loads(json.loads(endpoint.asked[1][2])["payload"])
    assert (signed["sub"], signed["iss"]) == (BOSS, "s@p.iam.gserviceaccount.com")


def test_a_workload_acts_for_its_subject(tmp_path: Path, endpoint: Endpoint, access_token: Callable[..., str]) -> None:
    """The workload's token signs as the service account of its impersonation URL."""
    assert access_token(workload(tmp_path, service_account_impersonation_url=IMPERSONATION), BOSS) == "ya29.exchanged"

    assert [path.rpartition(":")[2] for path, _, _ in endpoint.asked] == ["/token", "signJwt", "/token"]


def test_a_workload_without_service_account_has_no_subject(
    tmp_path: Path, endpoint: Endpoint, access_token: Callable[..., str]
) -> None:
    """A pool's identity has no domain to act in: that is said, and nothing is uploaded as anybody else."""
    with pytest.raises(CredentialsError, match="needs a service account"):
        access_token(workload(tmp_path), BOSS)

    assert endpoint.asked == []


def test_a_persons_token_has_no_subject(endpoint: Endpoint, access_token: Callable[..., str]) -> None:
    """A subject that would be ignored is refused: the files would go to somebody else's Drive."""
    with pytest.raises(CredentialsError, match="act for their own user only"):
        access_token(person(), BOSS)

    assert endpoint.asked == []


@pytest.fixture
def default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Credentials]:
    """Makes Application Default Credentials of a machine where nobody is logged in."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))

    def make(subject: str | None = None, override: str | None = None) -> Credentials:
        return Credentials(
            Path("application-default"),
            refresh_lock=lambda _: nullcontext(),
            token_uri_override=override,
            cache_path=tmp_path / "cache.json",
            subject=subject,
        )

    return make


@pytest.mark.parametrize("how", ["variable", "gcloud"])
def test_application_default_credentials_are_googles_file(
    tmp_path: Path,
    endpoint: Endpoint,
    default: Callable[..., Credentials],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """GOOGLE_APPLICATION_CREDENTIALS, else gcloud's own file; it is used as any token file, and never written to."""
    path = tmp_path / ("key.json" if how == "variable" else "gcloud/application_default_credentials.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(person() | {"token_uri": f"http://127.0.0.1:{endpoint.server_port}/token"}))
    if how == "variable":
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    before = path.read_bytes()
    source = default()

    assert source.access_token(Deadline.after(10)) == "ya29.exchanged"

    assert path.read_bytes() == before
    hint = source.identity_hint(Deadline.after(10))
    path.write_text(json.dumps(person() | {"refresh_token": "1//other"}))
    assert source.identity_hint(Deadline.after(10)) != hint


MACHINE = """
from contextlib import nullcontext
from pathlib import Path
from function.core.retry import Deadline
from function.core.errors import UploadError
from function.credentials.account_credentials import Credentials
source = Credentials(
    Path("application-default"), refresh_lock=lambda _: nullcontext(), token_uri_override=None, cache_path=None
)
try:
    print(source.access_token(Deadline.after(30)), *source.scopes())
except UploadError as error:
    print(error.reason, error.message)
"""


def on_a_machine(tmp_path: Path, metadata: str, **environ: str) -> str:
    """What a process with application-default prints; google-auth reads the metadata server's address at its start."""
    given = {name: value for name, value in os.environ.items() if name != "GOOGLE_APPLICATION_CREDENTIALS"}
    return subprocess.run(
        [sys.executable, "-c", MACHINE],
        env=given | {"CLOUDSDK_CONFIG": str(tmp_path), "GCE_METADATA_HOST": metadata} | environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


@pytest.mark.parametrize("environ", [{}, {"HTTP_PROXY": "http://127.0.0.1:9"}])
def test_a_machine_of_googles_has_its_own_identity(tmp_path: Path, endpoint: Endpoint, environ: dict[str, str]) -> None:
    """On Cloud Run the metadata server gives the token, with the drive scope asked for and never through a proxy."""
    assert on_a_machine(tmp_path, f"127.0.0.1:{endpoint.server_port}", **environ) == f"ya29.machine {DRIVE}\n"

    assert parse_qs(endpoint.asked[-1][0].partition("?")[2])["scopes"] == [DRIVE]
    assert {flavor for _, flavor, _ in endpoint.asked} == {"Google"}


def test_application_default_credentials_that_are_nowhere_are_missing(tmp_path: Path) -> None:
    """One sentence names the three places where they could be."""
    told = on_a_machine(tmp_path, "127.0.0.1:9")

    assert told.startswith("credentials_missing application-default: there are none here: GOOGLE_APPLICATION_CREDENT")


def test_a_machines_identity_is_never_sent_to_an_emulator(
    endpoint: Endpoint, default: Callable[..., Credentials], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With DRIVE_EMULATOR_HOST set, a machine's own token is real all the same."""
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{endpoint.server_port}")

    with pytest.raises(CredentialsError, match="DRIVE_EMULATOR_HOST"):
        default(override="http://127.0.0.1:9099/token").access_token(Deadline.after(10))

    assert endpoint.asked == []


def test_a_workforces_new_refresh_token_is_kept(tmp_path: Path, endpoint: Endpoint) -> None:
    """An answer that brings another refresh token has ended the old one: it is in the file before it is needed."""
    path = tmp_path / "drive_token.json"
    fields = {
        "type": "external_account_authorized_user",
        "audience": "//iam.googleapis.com/locations/global/workforcePools/p/providers/q",
        "token_url": f"http://127.0.0.1:{endpoint.server_port}/v1/oauthtoken",
        "refresh_token": "old",
        "client_id": "id",
        "client_secret": "cs",
    }
    path.write_text(json.dumps(fields))
    endpoint.more = {"refresh_token": "new"}
    source = Credentials(path, refresh_lock=lambda _: nullcontext(), token_uri_override=None, cache_path=None)

    assert source.access_token(Deadline.after(10)) == "ya29.exchanged"

    saved = json.loads(path.read_text())
    assert (saved["refresh_token"], saved["token"]) == ("new", "ya29.exchanged")
    assert source.access_token(Deadline.after(10)) == "ya29.exchanged"
    assert len(endpoint.asked) == 1
