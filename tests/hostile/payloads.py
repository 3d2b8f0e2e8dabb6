"""Requests near valid ones, as bytes on the wire: the same dice give the same request."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

METADATA_CANARY = "Metadata0Canary"
"""Only ever a value inside of metadata: a payload that is refused is told without it."""

HEADER_CANARY = "Header0Canary"
"""In headers that carry credentials."""

FRESH = 200
"""Files `Data/Fresh/NUMBER.txt` that a payload may name."""

TEXTS = [
    "", " ", "x", "\0", "\ud800", "\udcff", "🜁", "é", "../..", "/", "//", ".", "Data", "Data/", "Data/Meta/note.txt",
    "./Data/Meta/../Meta/note.txt", "paths.json", "drive_token.json", "upload_log.json", ".drive_upload", "Data/none",
    "default", "nobody", "skip", "fail", "keep_both", "new_revision", "overwrite", "x" * 300, "x/" * 300, "e30=", "%%%",
    "/dev/zero", "/proc/self/environ", "/proc/self/mem", "C:\\x", "~", "$HOME", "\n", "\r\n\r\n", "{}", "[]",
    "\u202e", "\ufeff", "Data/Meta/note.txt\0", "Data/" + "y" * 256, "z" * 100_000, "NaN", "1e999", "\x1b[31m",
]  # fmt: skip

KEYS = ["path", "files", "metadata", "account", "if_exists", "message", "subscription", "data", "data_base64", "x", ""]

VALUES: list[Any] = [
    None, True, False, 0, -1, 1.5, 10**30, -(10**400), 2**63, 1e-320, float("nan"), float("inf"), [], {}, [[]], [None],
]  # fmt: skip

HEADERS = {
    "Content-Type": [
        "application/json", "application/cloudevents+json", "application/cloudevents-batch+json", "text/plain",
        "multipart/form-data; boundary=x", "multipart/form-data", "application/x-www-form-urlencoded", "\xff", "",
        "application/json; charset=utf-16", "application/json; charset=\x80", "application/json;" * 99, "/",
    ],
    "X-CloudTasks-TaskName": ["t", ""],
    "X-CloudTasks-TaskRetryCount": ["-1", "x", "9" * 500],
    "x-goog-pubsub-message-id": ["1"],
    "ce-id": ["1", "\xff"],
    "ce-specversion": ["1.0", "9"],
    "Script-Name": ["/x"],
    "SCRIPT_NAME": ["/x", "//", "\xff"],
    "PATH_INFO": ["/x"],
    "X-Forwarded-Prefix": ["/x"],
    "X-Forwarded-Host": ["a, b", "["],
    "X-Forwarded-For": ["::", HEADER_CANARY],
    "X-Forwarded-Proto": ["gopher"],
    "X-Original-URL": ["/x"],
    "Forwarded": ["for=x;proto=y;host=["],
    "Origin": ["null", "https://example.com"],
    "Authorization": [f"Bearer {HEADER_CANARY}", "Basic \xff"],
    "Cookie": [f"a={HEADER_CANARY}", ";;=\xff"],
    "Function-Execution-Id": [HEADER_CANARY, "\xff"],
    "X-Cloud-Trace-Context": ["x/y;o=9", "0" * 32 + "/1;o=1", "/", "0" * 32 + "/" + "9" * 400],
    "traceparent": ["00-" + "f" * 32 + "-" + "f" * 16 + "-01", "00-x", "\xff"],
    "tracestate": ["=,=", "a=" + "b" * 600],
    "Content-Encoding": ["gzip", "br"],
    "Accept": ["text/html"],
    "Accept-Encoding": ["gzip;q=x"],
    "Range": ["bytes=0-1", "bytes=9-1"],
    "If-Match": ["*"],
    "If-None-Match": ["*"],
    "If-Modified-Since": ["yesterday"],
    "Expect": ["100-continue"],
    "Upgrade": ["h2c"],
    "X-HTTP-Method-Override": ["DELETE"],
    "X": ["y" * 20_000],
}  # fmt: skip

METHODS = ["POST"] * 14 + ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW", "post"]

TARGETS = [
    *["/"] * 6, "/x", "//", "/?a=b", "/%ff", "/%00", "/..", "/robots.txt", "/console", "/?__debugger__=yes", "/;x",
    "/openapi.json", "/openapi.json/", "/%2e%2e/", "/x" * 500, "/?" + "a=b&" * 500, "/%zz", "http://example.com/", "*",
    "/\\", "/%0d%0aX:%20y", "//example.com/", "/index.php?s=/../../etc/passwd", "/favicon.ico",
]  # fmt: skip

NOISE = [
    b"", b"\0", b"\xff", b'"', b"\\u", b"\\ud83d", b"1e999", b"NaN", b"-Infinity", b"[" * 70, b"[" * 20_000,
    b"\xef\xbb\xbf", b"\xc0\x80", b"\xed\xa0\x80", b",", b"}", b"//", b"9" * 5000, b'"path": 1, ', b'"path": "x", ',
]  # fmt: skip

ENCODINGS = ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "utf-8-sig", "cp037", "latin-1"]

SHORT = 4000

HEALTH = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent over one connection."""

    method: str
    wire: bytes
    is_whole: bool
    """It is HTTP as it should be, so there must be an answer."""
    asks_health: bool = False
    """A second request comes behind it."""


