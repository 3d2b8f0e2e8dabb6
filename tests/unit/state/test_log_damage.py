"""Damaged logs by the thousand, and every state that a disk may be in after a power failure in an append.

DRIVE_UPLOAD_TEST_LOGS sets how many mutated logs are tried (300; 50,000 take a quarter of an hour).
"""

import errno
import json
import os
import random
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from function.core.retry import Deadline
from function.state import log_index
from function.state.log import UploadLog
from function.state.log_format import TAIL_BYTES, TAIL_MAX_BYTES, UNSYNCED_BYTES
from function.state.log_index import LogIndex
from local_runner.log import reader
from tests.support.mutated_logs import entry, laid_out, mutated, odd_entry, whole_entries
from tests.unit.state import test_log as logs

COUNT = int(os.environ.get("DRIVE_UPLOAD_TEST_LOGS", "300"))
PAGE_BYTES = 4096


def everything(path: Path) -> list[Any]:
    """The entries of all files of the log, each of which must be an array."""
    found: list[Any] = []
    for each in log_index.all_logs(path):
        document = json.loads(each.read_bytes())
        assert isinstance(document, list)
        found += document
    return found


def test_no_mutated_log_loses_a_whole_entry(tmp_path: Path) -> None:
    """After the next append it is an array with every whole entry; or the file was kept whole under another name."""
    path = tmp_path / "upload_log.json"
    for seed in range(COUNT):
        dice = random.Random(seed)
        lines = [
            json.dumps(odd_entry(dice, n) if dice.random() < 0.1 else entry(n)).encode()
            for n in range(dice.randrange(9))
        ]
        damaged = mutated(dice, laid_out(lines))
        path.write_bytes(damaged)

        logs.append(path, logs.entry(1000))

        found = everything(path)
        asides = list(tmp_path.glob("*.damaged-*"))
        assert found[-1]["invocation_id"] == "1000", seed
        is_kept_whole = any(each.read_bytes() == damaged for each in asides) and len(found) == 1
        missing = [each for each in map(repr, whole_entries(damaged)) if each not in list(map(repr, found))]
        assert not missing or is_kept_whole, (seed, missing)
        for each in [*asides, *log_index.closed_logs(path)]:
            each.unlink()


