"""Generated requests over HTTP, from a seed: whatever is sent, the answer is JSON, and no 5xx but a 503.

A short run is part of the tests; PAYLOADS=100000 makes a long one of it, SEED=7 another.
"""

import base64
import http.client
import json
import os
import random
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.support.home import Home
from tests.support.served import BY_FRAMEWORK, BY_US, Served, serving

COUNT = int(os.environ.get("PAYLOADS", "400"))
SEED = int(os.environ.get("SEED", "1"))

CANARY = "canary-3f9a1c"

TEXTS = [
    "", " ", "x", "\0", "\ud800", "\udcff", "🜁", "é", "../..", "/", "//", ".", "Data", "Data/", "Data/Meta/note.txt",
    "./Data/Meta/../Meta/note.txt", "paths.json", "drive_token.json", "upload_log.json", ".drive_upload", "Data/none",
    "default", "nobody", "skip", "fail", "keep_both", "new_revision", "overwrite", "x" * 300, "x/" * 300, "e30=", "%%%",
    "/dev/zero", "/proc/self/environ", "/proc/self/mem", "C:\\x", "~", "$HOME", "\n", "\r\n\r\n", "{}", "[]", CANARY,
]  # fmt: skip

KEYS = ["path", "files", "metadata", "account", "if_exists", "message", "subscription", "data", "data_base64", "x", ""]

VALUES: list[Any] = [None, True, False, 0, -1, 1.5, 10**30, [], {}]

HEADERS = {
    "Content-Type": [
        "application/json", "application/cloudevents+json", "application/cloudevents-batch+json", "text/plain",
        "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "\xff", "",
    ],
    "X-CloudTasks-TaskName": ["t", ""],
    "x-goog-pubsub-message-id": ["1"],
    "ce-id": ["1", "\xff"],
    "ce-specversion": ["1.0", "9"],
    "Script-Name": ["/x"],
    "SCRIPT_NAME": ["/x"],
    "X-Forwarded-Prefix": ["/x"],
    "X-Forwarded-Host": ["a, b", "["],
    "X-Forwarded-For": ["::", CANARY],
    "Authorization": [f"Bearer {CANARY}", "Basic \xff"],
    "Cookie": [f"a={CANARY}", ";;=\xff"],
    "Function-Execution-Id": [CANARY],
    "X-Cloud-Trace-Context": ["x/y;o=9", "0" * 32 + "/1;o=1"],
    "traceparent": ["00-" + "f" * 32 + "-" + "f" * 16 + "-01", "00-x"],
    "Content-Encoding": ["gzip", "br"],
    "Accept": ["text/html"],
    "Range": ["bytes=0-1"],
    "X-HTTP-Method-Override": ["DELETE"],
}  # fmt: skip

PATHS = ["/", "/", "/", "/x", "//", "/?a=b", "/%ff", "/%00", "/..", "/robots.txt", "/console", "/?__debugger__=yes"]


def document(dice: random.Random, depth: int = 0) -> Any:
    """Some JSON, more often than not of a payload's words."""
    kind = dice.random()
    if depth > 3 or kind < 0.15:
        return dice.choice(VALUES)
    if kind < 0.35:
        return dice.choice(TEXTS)
    if kind < 0.5:
        return [document(dice, depth + 1) for _ in range(dice.randint(0, 3))]
    keys = [dice.choice(KEYS if dice.random() < 0.9 else TEXTS) for _ in range(dice.randint(0, 4))]
    return {key: document(dice, depth + 1) for key in keys}


def payload(dice: random.Random) -> Any:
    """A payload with a mistake or two in it, or none; in an envelope, now and then."""
    if dice.random() < 0.3:
        return document(dice)
    whole: dict[str, Any] = {"path": dice.choice(TEXTS)}
    for key in ("metadata", "account", "if_exists", dice.choice(TEXTS)):
        if dice.random() < 0.3:
            whole[key] = document(dice, 1)
    if dice.random() < 0.2:
        whole = {"files": [whole] * dice.randint(0, 3)}
    envelope = dice.random()
    data = base64.b64encode(json.dumps(whole).encode()).decode()
    if envelope < 0.1:
        return {"message": {"data": data, "messageId": "1"}, "subscription": "s"}
    if envelope < 0.2:
        return {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data_base64": data}
    return whole


def body(dice: random.Random) -> bytes:
    """The payload's bytes, damaged now and then."""
    content = json.dumps(payload(dice), ensure_ascii=dice.random() < 0.7).encode("utf-8", "surrogatepass")
    if dice.random() < 0.2 and content:
        at = dice.randrange(len(content))
        noise = dice.choice(
            [b"", b"\0", b"\xff", b'"', b"\\u", b"\\ud83d", b"1e999", b"NaN", b"[" * 70, b"\xef\xbb\xbf"]
        )
        content = content[:at] + noise + content[at + 1 :]
    return content.decode("utf-8", "replace").encode("utf-16") if dice.random() < 0.02 else content


def ask(caller: http.client.HTTPConnection, dice: random.Random) -> tuple[int, str, str]:
    """Send one request; the code, type and text of its answer."""
    method = dice.choice(["POST"] * 12 + ["GET", "PUT", "OPTIONS", "BREW"])
    caller.putrequest(method, dice.choice(PATHS), skip_accept_encoding=True)
    for name in dice.sample(sorted(HEADERS), dice.randint(0, 4)):
        caller.putheader(name, dice.choice(HEADERS[name]).encode("latin-1"))
    content = body(dice)
    if dice.random() < 0.2:
        caller.putheader("Transfer-Encoding", "chunked")
        caller.endheaders(b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content) if content else b"0\r\n\r\n")
    else:
        caller.putheader("Content-Length", str(len(content)))
        caller.endheaders(content)
    answer = caller.getresponse()
    return answer.status, answer.getheader("Content-Type") or "", answer.read().decode()


@pytest.fixture(params=[BY_US, BY_FRAMEWORK], ids=["our server", "functions-framework's"])
def served(request: pytest.FixtureRequest, home: Home) -> Iterator[Served]:
    """The function on a home whose own secrets hold the canary."""
    home.settings(deadline_s=5)
    token = home.drive.authorized_user()
    home.write("drive_token.json", json.dumps(token | {"client_secret": f"GOCSPX-{CANARY}", "canary": CANARY}))
    home.put()
    with serving(home, command=request.param) as running:
        yield running


@pytest.mark.timeout(3600)
def test_whatever_is_sent(home: Home, served: Served) -> None:
    """JSON with a status in every answer; a bounded log; the process alive, its memory below 200 MB."""
    dice = random.Random(SEED)
    codes: dict[int, int] = {}
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)) as caller:
        for number in range(COUNT):
            code, kind, text = ask(caller, dice)
            said = f"request {number} of seed {SEED}: {code} {text[:300]}"
            assert code < 500 or code == 503, said
            assert kind == "application/json", said
            assert json.loads(text)["status"], said
            codes[code] = codes.get(code, 0) + 1

    printed = served.stderr.read_text()
    log = (home.folder / "upload_log.json").read_text()
    assert served.process.poll() is None
    assert served.memory_bytes() < 200 * 1024 * 1024
    assert {400, 403, 404} <= codes.keys()
    assert "Traceback" not in printed
    assert "stack_trace" not in printed
    assert f"GOCSPX-{CANARY}" not in printed + log
    assert f"Bearer {CANARY}" not in printed + log
    print(codes)
