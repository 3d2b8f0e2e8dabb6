"""The function as it is served, over a real socket: uploads, odd requests, silent callers, the end of the process."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import requests

from function.serving.payload import BODY_MAX_BYTES
from tests.support.home import PROJECT, Home
from tests.support.served import BY_FRAMEWORK, BY_US, Served, serving

MEMORY_MAX_BYTES = 200 * 1024 * 1024


@pytest.fixture
def served(home: Home) -> Iterator[Served]:
    """`python -m function serve` on that home, when it answers."""
    with serving(home) as running:
        yield running


def raw(served: Served, *parts: bytes) -> tuple[int, dict[str, object]]:
    """What is answered to those bytes: the code, and the JSON document."""
    with closing(socket.create_connection(("127.0.0.1", served.port), timeout=60)) as caller:
        for part in parts:
            caller.sendall(part)
        answer = http.client.HTTPResponse(caller)
        answer.begin()
        assert answer.getheader("Content-Type") == "application/json"
        return answer.status, json.loads(answer.read())


def test_uploads_over_a_real_socket(home: Home, served: Served) -> None:
    """Many at once, in threads of one process; then SIGTERM, and it leaves by itself."""
    paths = [home.put(f"Data/Meta/{index}.txt", f"{index}") for index in range(20)]

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda path: requests.post(served.url, json={"path": path}, timeout=60), paths))
    served.process.send_signal(signal.SIGTERM)
    served.process.wait(timeout=30)

    assert {(each.status_code, each.json()["status"]) for each in answers} == {(200, "uploaded")}
    assert len(home.stored()) == len(home.log()) == 20
    assert home.folders() == ["MemoryVDB", "MemoryVDB/Meta"]
    assert served.process.returncode == 0
    lines = [json.loads(line) for line in served.stderr.read_text().splitlines()]
    assert len([each for each in lines if each.get("entry", {}).get("status") == "uploaded"]) == 20


def test_an_upload_in_hand_is_answered_before_the_end(home: Home, served: Served) -> None:
    """SIGTERM while Drive takes its time: the caller gets an answer, the log its entry, then the process leaves."""
    path = home.put()
    home.drive.faults.add({"on": "files.create", "do": "delay", "ms": 1000})

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(requests.post, served.url, json={"path": path}, timeout=60)
        while not home.drive.requests.count("files.create"):
            assert not answer.done()
        served.process.send_signal(signal.SIGTERM)
        code = answer.result().status_code
    served.process.wait(timeout=30)

    assert served.process.returncode == 0
    assert code == 200
    assert [each["status"] for each in home.log()] == ["uploaded"]


def test_bodies_of_every_kind(home: Home, served: Served) -> None:
    """Chunked, too long, cut off by the caller: each is answered in JSON, and the next call works."""
    path = home.put()
    body = json.dumps({"path": path}).encode()

    chunked = requests.post(served.url, data=iter([body[:5], body[5:]]), timeout=30)
    too_long = requests.post(served.url, data=b" " * (BODY_MAX_BYTES + 1), timeout=30)
    with closing(http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=30)) as caller:
        caller.putrequest("POST", "/")
        caller.putheader("Content-Length", "1000")
        caller.endheaders(body)
    after = requests.post(served.url, data=body, timeout=30)

    assert (chunked.status_code, chunked.json()["status"]) == (200, "uploaded")
    assert (too_long.status_code, too_long.json()["results"][0]["reason"]) == (400, "invalid_payload")
    assert after.json()["status"] == "unchanged"


@pytest.mark.parametrize(
    "sent",
    [b"Content-Length: 30\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1e\r\n{"],
    ids=["by its length", "by its chunk"],
)
@pytest.mark.parametrize("command", [BY_US, BY_FRAMEWORK], ids=["our server", "functions-framework's"])
def test_a_queue_sends_what_was_cut_again(home: Home, command: tuple[str, ...], sent: bytes) -> None:
    """It takes 2xx for done, and would forget a file whose request did not come through whole."""
    with serving(home, command=command) as server, socket.create_connection(("127.0.0.1", server.port)) as caller:
        caller.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nX-CloudTasks-TaskName: t\r\n" + sent)
        caller.shutdown(socket.SHUT_WR)
        caller.settimeout(20)
        answer = caller.makefile("rb").readline()

    assert not answer.startswith(b"HTTP/1.1 2")


def test_other_pages_are_json_too(served: Served) -> None:
    """Of the framework, of the server, and of ours."""
    for path in ("/robots.txt", "/nothing", "/favicon.ico"):
        answer = requests.get(served.url + path, timeout=30)

        assert (answer.status_code, answer.json()["status"]) == (404, "failed")
    assert requests.put(served.url, timeout=30).json()["status"] == "failed"


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

ODD: dict[str, tuple[bytes, int]] = {
    "no HTTP": (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
    "a bad chunk": (CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", 400),
    "a long line of a chunk's size": (CHUNKED + b"1;x=" + b"a" * 40_000, 400),
    "a long trailer": (CHUNKED + b"0\r\nA: " + b"a" * 40_000, 400),
    "a trailer of many lines": (CHUNKED + b"0\r\n" + b"A: b\r\n" * 6_700, 400),
    "what may stand around chunks": (
        CHUNKED.replace(b"POST", b"GET")
        + b"2;x="
        + b"a" * 20_000
        + b"\r\n{}\r\n0\r\nA: "
        + b"a" * 20_000
        + b"\r\n\r\n",
        200,
    ),
    "an unknown coding": (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
    "a length that is none": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400),
    "a long request line": (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
    "long headers": (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 40_000 + b"\r\n\r\n", 431),
    "SCRIPT_NAME": (b"GET / HTTP/1.1\r\nHost: x\r\nSCRIPT_NAME: /elsewhere\r\n\r\n", 200),
    "Script-Name": (b"GET / HTTP/1.1\r\nHost: x\r\nScript-Name: /elsewhere\r\n\r\n", 200),
    "a broken escape": (b"GET /%zz%ff HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "bytes in the path": (b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "an odd host": (b"GET / HTTP/1.1\r\nHost: ]:x/\xff\r\n\r\n", 200),
    "a method of its own": (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "an expectation without a body": (b"GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n", 200),
    "an expectation of nothing": (
        b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
        400,
    ),
    "no path": (b"GET ? HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    "no path to post to": (b"POST ?;x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 400),
    "a slash too many": (b"GET /openapi.json/ HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "slashes": (b"GET //a//b HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "an address that is none": (b"POST http://[::1/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 400),
    "a length of many digits": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n{}", 400),
    "an empty payload": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_requests_are_answered_in_json(served: Served, name: str) -> None:
    """A 4xx that says so, or what was asked for; never a page, never a 5xx."""
    request, code = ODD[name]

    answered, document = raw(served, request)

    assert answered == code
    assert document["status"] in ("failed", "ok")


@pytest.mark.parametrize("odd", [b"Content-Length: -5", b"Transfer-Encoding: gzip", b"no header"])
def test_a_refusal_of_head_has_no_body(served: Served, odd: bytes) -> None:
    """As any answer to HEAD: who reads on would take the body for the next answer."""
    with closing(socket.create_connection(("127.0.0.1", served.port), timeout=60)) as caller:
        caller.sendall(b"\r\nHEAD / HTTP/1.1\r\nHost: x\r\n" + odd + b"\r\n\r\n")
        arrived = caller.makefile("rb").read()

    assert arrived[8:].startswith(b" 400 ")
    assert arrived.endswith(b"\r\n\r\n")


def test_a_web_page_cannot_call(home: Home, served: Served) -> None:
    """Browsers name the page's origin; whatever it is, nothing is tried."""
    for origin in ("https://example.com", "null", served.url):
        answer = requests.post(served.url, json={"path": home.put()}, headers={"Origin": origin}, timeout=30)

        assert (answer.status_code, answer.json()["status"]) == (403, "failed")
    assert home.stored() == {}


