"""A log with anything in it: each command reads around it, and tells what can be told."""

import json
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from local_runner.client.invoke import DEPTH_MAX
from local_runner.drive_emulator import DriveEmulator
from local_runner.log import reader
from local_runner.log.open_failures import open_failures
from tests.support.mutated_logs import ODD_VALUES, entry, laid_out, mutated, odd_entry
from tests.support.privileges import permissions_count

Run = Callable[..., Result]

COMMANDS = (
    ("status",),
    ("status", "--json"),
    ("status", "--failed", "--last", "1000"),
    ("status", "--open"),
    ("status", "--open", "--json"),
    ("report", "--output", "-"),
    ("retry", "--dry-run"),
    ("retry", "--failed", "--dry-run", "--json"),
)


def write(home: Path, entries: Sequence[dict[str, Any]]) -> None:
    """Make that the home's log."""
    (home / "upload_log.json").write_bytes(laid_out([json.dumps(each).encode() for each in entries]))


@pytest.mark.parametrize("name", sorted(entry(0)))
def test_no_value_of_a_field_stops_a_command(home: Path, run: Run, name: str) -> None:
    """Numbers as text, lists as paths, years that no time zone has, names that aren't UTF-8: the rest is told."""
    write(home, [entry(0), *(entry(2 * n + 1, **{name: value}) for n, value in enumerate(ODD_VALUES)), entry(999)])

    for command in COMMANDS:
        result = run(*command)
        assert result.exit_code in (0, 75), (command, result.stderr)
        assert "Data/Meta/4.txt" in result.stdout + result.stderr


