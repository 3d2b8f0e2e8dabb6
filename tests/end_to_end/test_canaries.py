"""A secret in every input, and none in any output: answer, log, stderr, and what the commands print."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

import pytest
import requests

from tests.support.home import PROJECT, Home
from tests.support.served import serving

CANARY = "Canary0Secret"

TOKEN = {
    "type": "authorized_user",
    "refresh_token": f"1//0-Refresh{CANARY}",
    "client_id": f"Id{CANARY}.apps.googleusercontent.com",
    "client_secret": f"GOCSPX-{CANARY}",
    "token": f"ya29.{CANARY}",
    "scopes": ["https://www.googleapis.com/auth/drive"],
    "quota_project_id": f"{CANARY}-project",
}

HEADERS = {
    "Authorization": f"Bearer ya29.{CANARY}",
    "Cookie": f"session={CANARY}",
    "Proxy-Authorization": f"Basic {CANARY}",
    "X-Serverless-Authorization": f"Bearer {CANARY}",
    "X-Goog-IAP-JWT-Assertion": CANARY,
    "X-Cloud-Trace-Context": f"{CANARY}/1",
    "traceparent": f"00-{CANARY}-{CANARY}-01",
    "User-Agent": CANARY,
    "Referer": f"http://localhost/?key={CANARY}",
}

REFUSED: list[bytes] = [
    json.dumps({"path": {"token": CANARY}}).encode(),
    json.dumps({"path": "Data/a.txt", "metadata": CANARY}).encode(),
    json.dumps({"path": "Data/a.txt", "token": CANARY}).encode(),
    json.dumps({"files": CANARY}).encode(),
    json.dumps({"message": {"data": CANARY}, "subscription": CANARY}).encode(),
    f'{{"path": "Data/a.txt", "metadata": {{"token": "{CANARY}'.encode(),
    f'{{"path": "Data/a.txt", "metadata": {{"token": NaN, "k": "{CANARY}"}}}}'.encode(),
    b"\xff\xfe" + CANARY.encode(),
]

PROXY = f"http://{CANARY}user:{CANARY}@127.0.0.1:9"

SETTINGS: dict[str, dict[str, str]] = {
    "a token in the path's place": {
        "DRIVE_UPLOAD_ACCOUNTS": json.dumps({"default": {"token": json.dumps(TOKEN)}}),
    },
    "an access token in the path's place": {
        "DRIVE_UPLOAD_ACCOUNTS": json.dumps({"default": {"token": f"ya29.{CANARY}"}}),
    },
    "a token inline": {"DRIVE_UPLOAD_ACCOUNTS": json.dumps({"default": {"token": TOKEN}})},
    "JSON that is cut": {"DRIVE_UPLOAD_ACCOUNTS": json.dumps({"default": TOKEN})[:-5]},
    "an unknown field": {"DRIVE_UPLOAD_ACCOUNTS": json.dumps({"default": {"token": "t.json", "key": CANARY}})},
    "an emulator with a password": {"DRIVE_EMULATOR_HOST": f"http://{CANARY}:{CANARY}@127.0.0.1:9"},
    "an emulator that is none": {"DRIVE_EMULATOR_HOST": f"https://example.com/?key={CANARY}"},
    "an unknown variable": {"DRIVE_UPLOAD_TOKEN": f"ya29.{CANARY}"},
    "a misspelt variable": {"DRIVE_UPLOAD_DRIVE_ROT": CANARY},
    "a proxy": {"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY, "ALL_PROXY": PROXY, "NO_PROXY": ""},
    "a proxy of another kind": {"HTTP_PROXY": f"socks5://u:{CANARY}@127.0.0.1:9", "NO_PROXY": ""},
    "a proxy that is none": {"HTTP_PROXY": f"http://u:{CANARY}@:x", "NO_PROXY": ""},
}


class _Echo(BaseHTTPRequestHandler):
    """Answers with what it was sent, in ever new wrappings, as a chatty gateway does."""

    numbers = count()
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode("utf-8", "replace")
        echo = f"{self.path} {dict(self.headers)} {body}"
        number = next(self.numbers)
        status = (400, 401, 403, 404, 407, 413, 429, 500, 503, 200, 302)[number % 11]
        error: dict[str, Any] = {"code": status, "message": f"Refused: {echo}", "errors": [{"reason": "forbidden"}]}
        content = (
            json.dumps({"error": error}),
            f"<html>{echo}</html>",
            json.dumps({"error": {**error, "errors": [{"reason": echo[-60:], "location": echo}]}}),
            json.dumps({"error": "invalid_grant", "error_description": echo}),
        )[number % 4].encode()
        self.send_response(status, echo.encode("ascii", "replace").decode()[:200].replace("\n", " "))
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Location", f"http://127.0.0.1:9/?upload_id={CANARY}")
        self.send_header("X-Echo", self.headers.get("Authorization", ""))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815 - their names in the standard library

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@contextmanager
def echoing() -> Iterator[str]:
    """The URL of a Drive that echoes."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def commands(home: Home, environ: dict[str, str]) -> str:
    """What the commands print about the home."""
    shown = ""
    for command in (
        ["function", "upload", "Data/a.txt"],
        ["local_runner", "doctor"],
        ["local_runner", "retry", "--all"],
    ):
        ended = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=home.folder,
            env=os.environ | home.environ | {"PYTHONPATH": str(PROJECT), "LOG_LEVEL": "DEBUG"} | environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        shown += f"\n== {command}\n{ended.stdout}\n{ended.stderr}"
    return shown


