"""`enqueue` among answers and credentials that are odd: only Cloud Tasks' own word counts, and no secret comes out."""

import base64
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest
from click.testing import Result
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.runner.test_odd_answers import answering

Run = Callable[..., Result]

ENQUEUE = (
    "enqueue", "Data/Meta/a.txt", "--queue", "projects/p/locations/l/queues/q", "--url", "https://function.example/",
)  # fmt: skip


def asked_of(run: Run, answer: Callable[[dict[str, Any]], bytes], code: int) -> Result:
    """`enqueue` of one file where Cloud Tasks answers what `answer` makes of the task."""
    with answering(lambda asked: answer(asked[0]["task"]), code) as url:
        return run(*ENQUEUE, "--endpoint", url)


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (200, b"<h1>Sign in</h1>"),
        (200, b""),
        (200, b'{"error": {"code": 403}}'),
        (200, b'{"name": "projects/p/locations/l/queues/q/tasks/other"}'),
        (302, b""),
        (409, b"<h1>Conflict</h1>"),
        (409, b'{"error": "conflict"}'),
    ],
)
def test_only_an_answer_that_names_the_task_has_queued_it(run: Run, code: int, body: bytes) -> None:
    """A sign-in page, an error with a good status, a gateway's 409: the file is for later."""
    result = asked_of(run, lambda task: body, code)

    assert result.exit_code == 75
    assert f"Cloud Tasks answers {code} with something that isn't Google's" in result.stderr
    assert "0 queued, 0 queued already, 1 failed" in result.stdout


def test_what_cloud_tasks_itself_says_counts(run: Run) -> None:
    """The task as it was made, one that is there already, and a refusal, which is told in its words."""
    there = b'{"error": {"code": 409, "status": "ALREADY_EXISTS", "message": "Requested entity already exists"}}'
    refused = b'{"error": {"code": 404, "status": "NOT_FOUND", "message": "Queue does not exist. Bearer ya29.canary"}}'

    assert "1 queued, 0 queued already" in asked_of(run, lambda task: json.dumps(task).encode(), 200).stdout
    assert "0 queued, 1 queued already" in asked_of(run, lambda task: there, 409).stdout
    failed = asked_of(run, lambda task: refused, 404)
    assert failed.exit_code == 75
    assert failed.stderr == "Data/Meta/a.txt: Cloud Tasks answered 404: Queue does not exist. ….\n"


@pytest.mark.parametrize("host", ["a b", "http://%zz/", "ℂ.com"])
def test_an_endpoint_that_cant_be_one_is_wrong_usage(run: Run, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """The variable is named."""
    monkeypatch.setenv("CLOUD_TASKS_EMULATOR_HOST", host)

    result = run(*ENQUEUE)

    assert result.exit_code == 64
    assert "CLOUD_TASKS_EMULATOR_HOST" in result.stderr


def test_another_task_of_the_same_file_is_queued_too(run: Run) -> None:
    """After a mistyped URL, account or deadline the right one is no task that is queued already; the same one is."""
    names: set[str] = set()
    there = b'{"error": {"code": 409, "status": "ALREADY_EXISTS", "message": "Requested entity already exists"}}'

    def queued(*arguments: str) -> str:
        def answer(asked: list[dict[str, Any]]) -> tuple[int, bytes]:
            task = asked[0]["task"]
            is_there = task["name"] in names
            names.add(task["name"])
            return (409, there) if is_there else (200, json.dumps(task).encode())

        with answering(answer) as url:
            return run(*ENQUEUE, *arguments, "--endpoint", url).stdout

    metadata = [("--metadata", text) for text in ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}')]
    others = [("--url", "https://other.example/"), ("--service-account", "a@b.example"), ("--dispatch-deadline", "700")]

    first, *changed, mixed, same = (queued(*each) for each in ((), *others, metadata[0], metadata[1]))

    assert [each[:8] for each in (first, *changed, mixed)] == ["1 queued"] * 5
    assert "0 queued, 1 queued already" in same
    assert "0 queued, 1 queued already" in queued()


@pytest.fixture(scope="module")
def key() -> str:
    """A service account's private key."""
    private = rsa.generate_private_key(65537, 2048)
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return private.private_bytes(pem, form, serialization.NoEncryption()).decode()


@pytest.fixture
def default(home: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes the Application Default Credentials: a service account's, whose token endpoint is named."""

    def write(token_uri: str) -> Path:
        path = home / "service-account.json"
        account = {"type": "service_account", "client_email": "a@b.iam.gserviceaccount.com", "private_key": key}
        path.write_text(json.dumps(account | {"token_uri": token_uri}))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        return path

    return write


def test_a_token_endpoint_that_echoes_is_not_repeated(run: Run, default: Callable[..., Path]) -> None:
    """The signed assertion, which asks for Google Cloud's scope, is as good as a password while it lasts."""
    sent: list[str] = []

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            body = json.dumps({"error": "invalid_grant", "error_description": f"bad: {sent[-1]}"}).encode()
            self.send_response(400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its name in the standard library
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        default(f"http://127.0.0.1:{server.server_port}/token")
        result = run(*ENQUEUE)
        server.shutdown()

    claims = json.loads(base64.urlsafe_b64decode(parse_qs(sent[0])["assertion"][0].split(".")[1] + "=="))
    assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
    assert result.exit_code == 75
    assert "Google doesn't accept the request signed for a@b.iam.gserviceaccount.com (invalid_grant)" in result.stderr
    assert "eyJ" not in result.output


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("HTTPS_PROXY", "http://ada:canary@proxy.example:99999", "HTTPS_PROXY: its port or address is malformed"),
        ("HTTPS_PROXY", "http://ada:canary@proxy.example:80:80", "HTTPS_PROXY: its port or address is malformed"),
        ("HTTPS_PROXY", "ftp://proxy.example", "HTTPS_PROXY: ftp proxies are not supported"),
        ("REQUESTS_CA_BUNDLE", "/nonexist", "REQUESTS_CA_BUNDLE: /nonexist can't be read as certificates"),
    ],
)
def test_a_way_that_is_misconfigured_is_a_matter_of_settings(
    run: Run, default: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, variable: str, value: str, named: str
) -> None:
    """It is named, without a proxy's password."""
    default("https://oauth2.googleapis.com/token")
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setenv(variable, value)

    result = run(*ENQUEUE)

    assert result.exit_code == 78
    assert named in result.stderr
    assert "canary" not in result.output


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "is a folder"),
        ("[1]", "must hold a JSON object"),
        (
            '{"type": "authorized_user", "client_id": "\\ud800", "client_secret": "x", "refresh_token": "y"}',
            "client_id",
        ),
    ],
)
def test_credentials_that_are_none_are_named(
    home: Path, run: Run, monkeypatch: pytest.MonkeyPatch, content: str | None, named: str
) -> None:
    """A folder, another document, half a character: one sentence with the file's name."""
    path = home / "default.json"
    path.write_text(content) if content else path.mkdir()
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))

    result = run(*ENQUEUE)

    assert result.exit_code == 75
    assert f"{path}: {named}" in result.stderr.replace("the token file ", "")