def request(dice: Random, *, always_whole: bool = False) -> Request:
    """A request that is odd in some places, and now and then in its very framing.

    `always_whole`: never in its framing, and no header is longer than any server takes.
    """
    method, target = dice.choice(METHODS), dice.choice(TARGETS)
    content = body(dice)
    headers = [(name, dice.choice(HEADERS[name])) for name in dice.sample(sorted(HEADERS), dice.randint(0, 4))]
    if always_whole:
        headers = [(name, value[:SHORT]) for name, value in headers]
    elif dice.random() < 0.15:
        return Request(method, dice.choice(DAMAGES)(dice, method, target, headers, content), is_whole=False)
    asks_health = dice.random() < 0.3
    if not asks_health:
        headers.append(("Connection", "close"))
    sent = framed(dice, content)
    return Request(
        method,
        head(method, target, [("Host", "x"), *headers, sent[0]]) + sent[1] + (HEALTH if asks_health else b""),
        is_whole=True,
        asks_health=asks_health,
    )


def head(method: str, target: str, headers: list[tuple[str, str]], version: str = "HTTP/1.1") -> bytes:
    """Request line and headers."""
    lines = [f"{method} {target} {version}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def framed(dice: Random, content: bytes) -> tuple[tuple[str, str], bytes]:
    """The header that says how long a body is, and the body in that form."""
    if dice.random() < 0.8:
        return ("Content-Length", str(len(content))), content
    size = dice.choice([1, 7, 4096]) if len(content) < 5000 else 4096
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    return ("Transfer-Encoding", "chunked"), b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in [*pieces, b""])


# --- bodies


def document(dice: Random, depth: int = 0) -> Any:
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


def payload(dice: Random) -> Any:
    """A payload with a mistake or two in it, or none; in an envelope, now and then."""
    if dice.random() < 0.2:
        return document(dice)
    fresh = f"Data/Fresh/{dice.randrange(FRESH)}.txt"
    whole: dict[str, Any] = {"path": fresh if dice.random() < 0.4 else dice.choice(TEXTS)}
    for key in ("metadata", "account", "if_exists", dice.choice(TEXTS)):
        if dice.random() < 0.2:
            whole[key] = document(dice, 1)
    if dice.random() < 0.3:
        whole["metadata"] = {"secret": METADATA_CANARY, "list": [METADATA_CANARY, document(dice, 2)]}
    if dice.random() < 0.2:
        most = 1001 if len(json.dumps(whole)) < 1000 else 3
        whole = {"files": [whole] * dice.choice([0, 1, 2, 3, most])}
    envelope = dice.choice([_as_it_is] * 6 + [_pushed, _event, _event_in_text, _event_in_base64, _event_around_push])(
        whole
    )
    return _broken(dice, envelope) if envelope is not whole and dice.random() < 0.5 else envelope


