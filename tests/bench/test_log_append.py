"""What an append to the log costs does not follow the log's length."""

import json
import statistics
import time
from pathlib import Path

import pytest

from function.core.errors import InvalidPayload
from function.core.naming import as_json
from function.core.retry import Deadline
from function.core.types import LogEntry
from function.serving.app import refused_entry
from function.state.locks import Locks
from function.state.log import UploadLog

ROUNDS = 101


def entry(number: int) -> LogEntry:
    """An entry of usual length."""
    return refused_entry(f"{number:032}", InvalidPayload("path: is empty; name a file such as Data/Meta/x.txt."))


def log_of(folder: Path, entries: int) -> UploadLog:
    """A log with that many entries, in a home of its own."""
    folder.mkdir()
    line = as_json(entry(0))
    with open(folder / "upload_log.json", "wb") as file:
        file.write(b"[\n" + line)
        file.writelines((b",\n" + line) * 1000 for _ in range((entries - 1) // 1000))
        file.write((b",\n" + line) * ((entries - 1) % 1000) + b"\n]\n")
    locks = Locks(folder, folder / "locks", "native")
    return UploadLog(folder / "upload_log.json", locks.shared, pytest.fail)


def seconds(log: UploadLog, number: int) -> float:
    """What one append takes."""
    start = time.perf_counter()
    log.append([entry(number)], Deadline.after(10))
    return time.perf_counter() - start


@pytest.mark.parametrize("entries", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_an_append_costs_the_same_in_a_long_log(tmp_path: Path, entries: int) -> None:
    """Medians, taken in turns: at most 1.5 times what it costs in a log of ten."""
    short, long = log_of(tmp_path / "short", 10), log_of(tmp_path / "long", entries)

    pairs = [(seconds(short, number), seconds(long, number)) for number in range(ROUNDS)]

    of_short, of_long = (statistics.median(each) for each in zip(*pairs, strict=True))
    print(f"\n10 entries: {of_short * 1e3:.3f} ms; {entries} entries: {of_long * 1e3:.3f} ms; {of_long / of_short:.2f}")
    assert of_long <= 1.5 * of_short
    if entries == 100_000:
        assert len(json.loads((tmp_path / "long/upload_log.json").read_bytes())) == entries + ROUNDS
