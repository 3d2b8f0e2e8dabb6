"""Rows about what has piled up, in the folder, the receipts and the log; and about the quota."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import requests

from tests.bench import contenders
from tests.bench.contenders import Server, serving
from tests.bench.rows import Bar, Row, medians
from tests.bench.stage import PROJECT, Figures, Room, Stage
from tests.bench.work_small import SMALL_BYTES, Effort

FOLDER = "Data/Grown"

REST_S = 1.2
"""Before each batch: batch after batch without latency would measure our pacer, which keeps to Google's quota."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a home has behind it."""

    files: int
    receipts: int
    entries: int

    def __str__(self) -> str:
        return f"{self.files:,} files, {self.receipts:,} receipts, {self.entries:,} entries"


def growth(stage: Stage, effort: Effort) -> list[Row]:
    """A batch of 100 into a folder, the home being young or old."""
    stage.weather(latency_ms=0)
    young = Size(100, 100, 100)
    old = Size(1_000, 10_000, 100_000) if effort.quick else Size(10_000, 100_000, 1_000_000)
    samples: dict[str, list[Figures]] = defaultdict(list)
    with ExitStack() as stack:
        seats = []
        for size in (young, old):
            room = stage.room()
            contenders.ONE_OFF.play(stage, room, FOLDER, room.files(FOLDER, 1, SMALL_BYTES))
            _grow(stage, room, size)
            server = stack.enter_context(serving(room))
            seats.append((Server(server.process, server.port, str(size)), room))
        for server, room in seats:
            server.play(stage, room, FOLDER, room.files(FOLDER, 100, SMALL_BYTES))
        for _ in range(3 * effort.runs):
            for server, room in seats:
                files = room.files(FOLDER, 100, SMALL_BYTES)
                time.sleep(REST_S)
                samples[server.name].append(server.play(stage, room, FOLDER, files))
    found = medians(samples)
    before, after = found[str(young)], found[str(old)]
    bars = [
        Bar("cost of a file in an old home against a young one, wall", after.wall_s / before.wall_s, 1.3),
        Bar("cost of a file in an old home against a young one, CPU", (after.cpu_s or 0) / (before.cpu_s or 1), 1.3),
    ]
    return [Row("100 new files of 10 KB, over HTTP, into homes that grew", "no latency", found, bars, 3 * effort.runs)]


def _grow(stage: Stage, room: Room, size: Size) -> None:
    """Let files, receipts and entries pile up, each as the one upload so far has left it."""
    (receipt,) = (each for each in (room.folder / ".drive_upload").glob("**/receipts/**/*") if each.is_file())
    places = _places_like(receipt)
    content = receipt.read_bytes()
    for path in islice(places, size.receipts):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    log = room.folder / "upload_log.json"
    (entry,) = json.loads(log.read_bytes())
    line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode()
    with open(log, "wb") as file:
        file.write(b"[\n")
        file.writelines(line + b",\n" for _ in range(size.entries - 1))
        file.write(line + b"\n]\n")
    _fill(stage, entry["file_id"], size.files)
    os.sync()  # what piled up is on the disk before anything is measured, instead of getting there meanwhile


def _places_like(receipt: Path) -> Iterator[Path]:
    """Paths of further receipts, sharded as that one is."""
    root = receipt
    while root.parent.name != "receipts":
        root = root.parent
    lengths = [len(part) for part in receipt.relative_to(root).with_suffix("").parts]
    number = 0
    while True:
        number += 1
        digits = hashlib.sha256(str(number).encode()).hexdigest()
        path = root
        for length in lengths:
            path, digits = path / digits[:length], digits[length:]
        yield path.with_suffix(receipt.suffix)


def _fill(stage: Stage, beside: str, count: int) -> None:
    """So many more files in the folder of that file."""
    headers = {"authorization": f"Bearer {stage.token['token']}"}
    parents = requests.get(f"{stage.url}/drive/v3/files/{beside}?fields=parents", headers=headers, timeout=60).json()

    def create(numbers: range) -> None:
        with requests.Session() as session:
            session.headers.update(headers)
            for number in numbers:
                body = {"name": f"old-{number}.bin", **parents}
                session.post(f"{stage.url}/drive/v3/files?fields=id", json=body, timeout=60).raise_for_status()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(create, [range(part, count, 4) for part in range(4)]))


def quota(stage: Stage, effort: Effort) -> list[Row]:
    """Four processes that always have one more request, at 600 requests a minute."""
    seconds = "60" if effort.quick else "180"
    command = [sys.executable, str(PROJECT / "tests/bench/quota.py"), "--seconds", seconds]
    shown = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    figures = {"four processes together": Figures(float(shown["seconds"]), requests=int(shown["through"]))}
    bars = [
        Bar("quota used, percent", shown["used_percent"], 95, at_least=True),
        Bar("requests refused, percent", shown["refused_percent"], 2),
        Bar("least share of a process, percent of a fair one", shown["least_share_percent"], 50, at_least=True),
    ]
    return [Row("The quota of 600 requests a minute", "100 ms latency, a Drive of its own", figures, bars)]
