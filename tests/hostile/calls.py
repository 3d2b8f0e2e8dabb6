"""Odd requests to the served function, and its answers judged."""

import http.client
import io
import json
import re
import select
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from local_runner.drive_emulator import DriveEmulator
from tests.hostile import payloads
from tests.hostile.payloads import HEADER_CANARY, METADATA_CANARY, Request
from tests.support.home import Home, new_home
from tests.support.served import BY_US, Served, serving

MEMORY_MAX_BYTES = 200 * 1024 * 1024

TOKEN_CANARY = "Token0Canary"

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

SILENCE_S = 0.03
"""How long an answer to what is no whole request is waited for with the connection open both ways."""

PATIENCE_S = 60

TRACEBACK = re.compile(r'Traceback|stack_trace|File "[^"]+\.py|internal error', re.IGNORECASE)

Broken = tuple[int, list[str]]
"""The number of a case, and what was wrong with it."""


def requests_of(seed: int, numbers: Sequence[int], command: tuple[str, ...] = BY_US) -> list[Broken]:
    """Send the requests of those numbers to one server; what was wrong, by number."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder, DriveEmulator() as drive:
        home = prepared(Path(folder), drive)
        broken: list[Broken] = []
        with serving(home, command=command) as served:
            for number in numbers:
                found = list(_wrong(served.port, request(seed, number, command), is_ours=command == BY_US))
                if found:
                    broken.append((number, found))
                if served.process.poll() is not None:
                    break
            found = [*_wrong_in_the_end(home, served)]
        return [*broken, (numbers[-1], found)] if found else broken


def request(seed: int, number: int, command: tuple[str, ...] = BY_US) -> Request:
    """The request of that number; to another server than ours only what is HTTP."""
    return payloads.request(Random(f"payload {seed}/{number}"), always_whole=command != BY_US)


def prepared(folder: Path, drive: DriveEmulator) -> Home:
    """A home with secrets, small files that payloads name, and a Drive that refuses some of them for now."""
    home = new_home(folder / "home", drive)
    home.settings(deadline_s=5)
    secrets = {"client_secret": f"GOCSPX-{TOKEN_CANARY}", "canary": TOKEN_CANARY}
    home.write("drive_token.json", json.dumps(drive.authorized_user() | secrets))
    home.put()
    for number in range(payloads.FRESH):
        home.put(f"Data/Fresh/{number}.txt", f"fresh {number}")
    for nth in range(2, payloads.FRESH, 4):
        refused = {"do": "status", "status": 403, "reason": "storageQuotaExceeded"}
        drive.faults.add({"on": "files.create", "nth": nth, **refused})
    return home


# --- one request


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of those that came over a connection."""

    method: str
    code: int
    kind: str
    retry_after: str | None
    text: str

    @property
    def is_json(self) -> bool:
        """Whether it says so."""
        return self.kind == "application/json"


class _Arrived(io.BytesIO):
    """What http.client takes for a socket and for its file: bytes that have arrived, one answer behind the other."""

    def makefile(self, *_: object) -> "_Arrived":
        return self

    def close(self) -> None:
        """Not yet: another answer may follow."""


def _wrong(port: int, sent: Request, *, is_ours: bool = True) -> Iterator[str]:
    """What is wrong with the answers. functions-framework's own server refuses what is no HTTP with pages."""
    try:
        arrived = _exchanged(port, sent)
        answers = [each for each in _answers(sent, arrived) if is_ours or each.code not in (400, 431) or each.is_json]
    except (OSError, http.client.HTTPException) as error:
        yield f"{error!r} for {_shown(sent)}"
        return
    codes = [each.code for each in answers]
    if sent.is_whole and not arrived:
        yield f"no answer to {_shown(sent)}"
    if sent.asks_health and len(answers) > 1 and codes[1] != 200:
        yield f"the next request got {codes[1:]} behind {_shown(sent)}"
    if sent.asks_health and len(answers) == 1 and codes[0] < 400:
        yield f"the next request got no answer behind {_shown(sent)}"
    for answer in answers:
        yield from (f"{each}: {answer.code} {answer.text[:300]} to {_shown(sent)}" for each in _wrong_answer(answer))
        if sent.is_whole and METADATA_CANARY in answer.text and _is_refusal(answer):
            yield f"a refusal quotes metadata: {answer.text[:300]} to {_shown(sent)}"