def test_no_mutated_long_log_loses_a_whole_entry(tmp_path: Path) -> None:
    """Damage anywhere in it is mended by the first append of a process; a line that opens it by itself is set aside."""
    path = tmp_path / "upload_log.json"
    for seed in range(COUNT // 15):
        dice = random.Random(seed)
        lines = [
            json.dumps(odd_entry(dice, n) if dice.random() < 0.01 else entry(n)).encode()
            for n in range(dice.randrange(150, 600))
        ]
        damaged = mutated(dice, laid_out(lines))
        path.write_bytes(damaged)

        logs.append(path, logs.entry(1000))

        asides = list(tmp_path.glob("*.damaged-*"))
        found = {repr(each) for each in everything(path)}
        kept = {repr(each) for aside in asides for each in whole_entries(aside.read_bytes())}
        missing = [each for each in map(repr, whole_entries(damaged)) if each not in found]
        assert len(missing) <= 1 or any(each.read_bytes() == damaged for each in asides), seed
        assert kept.issuperset(missing), seed
        for each in asides:
            each.unlink()


MEGABYTE = 1024 * 1024


def long_log(megabytes: int) -> tuple[list[bytes], bytes]:
    """The lines of a log of that length, and the log."""
    line = json.dumps(entry(2)).encode()
    lines = [line] * (megabytes * MEGABYTE // len(line))
    return lines, laid_out(lines)


@pytest.mark.parametrize("megabytes", [2, 6])
@pytest.mark.parametrize("damage", [bytes(PAGE_BYTES), b'%"' * 450, b"\xff", b"]\n", b'{"time":"2026'])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_damage_far_in_front_is_mended_once_in_a_process(
    tmp_path: Path, megabytes: int, damage: bytes, place: int
) -> None:
    """In the beginning and in the last megabytes: the part is kept, the log is an array, all other entries stay."""
    path = tmp_path / "upload_log.json"
    lines, log = long_log(megabytes)
    at = [0, len(log) - 4 * MEGABYTE + 3000 if megabytes > 4 else 9000, len(log) - 200_000][place]
    path.write_bytes(log[:at] + damage + log[at + len(damage) :])

    logs.append(path, logs.entry(1000))

    kept = b"".join(each.read_bytes() for each in tmp_path.glob("*.damaged-*"))
    assert len(everything(path)) >= len(lines) + 1 - (len(damage) // len(lines[0]) + 2)
    assert damage.strip(b"\0") in kept or not damage.strip(b"\0]\n")


def test_entries_in_another_layout_stay_where_others_follow(tmp_path: Path) -> None:
    """Somebody laid the log out with an indent, and the job went on with it: no part of it is taken for damage."""
    path = tmp_path / "upload_log.json"
    indented = json.dumps([entry(number, metadata={"a": {"b": 1}}) for number in range(400)], indent=1)
    for count in range(55, 70):
        path.write_text(indented)
        logs.append(path, *(logs.entry(number) for number in range(count)))

        logs.append(path, logs.entry(1000))

        assert len(everything(path)) == 400 + count + 1
        assert list(tmp_path.glob("*.damaged-*")) == []


def test_a_part_of_the_disk_that_cannot_be_read_stops_no_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies far in front isn't needed for an append: a warning says so, once."""
    path = tmp_path / "upload_log.json"
    path.write_bytes(long_log(2)[1])
    warnings: list[str] = []
    log = logs.open_log(path, warnings.append)
    pread = os.pread

    def failing(fd: int, length: int, offset: int) -> bytes:
        if length > MEGABYTE:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pread(fd, length, offset)

    monkeypatch.setattr(os, "pread", failing)

    log.append([logs.entry(1000)], Deadline.after(10))
    log.append([logs.entry(1001)], Deadline.after(10))

    assert [each["invocation_id"] for each in everything(path)[-2:]] == ["1000", "1001"]
    assert len(warnings) == 1


def pages_of(before: bytes, after: bytes, arrived: Callable[[int], bool], size: int) -> bytes:
    """The file of that size after a power failure: of each page the new content, or what was there before, or zeros."""
    image = bytearray()
    for start in range(0, size, PAGE_BYTES):
        source = after if arrived(start // PAGE_BYTES) else before
        image += source[start : start + PAGE_BYTES].ljust(min(PAGE_BYTES, size - start), b"\0")[: size - start]
    return bytes(image)


@pytest.mark.parametrize("long", [0, 200, 5000, 3 * UNSYNCED_BYTES])
@pytest.mark.parametrize("before", [0, 1, 7, 200])
def test_a_power_failure_in_an_append_costs_no_entry_that_was_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, long: int
) -> None:
    """Between any two syncs: whichever pages arrived and however long the file became, every synced entry stays.

    Of the entries that were written and not yet synced, of which no answer spoke yet, any may be there.
    """
    path, dice = tmp_path / "upload_log.json", random.Random(before * 7919 + long)
    synced = [b""]
    real = os.fsync

    def syncing(fd: int) -> None:
        real(fd)
        if path.exists() and path.read_bytes() != synced[-1]:
            synced.append(path.read_bytes())

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", syncing)
        if before:
            logs.append(path, *(logs.entry(number, "x" * dice.randrange(900)) for number in range(before)))
        logs.append(path, *(logs.entry(1000 + number, "é" * long) for number in range(2 if long > 9999 else 12)))

    for trial in range(40):
        at = dice.randrange(1, len(synced))
        old, new = synced[at - 1], synced[at]
        pages = range(len(old) // PAGE_BYTES, len(new) // PAGE_BYTES + 1)
        arrived = {page for page in pages if dice.random() < 0.5} if trial % 4 else {pages[-1]}
        size = dice.choice([len(new), dice.randint(len(old), len(new))])
        path.write_bytes(pages_of(old, new, arrived.__contains__, size))
        logs.append(path, logs.entry(5000))

        found = [each["invocation_id"] for each in everything(path)]
        safe = [each["invocation_id"] for each in json.loads(old or b"[]")]
        assert found[: len(safe)] == safe, (trial, arrived, size)
        assert found[-1] == "5000"
        assert set(found[len(safe) : -1]) <= {each["invocation_id"] for each in json.loads(new)}
        for each in [*tmp_path.glob("*.damaged-*"), *log_index.closed_logs(path)]:
            each.unlink()


def test_a_batch_is_never_more_than_so_much_on_its_way_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is examined of the log's end holds all that a power failure could damage; each entry is one system call."""
    written, unsynced = [0], [0]
    pwrite, fsync = os.pwrite, os.fsync
    calls = 0

    def counting(fd: int, content: bytes, offset: int) -> int:
        nonlocal calls
        calls += 1
        written.append(written[-1] + len(content))
        return pwrite(fd, content, offset)

    def syncing(fd: int) -> None:
        unsynced.append(written[-1])
        fsync(fd)

    monkeypatch.setattr(os, "pwrite", counting)
    monkeypatch.setattr(os, "fsync", syncing)

    logs.append(tmp_path / "upload_log.json", *(logs.entry(number) for number in range(1000)))

    assert calls == 1000
    gaps = [after - before for before, after in pairwise(unsynced)]
    assert max(gaps) <= UNSYNCED_BYTES + 1000 * 5
    assert unsynced[-1] == written[-1]


def test_an_array_stands_there_after_each_call_of_an_append(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader beside the job, between any two system calls of it, meets an array; a batch is not one window."""
    path = tmp_path / "upload_log.json"
    seen: list[int] = []

    def looking(name: str) -> None:
        real = getattr(os, name)

        def call(*arguments: Any) -> Any:
            result = real(*arguments)
            if path.exists() and path.stat().st_size:
                seen.append(len(json.loads(path.read_bytes())))
            return result

        monkeypatch.setattr(os, name, call)

    for name in ("pwrite", "fsync", "ftruncate", "link", "replace", "open"):
        looking(name)
    log = UploadLog(path, logs.unlocked, pytest.fail, max_bytes=8000)
    for number in range(0, 50, 10):
        log.append([logs.entry(number + each) for each in range(10)], Deadline.after(10))

    assert {*range(1, 11)} <= set(seen)


def test_zeros_behind_the_log_hide_no_damage_in_front_of_them(tmp_path: Path) -> None:
    """The file became long before its bytes arrived: all that may be damaged is looked at, not only the file's end."""
    path = tmp_path / "upload_log.json"
    lines = [json.dumps(entry(number)).encode() for number in range(300)]
    log = laid_out(lines)
    at = len(log) - UNSYNCED_BYTES + 3000
    path.write_bytes(log[:at] + bytes(600) + log[at + 600 :] + bytes(TAIL_BYTES - UNSYNCED_BYTES + 8000))

    logs.append(path, logs.entry(1000))

    assert len(everything(path)) >= 298


def test_a_mended_stretch_is_on_the_disk_before_the_next_entry_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the entry on the disk and the comma not, the damage would soon be too far in front to be seen again."""
    path = tmp_path / "upload_log.json"
    path.write_bytes(laid_out([json.dumps(entry(1)).encode(), b"%%%", json.dumps(entry(3)).encode()]))
    steps: list[str] = []
    pwrite, fsync = os.pwrite, os.fsync

    def write(fd: int, content: bytes, offset: int) -> int:
        if os.path.samestat(path.stat(), os.fstat(fd)):
            steps.append("entry" if b'"invocation_id":"1000"' in content else "mend")
        return pwrite(fd, content, offset)

    def sync(fd: int) -> None:
        fsync(fd)
        if os.path.samestat(path.stat(), os.fstat(fd)):
            steps.append("sync")

    monkeypatch.setattr(os, "pwrite", write)
    monkeypatch.setattr(os, "fsync", sync)

    logs.append(path, logs.entry(1000))

    assert steps == ["mend", "sync", "entry", "sync"]


def peak_bytes(act: Callable[[], object]) -> int:
    """The most memory that Python held for what is done."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_log_on_one_line_costs_no_memory(tmp_path: Path) -> None:
    """40 MB that somebody laid out anew: the append closes it, reading it takes a block at a time."""
    path = tmp_path / "upload_log.json"
    line = json.dumps(entry(2)).encode()
    path.write_bytes(b"[" + b",".join([line] * (40_000_000 // len(line))) + b"]")

    for_reading = peak_bytes(lambda: next(iter(reader.entries(path))))
    for_the_index = peak_bytes(LogIndex(path).read_on)
    for_appending = peak_bytes(lambda: logs.append(path, logs.entry(1000)))

    assert for_reading < 5_000_000
    assert for_the_index < 2 * TAIL_MAX_BYTES
    assert for_appending < 5 * TAIL_MAX_BYTES
    assert logs.ids(path) == ["1000"]
    assert [each.stat().st_size > 39_000_000 for each in log_index.closed_logs(path)] == [True]
