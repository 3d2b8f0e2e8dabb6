"""Secrets in every field of every kind of token file, endpoints that echo what they are sent: nothing comes out."""

import json
import logging
import os
import random
import string
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from oauth2client.service_account import ServiceAccountCredentials

from function.core.errors import UploadError
from function.core.retry import Deadline
from function.credentials import token_endpoint
from function.credentials.account_credentials import Credentials
from local_runner.drive_emulator import DriveEmulator

MUTANTS = int(os.environ.get("TOKEN_MUTANTS", "300"))
"""How many damaged token files are tried; 50,000 take minutes."""

CANARY = "Canary0Secret"
PAST = "2020-01-01T00:00:00Z"
URI = "http://127.0.0.1:9/token"
PERSON = {
    "type": "authorized_user",
    "refresh_token": "1//0-RefreshCanary0Secret",
    "client_id": "IdCanary0Secret.apps.googleusercontent.com",
    "client_secret": "GOCSPX-Canary0Secret",
    "token": "ya29.Canary0Secret",
    "expiry": PAST,
    "token_uri": URI,
    "scopes": ["https://www.googleapis.com/auth/drive"],
    "quota_project_id": "Canary0Secret-project",
}
PYDRIVE2 = {
    "_module": "oauth2client.client",
    "_class": "OAuth2Credentials",
    "access_token": "ya29.Canary0Secret",
    "client_id": "IdCanary0Secret.apps.googleusercontent.com",
    "client_secret": "GOCSPX-Canary0Secret",
    "refresh_token": "1//0-RefreshCanary0Secret",
    "token_expiry": PAST,
    "token_uri": URI,
    "user_agent": "Canary0Secret",
    "revoke_uri": "https://oauth2.googleapis.com/revoke",
    "id_token": {"sub": "Canary0Secret"},
    "id_token_jwt": "Canary0Secret",
    "token_response": {"access_token": "ya29.Canary0Secret"},
    "scopes": ["https://www.googleapis.com/auth/drive"],
    "invalid": False,
}
WORKLOAD = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/Canary0Secret",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "token_url": URI,
    "credential_source": {"file": "/dev/null", "headers": {"X": "Canary0Secret"}},
    "client_id": "Canary0Secret",
    "client_secret": "Canary0Secret",
}
WORKFORCE = {
    "type": "external_account_authorized_user",
    "audience": "//iam.googleapis.com/Canary0Secret",
    "token_url": URI,
    "refresh_token": "1//0-RefreshCanary0Secret",
    "client_id": "Canary0Secret",
    "client_secret": "Canary0Secret",
}
IMPERSONATED = {
    "type": "impersonated_service_account",
    "source_credentials": PERSON,
    "service_account_impersonation_url": "http://127.0.0.1:9/v1/projects/-/serviceAccounts/a@b.c:generateAccessToken",
    "delegates": ["Canary0Secret"],
}