def _exchanged(port: int, sent: Request) -> bytes:
    """All that comes back over one connection. A server that waits for more of a request learns that none comes."""
    arrived = b""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)) as caller:
        try:
            caller.sendall(sent.wire)
            if not sent.is_whole:
                if select.select([caller], [], [], SILENCE_S)[0]:
                    arrived = caller.recv(65536)
                caller.shutdown(socket.SHUT_WR)
            while block := caller.recv(65536):
                arrived += block
        except OSError:
            if sent.is_whole and not arrived:
                raise
            if not sent.is_whole:  # refused before it was read whole: the reset may have cut the answer
                return b""
    return arrived.removeprefix(CONTINUE)


def _answers(sent: Request, content: bytes) -> Iterator[Answer]:
    arrived = _Arrived(content)
    method = sent.wire.lstrip(b"\r\n").split(b" ", 1)[0].decode("latin-1")
    while arrived.tell() < len(content):
        answer = http.client.HTTPResponse(arrived, method=method)  # type: ignore[arg-type]
        answer.begin()
        text = answer.read().decode()
        yield Answer(
            method, answer.status, answer.getheader("Content-Type") or "", answer.getheader("Retry-After"), text
        )
        method = "GET"


def _wrong_answer(answer: Answer) -> Iterator[str]:
    if answer.code >= 500 and answer.code != 503:
        yield "a 5xx that is no 503"
    if answer.code == 503 and not (answer.retry_after or "").isdecimal():
        yield "a 503 without Retry-After"
    if not answer.is_json:
        yield f"the type is {answer.kind!r}"
    if TRACEBACK.search(answer.text):
        yield "a traceback or an internal error"
    if any(each in answer.text for each in (HEADER_CANARY, TOKEN_CANARY)):
        yield "a secret"
    if answer.method != "HEAD" and not isinstance(_document(answer.text), dict):
        yield "no JSON object"


def _document(text: str) -> Any:
    """The JSON of an answer, None where it is none: NaN isn't."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _is_refusal(answer: Answer) -> bool:
    document = _document(answer.text)
    results = document.get("results", ()) if isinstance(document, dict) else ()
    return any(each["reason"] in ("invalid_payload", "batch_too_large") for each in results)


def _shown(sent: Request) -> str:
    """The request's beginning and end, as a bytes literal."""
    return repr(sent.wire if len(sent.wire) <= 800 else sent.wire[:500] + b" ... " + sent.wire[-300:])


# --- the server


def _wrong_in_the_end(home: Home, served: Served) -> Iterator[str]:
    if served.process.poll() is not None:
        yield f"the server ended with {served.process.returncode}"
    else:
        health = list(_wrong(served.port, Request("GET", payloads.HEALTH, is_whole=True)))
        yield from (f"health in the end: {each}" for each in health)
        if served.memory_bytes() >= MEMORY_MAX_BYTES:
            yield f"the server took {served.memory_bytes():,} bytes of memory"
    printed = served.stderr.read_text(errors="surrogateescape")
    file = home.folder / "upload_log.json"
    log = file.read_text() if file.exists() else "[]"
    if not isinstance(_document(log), list):
        yield f"the log is no array: {log[-300:]!r}"
    for name, text in (("stderr", printed), ("the log", log)):
        if found := TRACEBACK.search(text):
            yield f"{name} holds a traceback or an internal error: {text[max(0, found.start() - 300) :][:2000]}"
        for secret in (HEADER_CANARY, TOKEN_CANARY):
            if secret in text:
                yield f"{name} holds {secret}: {text[max(0, text.index(secret) - 300) :][:600]}"
    files = [each["path"] for each in home.drive.files() if not each["trashed"]]
    yield from (f"{each} is twice on Drive" for each in sorted({each for each in files if files.count(each) > 1}))
    if any((home.folder / f"Data/Fresh/{n}.txt").read_text() != f"fresh {n}" for n in range(payloads.FRESH)):
        yield "a source was changed"