SILENT = {
    "nothing": b"",
    "half a request line": b"GET / HT",
    "half a header": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Le",
    "half a body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    "half a chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n{",
}


@pytest.mark.parametrize("said", SILENT.values(), ids=list(SILENT))
def test_silent_callers_keep_nobody_waiting(home: Home, served: Served, said: bytes) -> None:
    """While 64 connections fall silent in the midst of a request, health and uploads go on."""
    with ExitStack() as silent:
        for _ in range(64):
            caller = silent.enter_context(closing(socket.create_connection(("127.0.0.1", served.port))))
            caller.sendall(said)

        health = requests.get(served.url, timeout=30)
        upload = requests.post(served.url, json={"path": home.put()}, timeout=30)

    assert health.json()["status"] == "ok"
    assert upload.json()["status"] == "uploaded"


def large(count: int, unit: bytes) -> bytes:
    """A payload that is as long as is allowed, made of one thing."""
    return b'{"path": "Data/Meta/note.txt", "metadata": {"a": [' + unit * count + b"0]}}"


LARGE: dict[str, bytes] = {
    "empty lists": large(3_400_000, b"[],"),
    "empty objects": large(3_400_000, b"{},"),
    "numbers": large(5_000_000, b"7,"),
    "as many values as are allowed": large(49_000, b'{"a":0},'),
    "one long text": large(1, b'"' + b"x" * 10_000_000 + b'",'),
    "one long text of wide characters": large(1, b'"' + "🜁".encode() + b"x" * 9_900_000 + b'",'),
    "emoji": large(1, b'"' + 2_470_000 * "💥".encode() + b'",'),
    "emoji and half a character": large(1, b'"' + 2_470_000 * "💥".encode() + b'\\ud800",'),
    "emoji as a key": large(1, b'{"' + 2_470_000 * "💥".encode() + b'": 1},'),
    "é": large(1, b'"' + 4_900_000 * "é".encode() + b'",'),
    "a long path": b'{"path": "' + b"x" * 10_000_000 + b'"}',
    "a long account": b'{"path": "x", "account": "' + b"x" * 10_000_000 + b'"}',
    "a long key": b'{"path": "x", "' + b"x" * 10_000_000 + b'": 1}',
    "deep": b"[" * 10_000_000,
    "a long number": b'{"path": ' + b"9" * 10_000_000 + b"}",
    "many long paths": b'{"files": [' + b",".join([b'{"path": "Data/' + b"x/" * 2000 + b'"}'] * 1000) + b"]}",
}


@pytest.mark.parametrize("name", LARGE)
def test_no_single_payload_fills_the_memory(home: Home, served: Served, name: str) -> None:
    """Whatever is sent within the limit: no 5xx, a bounded log, and less than 200 MB."""
    home.put()
    assert len(LARGE[name]) <= BODY_MAX_BYTES

    answer = requests.post(served.url, data=LARGE[name], timeout=100)

    assert answer.status_code in (200, 400, 404), answer.text[:300]
    assert served.stderr.stat().st_size < 20_000_000
    assert served.memory_bytes() < MEMORY_MAX_BYTES
    assert (home.folder / "upload_log.json").stat().st_size < 12_000_000 * 2
    if answer.status_code == 400:
        assert len(answer.content) < 2000


@pytest.mark.parametrize(("path", "code"), [("Data/Meta/note.txt", 200), ("Data/none.txt", 404)])
def test_no_series_of_payloads_fills_the_memory(home: Home, served: Served, path: str, code: int) -> None:
    """What a call took is given back, whether it was accepted or failed: 20 large ones take as much as one."""
    home.put("Data/Meta/note.txt")
    home.settings(log_max_mb=20)
    payload = json.dumps({"path": path, "metadata": {"a": "x" * 10_000_000}}).encode()

    codes = {requests.post(served.url, data=payload, timeout=100).status_code for _ in range(20)}

    assert codes == {code}
    assert served.memory_bytes() < MEMORY_MAX_BYTES


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_without_end_is_passed_over(served: Served, method: str, chunked: bool) -> None:
    """300 MB, whatever the method: answered in JSON, and never in memory."""
    block = bytes(1_000_000)
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {300 * len(block)}"
    part = b"%x\r\n%s\r\n" % (len(block), block) if chunked else block

    code, document = raw(
        served,
        f"{method} / HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode(),
        *[part] * 300,
        b"0\r\n\r\n" if chunked else b"",
    )

    assert code == {"GET": 200, "POST": 400, "PUT": 405}[method]
    assert document["status"] in ("ok", "failed")
    assert served.memory_bytes() < MEMORY_MAX_BYTES


@pytest.mark.parametrize("said", SILENT.values(), ids=list(SILENT))
def test_silent_callers_keep_nobody_waiting_under_functions_framework(home: Home, said: bytes) -> None:
    """Its own server keeps a thread for each connection: there are enough of them."""
    with serving(home, command=BY_FRAMEWORK) as served, ExitStack() as silent:
        for _ in range(64):
            caller = silent.enter_context(closing(socket.create_connection(("127.0.0.1", served.port))))
            caller.sendall(said)

        health = requests.get(served.url, timeout=20)
        upload = requests.post(served.url, json={"path": home.put()}, timeout=30)

    assert health.json()["status"] == "ok"
    assert upload.json()["status"] == "uploaded"


@pytest.mark.parametrize("debug", ["", "1"])
def test_functions_framework_from_anywhere(home: Home, tmp_path: Path, debug: str) -> None:
    """Its own command serves the file from any folder; DEBUG opens no debugger and no page of an error."""
    with serving(home, command=BY_FRAMEWORK, folder=tmp_path, environ={"DEBUG": debug, "PYTHONPATH": ""}) as served:
        uploaded = requests.post(served.url, json={"path": home.put()}, timeout=60)
        console = requests.get(f"{served.url}/console", timeout=30)
        resources = requests.get(f"{served.url}/?__debugger__=yes&cmd=resource&f=debugger.js", timeout=30)

    assert uploaded.json()["status"] == "uploaded"
    assert (console.status_code, console.json()["status"]) == (404, "failed")
    assert resources.json()["status"] == "ok"


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "http"), ("PORT", "70000"), ("THREADS", "0"), ("HOST", "256.0.0.1")]
)
def test_a_place_where_nothing_can_listen(home: Home, name: str, value: str) -> None:
    """One sentence that names the variable, and an exit code."""
    run = subprocess.run(
        [sys.executable, "-m", "function", "serve"],
        cwd=PROJECT,
        env=os.environ | home.environ | {name: value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert run.returncode in (75, 78)
    (line,) = run.stderr.splitlines()
    assert name in json.loads(line)["message"]