def everything(home: Home, payloads: list[bytes], environ: dict[str, str]) -> str:
    """All that comes out: of the served function for each payload, of the commands, and the log."""
    with serving(home, environ=environ | {"LOG_LEVEL": "DEBUG"}) as served:
        answers = [requests.post(served.url, data=each, headers=HEADERS, timeout=60) for each in payloads]
        shown = "\n".join(f"{each.headers}\n{each.text}" for each in answers)
    log = home.folder / "upload_log.json"
    shown += commands(home, environ) + served.stderr.read_text()
    return shown + (log.read_text() if log.exists() else "")


def leaks(shown: str) -> list[str]:
    """The lines that hold the canary."""
    return [line[max(0, line.find(CANARY) - 300) :][:400] for line in shown.splitlines() if CANARY in line]


@pytest.fixture
def full_of_secrets(home: Home) -> Home:
    """A home whose token file holds the canary in each field, and in which nobody waits for long."""
    home.write("drive_token.json", json.dumps({**TOKEN, "token_uri": f"{home.drive.url}/token"}))
    os.utime(home.folder / "drive_token.json", (1, 1))  # a file that nobody is writing
    home.settings(deadline_s=2)
    home.put("Data/a.txt")
    return home


def test_headers_and_refused_payloads_stay_inside(full_of_secrets: Home) -> None:
    """A caller's credentials are repeated by nothing, and a refused payload is told without its values."""
    shown = everything(full_of_secrets, [json.dumps({"path": "Data/a.txt"}).encode(), *REFUSED], {})

    assert "invalid_payload" in shown
    assert leaks(shown) == []


@pytest.mark.parametrize("name", SETTINGS)
def test_secrets_in_settings_stay_there(full_of_secrets: Home, name: str) -> None:
    """A token where a path belongs, a password in an address: what is wrong is named, and the value isn't quoted."""
    shown = everything(full_of_secrets, [json.dumps({"path": "Data/a.txt"}).encode()], SETTINGS[name])

    assert leaks(shown) == []


def test_a_drive_that_echoes_gets_nothing_out(full_of_secrets: Home) -> None:
    """Whatever a gateway puts of a request into its answer: code, page, envelope, header."""
    with echoing() as url:
        full_of_secrets.write("drive_token.json", json.dumps({**TOKEN, "token_uri": f"{url}/token"}))
        os.utime(full_of_secrets.folder / "drive_token.json", (1, 1))
        payloads = [json.dumps({"path": "Data/a.txt"}).encode()] * 6
        shown = everything(full_of_secrets, payloads, {"DRIVE_EMULATOR_HOST": url})

    assert leaks(shown) == []