def nested(depth: int) -> Any:
    """A list in a list in a list."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [DEPTH_MAX + 1, 400, 900, 100_000])
def test_deep_metadata_stop_no_command(home: Path, run: Run, depth: int) -> None:
    """An entry that is nested deeper than the job takes is shown without its metadata, or passed over."""
    odd = json.dumps(entry(1, metadata={"a": 7})).replace("7}", "[" * depth + "]" * depth + "}")
    lines = [json.dumps(entry(0)).encode(), odd.encode(), json.dumps(entry(999)).encode()]
    (home / "upload_log.json").write_bytes(laid_out(lines))

    for command in COMMANDS:
        assert run(*command).exit_code in (0, 75)
    assert [each["invocation_id"] for each in reader.entries(home / "upload_log.json")][-1] == "999"


def test_the_doctor_counts_what_is_damaged(drive: DriveEmulator, home: Path, run: Run) -> None:
    """Around any line, with a finding for it."""
    lines = [json.dumps(odd_entry(random.Random(n), n)).encode() for n in range(20)]
    lines[7] = b'{"a":' + b"[" * 90_000
    lines[9] = b"\xff\xfe"
    (home / "upload_log.json").write_bytes(laid_out(lines))

    found = run("doctor", "--json")

    assert "18 entries, 2 torn line(s)" in found.stdout


@pytest.mark.parametrize("name", ["upload_log.json", "upload_log-20261122T100000.000000Z.json"])
@pytest.mark.parametrize(
    "first",
    [
        json.dumps(entry(1)).encode()[:100],
        b"garbage",
        b'{"a":' + b"[" * 90_000,
        b"\xff" + json.dumps(entry(1)).encode(),
    ],
    ids=["torn", "garbage", "deep", "a byte"],
)
def test_a_damaged_first_entry_hides_no_other(
    home: Path, drive: DriveEmulator, run: Run, first: bytes, name: str
) -> None:
    """Of the current log and of a closed one, for each command; the doctor counts it."""
    (home / name).write_bytes(laid_out([first, *(json.dumps(entry(number)).encode() for number in (3, 5))]))

    for command in COMMANDS:
        result = run(*command)
        assert result.exit_code in (0, 75), (command, result.stderr)
        assert "Data/Meta/3.txt" in result.stdout + result.stderr
    assert "2 entries, 1 torn line(s)" in run("doctor", "--json").stdout


def test_a_line_in_front_of_the_array_hides_nothing(tmp_path: Path) -> None:
    """What somebody wrote there, or what a lost page left."""
    log = tmp_path / "upload_log.json"
    for front in (b"# edited by hand\n", b"\0" * 4096 + b"\n", b"x" * 900_000 + b"\n"):
        log.write_bytes(front + laid_out([json.dumps(entry(1)).encode()]))

        assert list(reader.entries(log)) == list(reader.newest_first(log)) == [entry(1)]


@pytest.mark.parametrize("layout", [{"indent": 2}, {"separators": (",", ":")}])
@pytest.mark.parametrize("damage", [b"%%%", b"]", b"\0" * 300, b"[" * 5000])
def test_damage_in_another_layout_hides_no_entry_behind_it(
    home: Path, drive: DriveEmulator, run: Run, layout: dict[str, Any], damage: bytes
) -> None:
    """Reading goes on with the next one, and with the lines that the job appended; the doctor counts the place."""
    log = home / "upload_log.json"
    text = json.dumps([entry(number) for number in range(9)], **layout).encode()
    at = text.index(b"status", text.index(b'"3"'))
    added = b",\n" + json.dumps(entry(9)).encode() + b"\n]\n"
    log.write_bytes(text[:at] + damage + text[at + 9 :].removesuffix(b"]").rstrip() + added)
    expected = [entry(number) for number in range(10) if number != 3]

    assert list(reader.entries(log)) == expected
    assert list(reader.newest_first(log)) == expected[::-1]
    assert "9 entries, 1 torn line(s)" in run("doctor", "--json").stdout


def test_a_pipe_in_the_logs_place_is_not_followed(home: Path, run: Run) -> None:
    """It is refused as by each other command; opened, it would never end."""
    os.mkfifo(home / "upload_log.json")
    fd = os.open(home / "upload_log.json", os.O_RDWR)  # who opens it for reading isn't kept waiting

    followed, shown = run("status", "--follow"), run("status")

    os.close(fd)
    assert followed.exit_code == shown.exit_code == 65
    assert followed.stderr == shown.stderr
    assert "upload_log.json: can't be read (not a regular file)" in shown.stderr


def test_no_mutated_log_stops_a_reader(tmp_path: Path) -> None:
    """It is refused with a sentence, or read, and forwards and backwards tell the same."""
    path = tmp_path / "upload_log.json"
    for seed in range(400):
        dice = random.Random(seed)
        lines = [
            json.dumps(odd_entry(dice, n) if dice.random() < 0.3 else entry(n)).encode()
            for n in range(dice.randrange(9))
        ]
        path.write_bytes(mutated(dice, laid_out(lines)))
        try:
            forwards = list(reader.entries(path))
        except reader.NotALog:
            continue

        assert list(reader.newest_first(path)) == forwards[::-1], seed
        assert sum(each or 0 for each in reader.contents(path)) >= len(forwards)
        json.dumps(forwards, indent=1, allow_nan=False)
        open_failures(forwards, tmp_path)


@pytest.mark.parametrize("layout", [{"indent": 2}, {"separators": (",", ":")}, {"indent": "\t"}])
def test_a_log_of_another_layout_is_read_entry_by_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: dict[str, Any]
) -> None:
    """On one line or indented: in blocks of any size, both ways, never as a whole."""
    path = tmp_path / "upload_log.json"
    whole = [entry(n) for n in range(200)]
    text = json.dumps(whole, ensure_ascii=False, **layout).encode()
    path.write_bytes(text + b"\n")
    for block_bytes in (1, 100, 4096):
        monkeypatch.setattr(reader, "BLOCK_BYTES", block_bytes)

        assert list(reader.entries(path)) == whole
        assert list(reader.newest_first(path)) == whole[::-1]

    path.write_bytes(text.removesuffix(b"]") + b',{"time":"2026')
    assert list(reader.entries(path)) == whole


def test_closed_logs_are_read_with_the_current_one(home: Path, run: Run) -> None:
    """`log_max_mb` closed them: status, report and retry know what failed in them."""
    write(home, [entry(1), entry(3)])
    (home / "upload_log.json").rename(home / "upload_log-20261122T100000.000000Z.json")
    write(home, [entry(5), entry(7)])
    (home / "upload_log.json").rename(home / "upload_log-20261122T110000.000000Z.json")
    write(home, [entry(9), entry(11)])
    (home / "upload_log-notes.json").write_text("somebody's")
    log = home / "upload_log.json"

    forwards = [each["invocation_id"] for each in reader.entries(log)]
    found = {each["path"]: each["attempts"] for each in json.loads(run("status", "--open", "--json").stdout)}

    assert forwards == ["1", "3", "5", "7", "9", "11"]
    assert [each["invocation_id"] for each in reader.newest_first(log)] == forwards[::-1]
    assert found == {f"Data/Meta/{n}.txt": 2 if n == 1 else 1 for n in range(5)}


@pytest.mark.parametrize("closed", [".", "upload_log.json"])
def test_a_log_that_cant_be_read_is_one_sentence(home: Path, drive: DriveEmulator, run: Run, closed: str) -> None:
    """The log itself, or its folder, which may be entered but not listed: the closed logs in it can't be told."""
    write(home, [entry(1)])
    (home / closed).chmod(0o311)
    place = home / closed

    with permissions_count():
        results = [run(*command) for command in (*COMMANDS, ("status", "--follow"), ("retry", "--forget", "Data"))]
        found = run("doctor", "--json")

    for result in results:
        assert result.exit_code == 65
        assert result.stderr.startswith(f"Error: {place}: ")
        assert "(Permission denied)" in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert found.exit_code == 65
    [finding] = [each for each in json.loads(found.stdout)["findings"] if each["area"] == "log"]
    assert finding["what"].startswith(f"{place}: ")
    assert f"readable for user id {os.geteuid()}" in finding["mend"]


def test_a_log_that_is_being_closed_is_read_once(tmp_path: Path) -> None:
    """For a moment it has two names."""
    log = tmp_path / "upload_log.json"
    write(tmp_path, [entry(1)])
    (tmp_path / "upload_log-20261122T100000.000000Z.json").hardlink_to(log)

    assert len(list(reader.entries(log))) == len(list(reader.newest_first(log))) == 1


def test_whole_entries_of_damaged_lines_are_read(tmp_path: Path) -> None:
    """Two entries that came onto one line, an array closed in the middle: a reader beside the job meets these."""
    path = tmp_path / "upload_log.json"
    lines = [json.dumps(entry(n)) for n in range(6)]
    path.write_text(f"[\n{lines[0]},\n{lines[1]},{lines[2]}\n]\n,\n{lines[3]}\n%%%,\n{lines[4]},\n{lines[5]}]\n")

    found = list(reader.entries(path))

    assert found == [entry(n) for n in range(6)]
    assert list(reader.newest_first(path)) == found[::-1]