def _as_it_is(whole: Any) -> Any:
    return whole


def _encoded(whole: Any) -> str:
    return base64.b64encode(json.dumps(whole).encode()).decode()


def _pushed(whole: Any) -> Any:
    return {"message": {"data": _encoded(whole), "messageId": "1", "attributes": {}}, "subscription": "s"}


def _event(whole: Any) -> Any:
    return {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": whole}


def _event_in_text(whole: Any) -> Any:
    return _event(json.dumps(whole))


def _event_in_base64(whole: Any) -> Any:
    return {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data_base64": _encoded(whole)}


def _event_around_push(whole: Any) -> Any:
    return _event(_pushed(whole))


def _broken(dice: Random, envelope: dict[str, Any]) -> Any:
    """The envelope with one thing gone, odd, or of another one's name."""
    inner = envelope.get("message")
    place = inner if isinstance(inner, dict) and dice.random() < 0.6 else envelope
    key = dice.choice(sorted(place))
    changed = {name: value for name, value in place.items() if name != key}
    way = dice.random()
    if way < 0.5:
        text = place[key]
        changed[key] = text[:-3] if isinstance(text, str) and way < 0.15 else dice.choice([*VALUES, *TEXTS])
    elif way < 0.7:
        changed[dice.choice(KEYS)] = place[key]
    return changed if place is envelope else envelope | {"message": changed}


def body(dice: Random) -> bytes:
    """The payload's bytes, damaged now and then."""
    content = json.dumps(payload(dice), ensure_ascii=dice.random() < 0.7).encode("utf-8", "surrogatepass")
    way = dice.random()
    if way < 0.2 and content:
        at = dice.randrange(len(content))
        return content[:at] + dice.choice(NOISE) + content[at + 1 :]
    if way < 0.25:
        return content.decode("utf-8", "replace").encode(dice.choice(ENCODINGS), "replace")
    if way < 0.28:
        return content[: dice.randrange(len(content) + 1)]
    if way < 0.3:
        return content.replace(b'{"', b'{"path": "Data/none", "', 1)
    return b"" if way < 0.31 else content


# --- damaged framing

Headers = list[tuple[str, str]]
Damage = Callable[[Random, str, str, Headers, bytes], bytes]


def _cut(dice: Random, method: str, target: str, headers: Headers, content: bytes) -> bytes:
    whole = head(method, target, [("Host", "x"), *headers, ("Content-Length", str(len(content)))]) + content
    return whole[: dice.randrange(len(whole))]


def _odd_length(dice: Random, method: str, target: str, headers: Headers, content: bytes) -> bytes:
    right = str(len(content))
    odd = ["-1", "+5", "", " ", "x", "1e3", "0x10", f"{right}, {right}", f"{right}, 1", "9" * 400, "1_0", "\xb2"]
    said = dice.choice([*odd, str(len(content) + 7), str(len(content) // 2)])
    return head(method, target, [("Host", "x"), *headers, ("Content-Length", said)]) + content


def _two_lengths(dice: Random, method: str, target: str, headers: Headers, content: bytes) -> bytes:
    second = dice.choice([("Content-Length", "3"), ("Transfer-Encoding", "chunked"), ("Content_Length", "3")])
    both = [("Content-Length", str(len(content))), second]
    dice.shuffle(both)
    return head(method, target, [("Host", "x"), *headers, *both]) + content


def _odd_coding(dice: Random, method: str, target: str, headers: Headers, content: bytes) -> bytes:
    coding = dice.choice(["gzip", "chunked, gzip", "identity", "gzip, chunked", "xchunked", "chunked,chunked", ""])
    return head(method, target, [*headers, ("Transfer-Encoding", coding)]) + b"%x\r\n" % len(content) + content


def _odd_chunks(dice: Random, method: str, target: str, headers: Headers, content: bytes) -> bytes:
    size = dice.choice([b"zz", b"-1", b"", b"f" * 40, b"5;x=y", b"5;" + b"x" * 9000, b"0x5", b" 5", b"1_0"])
    end = dice.choice([b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"0\r\n" + b"A: b\r\n" * 999, b"", b"0\n\n"])
    chunked = [("Host", "x"), *headers, ("Transfer-Encoding", "chunked")]
    return head(method, target, chunked) + size + b"\r\n" + content[:5] + b"\r\n" + end


def _odd_headers(dice: Random, method: str, target: str, headers: Headers, content: bytes) -> bytes:
    more = dice.choice(
        [
            [(f"X-{number}", "y") for number in range(3000)],
            [("X", "y" * 40_000)],
            [("X" * 40_000, "y")],
            [("Host", "a"), ("Host", "b")],
            [("X Y", "z")],
            [("", "z")],
            [("X\0", "y\0")],
            [("X", "y\r\n folded")],
            [("X", "y\nZ: z")],
            [("X", "y\rZ: z")],
            [("\xff", "\xff")],
        ]
    )
    return head(method, target, [*headers, *more, ("Content-Length", str(len(content)))]) + content


def _odd_line(dice: Random, method: str, target: str, headers: Headers, content: bytes) -> bytes:
    line = dice.choice(
        [
            f"{method} {target} HTTP/1.0", f"{method} {target} HTTP/2.0", f"{method} {target} HTTP/0.9",
            f"{method} {target} HTTP/9", f"{method} {target}", method, "", " ", f"{method}  {target}  HTTP/1.1",
            f"{method}\t{target}\tHTTP/1.1", f"{method} {target} http/1.1", f"{method} /{'x' * 40_000} HTTP/1.1",
            f"{method} /\xff\xfe HTTP/1.1", "PRI * HTTP/2.0", "\x16\x03\x01\x02", f"{method} / x HTTP/1.1",
            f"{'M' * 9000} / HTTP/1.1", f"{method} http://[/ HTTP/1.1", "CONNECT x:1 HTTP/1.1",
            f"\r\n{method} / HTTP/1.1",
        ]
    )  # fmt: skip
    rest = head("", "", [("Host", "x"), *headers, ("Content-Length", str(len(content)))]).partition(b"\r\n")[2]
    return line.encode("latin-1") + b"\r\n" + rest + content


def _flipped(dice: Random, method: str, target: str, headers: Headers, content: bytes) -> bytes:
    whole = bytearray(head(method, target, [("Host", "x"), *headers, ("Content-Length", str(len(content)))]) + content)
    for _ in range(dice.randint(1, 3)):
        whole[dice.randrange(len(whole))] = dice.randrange(256)
    return bytes(whole)


def _bare_lines(dice: Random, method: str, target: str, headers: Headers, content: bytes) -> bytes:
    whole = head(method, target, [("Host", "x"), *headers, ("Content-Length", str(len(content)))])
    return whole.replace(b"\r\n", dice.choice([b"\n", b"\r", b"\n\r"])) + content


def _noise(dice: Random, method: str, target: str, headers: Headers, content: bytes) -> bytes:
    return dice.randbytes(dice.choice([1, 40, 3000])) + dice.choice([b"", b"\r\n\r\n"])


DAMAGES: list[Damage] = [
    _cut, _cut, _cut, _odd_length, _two_lengths, _odd_coding, _odd_chunks, _odd_headers, _odd_line, _odd_line, _flipped,
    _flipped, _bare_lines, _noise,
]  # fmt: skip
