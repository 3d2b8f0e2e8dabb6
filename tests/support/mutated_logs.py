"""Logs with damage of every kind: what disks, crashes, editors and other programs do to a file of entries."""

import json
import random
from collections.abc import Callable
from typing import Any

Change = Callable[[random.Random, bytes], bytes]

ODD_VALUES: list[Any] = [
    *(None, True, -1, 0, 2**70, 1e308, float("nan"), float("inf")),
    *("9", "", " ", "\ud800", "caf\udce9", "a\nb\x1b[31m", "x" * 5000, [], ["a"], {}, {"a": 1}),
    *("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-13-01", "2026-11-22T10:00:00"),
    *("../../etc/passwd", "/", ".", "..", "uploaded", "failed", "Data/a.txt", "default", "network"),
]

TEXTS = [b",", b"\n", b"]", b"\n]\n", b"[", b"{}", b"%%%", b"\xff\xfe", b"\0" * 99, b"[" * 3000, b'"']


def entry(number: int, **changes: Any) -> dict[str, Any]:
    """An entry as the job writes it: every other one a failure."""
    failed = number % 2 == 1
    return {
        "time": f"2026-11-22T10:{number // 60 % 60:02}:{number % 60:02}Z",
        "invocation_id": str(number),
        "account": "default",
        "path": f"Data/Meta/{number % 5}.txt",
        "destination": f"MemoryVDB/Meta/{number % 5}.txt",
        "status": "failed" if failed else "uploaded",
        "reason": "network" if failed else None,
        "message": "Drive can't be reached; call again." if failed else None,
        "retryable": failed,
        "attempt": 1,
        "file_id": None if failed else f"file-{number}",
        "link": None,
        "size": 100 + number,
        "sha256": f"{number:064}",
        "md5": f"{number:032}",
        "duration_s": 0.25,
        "requests": 2,
        "units": 55,
        "metadata": {"tags": ["architecture"], "note": "]},{[ é🎈"},
        "if_exists": None,
    } | changes


def odd_entry(dice: random.Random, number: int) -> dict[str, Any]:
    """An entry with odd values in some of its fields."""
    whole = entry(number)
    for name in dice.sample(sorted(whole), dice.randint(1, 4)):
        whole[name] = dice.choice(ODD_VALUES)
    return whole


def laid_out(lines: list[bytes]) -> bytes:
    """A log in the job's layout."""
    return b"[\n" + b",\n".join(lines) + b"\n]\n" if lines else b"[]\n"


def _page(dice: random.Random, log: bytes) -> bytes:
    size = dice.choice([16, 64, 512, 4096])
    start = dice.randrange(max(1, len(log))) // size * size
    return log[:start] + bytes(len(log[start : start + size])) + log[start + size :]


def _byte(dice: random.Random, log: bytes) -> bytes:
    at = dice.randrange(len(log))
    return (
        log[:at] + bytes([dice.choice([0, 10, 34, 44, 91, 92, 93, 123, 125, 255, dice.randrange(256)])]) + log[at + 1 :]
    )


def _lost(dice: random.Random, log: bytes) -> bytes:
    at = dice.randrange(len(log))
    return log[:at] + log[at + dice.choice([1, 2, 3, 50, 700]) :]


def _inserted(dice: random.Random, log: bytes) -> bytes:
    at = dice.randrange(len(log))
    text = dice.choice(TEXTS)
    return log[:at] + text + log[at:]


def _cut(dice: random.Random, log: bytes) -> bytes:
    return log[: dice.randrange(len(log))]


def _doubled(dice: random.Random, log: bytes) -> bytes:
    at, end = sorted((dice.randrange(len(log)), dice.randrange(len(log))))
    return log[:end] + log[at:end] + log[end:]


def _written_over(dice: random.Random, log: bytes) -> bytes:
    at = dice.randrange(len(log))
    late = b",\n" + json.dumps(entry(dice.randrange(100))).encode() + b"\n]\n"
    return log[:at] + late + log[at + len(late) :]


CHANGES: list[Change] = [_page, _byte, _lost, _inserted, _cut, _doubled, _written_over]


def mutated(dice: random.Random, log: bytes) -> bytes:
    """The log with up to three damages."""
    for _ in range(dice.randint(1, 3)):
        log = dice.choice(CHANGES)(dice, log) if log else log
    return log


def whole_entries(log: bytes) -> list[Any]:
    """The entries that stand whole on lines of their own and look like the job's."""
    found = []
    for line in log.split(b"\n"):
        text = line.strip(b"\0 \t\r").removesuffix(b",")
        if text.startswith(b"{") and b'"status"' in text:
            try:
                document = json.loads(text)
            except (ValueError, RecursionError):
                continue
            found += [document] if isinstance(document, dict) else []
    return found
