"""Requests and admin calls at random: right, nearly right and absurd. `python -m tests.emulator.fuzz COUNT [SEED]`.

A call is drawn from Google's discovery documents or the emulator's own addresses, its values from what the run has made
so far and from a store of nasty ones. None of them may be a bug's 500 (reason `internalError`), and after each
thousand calls the emulator starts again with the files that it had.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections import Counter
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from local_runner.drive_emulator import DriveEmulator
from local_runner.drive_emulator.schema.discovery import Method, Schema, Version, document

BATCH = 1000
TOKEN = "fuzz"

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

NASTY: list[Any] = [
    "", "x", "root", "é" * 200, "\x00", "\ud800", "a\r\nb: c", "%", "'", '"', "../..", "9" * 6000, -1, 0, 1,
    2**31, 2**63, 10**400, 1e300, -0.5, True, False, None, [], {}, [[]], {"a": None}, "0001-01-01T00:00:00+14:00",
    "true", "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z", "name contains 'a'", "((((", "* ", "files(id", "a@b",
    "anyone", "application/vnd.google-apps.folder", "application/vnd.google-apps.shortcut", "owner", "reader", "user",
    "application/vnd.google-apps.document", "application/vnd.google-apps.spreadsheet", "text/plain", "text/csv", WORD,
]  # fmt: skip

HEADERS: dict[str, list[str]] = {
    "Range": ["bytes=0-1", "bytes=-5", "bytes=9-1", "bytes=" + "9" * 5000 + "-", "x"],
    "Content-Range": ["bytes */*", "bytes 0-1/2", "bytes 5-1/2", "bytes 0-262143/*", "bytes x", "bytes */" + "9" * 30],
    "X-Upload-Content-Length": ["5", "-1", "9" * 5000, "x"],
    "X-HTTP-Method-Override": ["GET", "PATCH", "NONSENSE"],
    "If-Match": ["*", '"x"'],
    "Content-Type": [
        "application/json",
        "multipart/related; boundary=B",
        "multipart/mixed",
        "text/plain",
        "x",
        "",
        WORD,
    ],
    "Content-Encoding": ["gzip", "deflate"],
    "X-Goog-Upload-Protocol": ["resumable", "raw", "multipart", "x"],
    "X-Goog-Upload-Command": ["start", "upload", "upload, finalize", "finalize", "query", "cancel", "x"],
    "X-Goog-Upload-Offset": ["0", "5", "-1", "9" * 5000, "x"],
    "X-GUploader-No-308": ["yes"],
    "Accept-Encoding": ["gzip"],
}

ADMIN: list[tuple[str, str]] = [
    ("GET", "/"), ("GET", "/emulator/files"), ("GET", "/emulator/requests"), ("GET", "/emulator/content"),
    ("GET", "/emulator/download"), ("GET", "/emulator/accounts"), ("POST", "/emulator/accounts"),
    ("PATCH", "/emulator/weather"), ("POST", "/emulator/faults"), ("DELETE", "/emulator/faults"), ("POST", "/token"),
    ("GET", "/tokeninfo"), ("GET", "/o/oauth2/v2/auth"), ("POST", "/o/oauth2/v2/auth"), ("POST", "/batch/drive/v3"),
    ("GET", "/nowhere"), ("DELETE", "/emulator/requests"), ("GET", "/emulator/health"), ("GET", "/emulator/state"),
    ("POST", "/emulator/service-account"), ("GET", "/uc"), ("GET", "/userinfo/v2/me"), ("POST", "/device/code"),
    ("GET", "/device"), ("POST", "/device"), ("POST", "/revoke"), ("GET", "/oauth2/v3/certs"),
]  # fmt: skip

ADMIN_FIELDS = {
    "/emulator/accounts": ["email", "storage_limit", "service_account", "nonsense"],
    "/emulator/weather": ["list_lag_s", "units_per_minute", "limit_status", "max_depth", "overlap", "nonsense"],
    "/emulator/faults": [
        "do",
        "on",
        "nth",
        "times",
        "status",
        "reason",
        "body",
        "headers",
        "after_bytes",
        "set",
        "drop",
    ],
}
DEEDS = ["status", "edit_answer", "shorten_answer", "truncate_answer", "lose_answer", "reset_before", "trash_parent"]


class Fuzzer:
    """A stream of calls, the same for the same seed and answers."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.known: list[str] = ["root"]
        self.statuses: Counter[int] = Counter()

    def call(self, drive: DriveEmulator, connection: HTTPConnection) -> None:
        """One call; raises AssertionError for a 500 that is a bug's."""
        method, target, headers, body = self._request()
        try:
            connection.request(method, target, body, {"Authorization": f"Bearer {TOKEN}", **headers})
            answer = connection.getresponse()
            text = answer.read()
        except (HTTPException, ConnectionError, ValueError):  # ValueError: the client's own refusal of a header
            connection.close()
            return
        self.statuses[answer.status] += 1
        assert b'"internalError"' not in text, (method, target[:300], headers, (body or b"")[:300])
        self._learn(text, answer.headers.get("Location"))

    def _learn(self, text: bytes, location: str | None) -> None:
        with suppress(ValueError, RecursionError):
            made = json.loads(text)
            if isinstance(made, dict) and isinstance(made.get("id"), str):
                self.known.append(made["id"])
        if location is not None and "upload_id=" in location:
            self.known.append("upload_id=" + location.rpartition("upload_id=")[2])
        del self.known[1:-40]

    def _request(self) -> tuple[str, str, dict[str, str], bytes | None]:
        headers = {name: self.dice.choice(values) for name, values in HEADERS.items() if self.dice.random() < 0.08}
        if self.dice.random() < 0.25:
            method, path = self.dice.choice(ADMIN)
            fields = ADMIN_FIELDS.get(path, ["id", "on", "token", "grant_type", "client_id", "page"])
            given = {name: self._value() for name in fields if self.dice.random() < 0.4}
            if path == "/emulator/faults":
                given["do"] = self.dice.choice(DEEDS)
            if path == "/emulator/accounts" and self.dice.random() < 0.5:
                given["email"] = f"{self.dice.randrange(20)}@example.com"
            query = urlencode({name: _text(value) for name, value in given.items()})
            return method, f"{path}?{query}", headers, _encoded(given) if method != "GET" else None
        version: Version = self.dice.choice((3, 3, 2))
        api = self.dice.choice(list(document(version).methods.values()))
        return self._api_call(version, api, headers)

    def _api_call(
        self, version: Version, api: Method, headers: dict[str, str]
    ) -> tuple[str, str, dict[str, str], bytes | None]:
        parts = [quote(_text(self._id())[:200], safe="") if "{" in part else part for part in api.path.split("/")]
        query = {name: self._parameter(name) for name in api.parameters if self.dice.random() < 0.12}
        query |= {name: self._parameter(name) for name, one in api.parameters.items() if one.required}
        prefix = f"/drive/v{version}/"
        body = None
        if api.request is not None:
            body = _encoded(self._object(document(version).schema(api.request), 0))
        if api.takes_media and self.dice.random() < 0.5:
            prefix = f"/upload/drive/v{version}/"
            query["uploadType"] = self.dice.choice(["media", "multipart", "resumable", "x"])
            sessions = [one.partition("=")[2] for one in self.known if one.startswith("upload_id=")]
            if sessions and self.dice.random() < 0.5:
                query["upload_id"] = self.dice.choice(sessions)
            if query["uploadType"] == "multipart":
                headers["Content-Type"] = "multipart/related; boundary=B"
                kind = self.dice.choice([b"text/plain", b"text/html", b"text/csv", WORD.encode()])
                body = (
                    b"--B\r\n\r\n" + (body or b"{}") + b"\r\n--B\r\nContent-Type: " + kind + b"\r\n\r\nhello\r\n--B--"
                )
        return api.http_method, f"{prefix}{'/'.join(parts)}?{urlencode(query)}", headers, body

    def _id(self) -> Any:
        return self.dice.choice(self.known) if self.dice.random() < 0.8 else self._value()

    def _parameter(self, name: str) -> str:
        if name == "fields" and self.dice.random() < 0.7:
            return "*"
        return _text(self._value())

    def _value(self) -> Any:
        return self.dice.choice(NASTY) if self.dice.random() < 0.8 else self.dice.choice(self.known)

    def _object(self, schema: Schema, depth: int) -> Any:
        """A value of a schema, most of whose fields are left out and some of which are nonsense."""
        if self.dice.random() < 0.06 or depth > 4:
            return self._value()
        match schema.kind:
            case "object":
                return {
                    name: self._object(inner, depth + 1)
                    for name, inner in schema.fields.items()
                    if self.dice.random() < (0.5 if name in {"name", "parents", "mimeType", "id", "role"} else 0.04)
                }
            case "array":
                return [self._object(schema.items, depth + 1)] if schema.items is not None else []
            case "boolean":
                return self.dice.random() < 0.5
            case "integer" | "number":
                return self.dice.randrange(100)
            case _:
                return self._id() if self.dice.random() < 0.5 else f"text {self.dice.randrange(100)}"


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode()


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def run(count: int, seed: int, folder: Path) -> Counter[int]:
    """So many calls against one state, which is opened anew after each thousand; how often each status came."""
    fuzzer = Fuzzer(seed)
    files: set[str] | None = None
    for begin in range(0, count, BATCH):
        with DriveEmulator(folder, seed=seed, accept_tokens=[TOKEN]) as drive:
            assert files is None or {one["id"] for one in drive.files()} == files, "files differ after a restart"
            with closing(HTTPConnection("127.0.0.1", drive.port, timeout=60)) as connection:
                for _ in range(min(BATCH, count - begin)):
                    fuzzer.call(drive, connection)
            files = {one["id"] for one in drive.files()}
    return fuzzer.statuses


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        print(run(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1, Path(temporary)))
