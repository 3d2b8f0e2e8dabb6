"""Workload identity and impersonation, against a server that records what it is asked: the emulator speaks neither."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from function.core.deadline import Deadline
from function.core.errors import CredentialsError
from function.credentials.account_credentials import Credentials

DRIVE = "https://www.googleapis.com/auth/drive"
IMPERSONATION = "http://127.0.0.1:9/v1/projects/-/serviceAccounts/s@p.iam.gserviceaccount.com:generateAccessToken"


class Endpoint(ThreadingHTTPServer):
    """Google's STS and IAM, as far as a token takes; `asked` holds path, Authorization header and body of requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.asked: list[tuple[str, str | None, str]] = []
        self.status = 200


class _Answering(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append((self.path, self.headers["Authorization"], body))
        if self.server.status != 200:
            answer: dict[str, Any] = {"error": {"code": self.server.status, "status": "PERMISSION_DENIED"}}
        elif self.path.endswith(":generateAccessToken"):
            answer = {"accessToken": "ya29.acted", "expireTime": "2099-01-01T00:00:00Z"}
        else:
            answer = {"access_token": "ya29.exchanged", "expires_in": 3600, "token_type": "Bearer"}
        content = json.dumps(answer).encode()
        self.send_response(self.server.status)
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

    def get(fields: dict[str, Any]) -> str:
        path = tmp_path / "drive_token.json"
        path.write_text(json.dumps(fields))
        uri = f"http://127.0.0.1:{endpoint.server_port}/token"
        source = Credentials(path, refresh_lock=lambda _: nullcontext(), token_uri_override=uri, cache_path=None)
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