class EchoingEndpoint(ThreadingHTTPServer):
    """Answers every request with what was sent, as a chatty gateway does, in the manner of `answers` in turn."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Echo)
        self.answered = 0


class _Echo(BaseHTTPRequestHandler):
    server: EchoingEndpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode("utf-8", "replace")
        echo = f"{self.path} {dict(self.headers)} {body}"
        page = f"<html><body>Forbidden: {echo}</body></html>"
        answers = [
            (400, json.dumps({"error": "invalid_grant", "error_description": echo})),
            (400, json.dumps({"error": echo[:39], "error_description": echo})),
            (401, json.dumps({"error": "strange_error", "error_description": echo})),
            (403, json.dumps({"error": {"status": "PERMISSION_DENIED", "message": echo}})),
            (403, page),
            (500, page),
            (200, page),
            (200, json.dumps({"access_token": echo, "expires_in": 3600})),
            (200, json.dumps({"access_token": "ya29.fine", "expires_in": echo})),
            (200, json.dumps({"access_token": "ya29.fine", "expires_in": 10**30, "scope": echo})),
            (200, json.dumps({"access_token": "ya29.fine", "expires_in": 3600, "id_token": echo})),
            (200, json.dumps({"accessToken": "ya29.fine", "expireTime": echo})),
        ]
        status, content = answers[self.server.answered % len(answers)]
        self.server.answered += 1
        self.send_response(status)
        self.send_header("Content-Length", str(len(content.encode())))
        self.send_header("X-Echo", echo.encode("ascii", "replace").decode().replace("\r", "").replace("\n", "")[:2000])
        self.end_headers()
        self.wfile.write(content.encode())

    do_GET = do_POST  # noqa: N815 its name in the standard library

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[EchoingEndpoint]:
    """A running endpoint, asked once a call."""
    monkeypatch.setattr(token_endpoint, "_TRIES", 1)
    with EchoingEndpoint() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def keys() -> list[dict[str, Any]]:
    """A service account's key as Google gives it and as PyDrive2 saves it."""
    with DriveEmulator() as drive:
        key = drive.service_account() | {"token_uri": URI, "client_id": "Canary0Secret"}
        saved = ServiceAccountCredentials.from_json_keyfile_dict(key, scopes="https://www.googleapis.com/auth/drive")
        saved.token_uri = URI
        return [key, json.loads(saved.to_json()) | {"token_expiry": PAST}]


@pytest.fixture
def told(
    tmp_path: Path, endpoint: EchoingEndpoint, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> Callable[[bytes], str]:
    """Gets an access token for a token file; all that came out: error, its traceback, logs at DEBUG, stdout, stderr."""
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "drive_token.json"

    def ask(content: bytes) -> str:
        path.write_bytes(content)
        os.utime(path, (1, 1))  # a file that isn't being written, so that a broken one isn't waited for
        uri = f"http://127.0.0.1:{endpoint.server_port}/token"
        source = Credentials(path, refresh_lock=lambda _: nullcontext(), token_uri_override=uri, cache_path=None)
        shown = [repr(source)]
        try:
            source.access_token(Deadline.after(10))
        except UploadError as error:
            shown += [repr(error), error.message, "".join(traceback.format_exception(error))]
        shown += [record.getMessage() + (record.exc_text or "") for record in caplog.records]
        caplog.clear()
        shown += capfd.readouterr()
        return "\n".join(shown)

    return ask


def secrets_of(document: Any) -> set[str]:
    """What must not come out: values with the canary, and the lines of keys."""
    if isinstance(document, dict):
        return set().union(*map(secrets_of, document.values()))
    if isinstance(document, list):
        return set().union(*map(secrets_of, document))
    text = str(document)
    return {CANARY} if CANARY in text else {line for line in text.splitlines() if len(line) == 64}


def leaks(shown: str, secrets: set[str]) -> list[str]:
    """The lines of what came out that hold a secret."""
    return [line for line in shown.splitlines() if any(secret in line for secret in secrets)]


@pytest.mark.parametrize("whole", [PERSON, PYDRIVE2, WORKLOAD, WORKFORCE, IMPERSONATED, 0, 1])
def test_an_endpoint_that_echoes_gets_nothing_out(
    told: Callable[[bytes], str], keys: list[dict[str, Any]], whole: dict[str, Any] | int
) -> None:
    """Whatever a gateway answers with what it was sent, no secret is in error, traceback, log or output."""
    fields = keys[whole] if isinstance(whole, int) else whole
    for _ in range(12):
        assert leaks(told(json.dumps(fields).encode()), secrets_of(fields)) == []


@pytest.mark.parametrize("whole", [PERSON, PYDRIVE2, WORKLOAD, WORKFORCE, IMPERSONATED, 0])
@pytest.mark.parametrize(
    "value",
    [
        CANARY,
        f"{CANARY}\n",
        f"{CANARY}\r\nX-Evil: 1",
        f"https://{CANARY}:{CANARY}@example.com/\x00",
        f"{CANARY}\ud800",
        [CANARY, 7],
        {CANARY: CANARY},
        f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n",
    ],
)
def test_a_secret_in_any_field_stays_there(
    told: Callable[[bytes], str], keys: list[dict[str, Any]], whole: dict[str, Any] | int, value: object
) -> None:
    """A value pasted into the wrong field, with a line break or of a wrong type, is never quoted."""
    fields = keys[whole] if isinstance(whole, int) else whole
    for name in fields:
        shown = told(json.dumps({**fields, name: value}).encode())
        assert leaks(shown, secrets_of(fields) | {CANARY}) == [], name


@pytest.mark.parametrize("name", ["token", "refresh_token", "client_id", "client_secret", "token_uri"])
def test_a_pasted_line_break_is_named_with_its_field(told: Callable[[bytes], str], name: str) -> None:
    """One sentence says which field of which file is wrong, before a library meets it."""
    shown = told(json.dumps({**PERSON, name: f"{PERSON[name]}\n"}).encode())

    assert f"drive_token.json: {name} holds a line break" in shown


JUNK: list[Any] = [None, True, 0, -1, 1e308, "", " ", [], {}, [[]], "\x00", "\ud800", 10**400]
BREAKS = ["\n", "\t", " ", "\x7f", "é", "%", '"', "://", "@"]

Damage = Callable[[random.Random, dict[str, Any], str], None]


def delete(_: random.Random, fields: dict[str, Any], name: str) -> None:
    """A field that is missing."""
    del fields[name]


def put_junk(dice: random.Random, fields: dict[str, Any], name: str) -> None:
    """A value of another type, or none."""
    fields[name] = dice.choice(JUNK)


def mix_up(dice: random.Random, fields: dict[str, Any], name: str) -> None:
    """Another field's value."""
    fields[name] = fields[dice.choice(list(fields))]


def break_value(dice: random.Random, fields: dict[str, Any], name: str) -> None:
    """A character that doesn't belong there."""
    text = str(fields[name])
    at = dice.randint(0, len(text))
    fields[name] = text[:at] + dice.choice(BREAKS) + text[at:]


def wrap(dice: random.Random, fields: dict[str, Any], name: str) -> None:
    """The value one level too deep."""
    fields[name] = {dice.choice(["a", "file", "url", "executable"]): fields[name]}


def add(dice: random.Random, fields: dict[str, Any], name: str) -> None:
    """A field that nobody knows."""
    fields["".join(dice.choices(string.printable, k=5))] = fields[name]


DAMAGES: list[Damage] = [delete, put_junk, mix_up, break_value, wrap, add]


def mutant(dice: random.Random, wholes: list[dict[str, Any]]) -> bytes:
    """A token file with up to three fields wrong, and some bytes."""
    fields: dict[str, Any] = json.loads(json.dumps(dice.choice(wholes)))
    for _ in range(dice.randint(0, 3)):
        nested = [value for value in fields.values() if isinstance(value, dict) and value]
        target = dice.choice([fields, fields, *nested])
        dice.choice(DAMAGES)(dice, target, dice.choice(list(target)))
    content = bytearray(json.dumps(fields).encode())
    for _ in range(dice.choice([0, 0, 0, 1, 3])):
        content.insert(dice.randrange(len(content) + 1), dice.randrange(256))
    return bytes(content[: dice.randrange(len(content))] if dice.random() < 0.05 else content)


def test_damaged_token_files_are_told_in_our_words(told: Callable[[bytes], str], keys: list[dict[str, Any]]) -> None:
    """Any damage ends in a token or one of our errors, without a traceback and without a secret."""
    wholes: list[dict[str, Any]] = [PERSON, PERSON, PYDRIVE2, PYDRIVE2, WORKLOAD, WORKFORCE, IMPERSONATED, *keys]
    secrets = {"1//0-Refresh", "GOCSPX-Canary", "ya29.Canary"} | secrets_of(keys)
    for seed in range(MUTANTS):
        content = mutant(random.Random(seed), wholes)
        assert leaks(told(content), secrets) == [], (seed, content)
