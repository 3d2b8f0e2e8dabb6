"""Reading the log, whatever its state; `status`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from local_runner.drive_emulator import DriveEmulator
from local_runner.log import reader

Run = Callable[..., Result]


def write_log(path: Path, entries: list[dict[str, Any]], end: str = "\n]\n") -> None:
    """A log in the job's layout."""
    path.write_text("[\n" + ",\n".join(json.dumps(each) for each in entries) + end, encoding="utf-8")


def numbered(count: int) -> list[dict[str, Any]]:
    """So many entries."""
    return [{"time": f"2026-11-22T10:00:{n % 60:02}Z", "path": f"Data/{n}", "status": "uploaded"} for n in range(count)]


@pytest.mark.parametrize("block_bytes", [7, 64, 1024, 1 << 20])
def test_newest_first_is_the_reverse_for_blocks_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    """Lines are put together across the blocks that are read."""
    monkeypatch.setattr(reader, "BLOCK_BYTES", block_bytes)
    write_log(tmp_path / "log", numbered(50))

    assert list(reader.newest_first(tmp_path / "log")) == numbered(50)[::-1]
    assert list(reader.entries(tmp_path / "log")) == numbered(50)


@pytest.mark.parametrize("end", ["", ",\n", '\n]\n{"time":"20', ',\n{"time":"2026', "\n]\n\0\0\0"])
def test_a_torn_tail_hides_no_whole_entry(tmp_path: Path, end: str) -> None:
    """What a crash left at the end is passed over."""
    write_log(tmp_path / "log", numbered(3), end)

    assert list(reader.entries(tmp_path / "log")) == numbered(3)
    assert list(reader.newest_first(tmp_path / "log")) == numbered(3)[::-1]


@pytest.mark.parametrize("text", ["", "[", "[]", "[]\n", "[\n]\n"])
def test_an_empty_log_has_no_entries(tmp_path: Path, text: str) -> None:
    """No log, an empty file and an empty array are all nothing."""
    (tmp_path / "log").write_text(text)

    assert list(reader.entries(tmp_path / "log")) == list(reader.newest_first(tmp_path / "none")) == []


def test_a_log_that_was_laid_out_anew_is_read_all_the_same(tmp_path: Path) -> None:
    """Someone's editor may have indented it."""
    (tmp_path / "log").write_text(json.dumps(numbered(3), indent=4))

    assert list(reader.entries(tmp_path / "log")) == numbered(3)
    assert list(reader.newest_first(tmp_path / "log")) == numbered(3)[::-1]


@pytest.mark.parametrize("text", ["nonsense", "{}", "[1]", '{"a":'])
def test_what_is_no_log_is_refused(tmp_path: Path, run: Run, text: str) -> None:
    """A sentence names the file."""
    (tmp_path / "upload_log.json").write_text(text)

    result = run("status")

    assert result.exit_code == 65
    assert "upload_log.json: is not an upload log" in result.stderr


def test_status_shows_the_last_attempts(drive: DriveEmulator, run: Run) -> None:
    """Newest at the end, the last N, only failures when asked, an array for programs."""
    run("upload", "Data")
    run("upload", "Data/gone.txt")

    table = run("status", "-n", "1").stdout
    failed = json.loads(run("status", "--failed", "--json").stdout)

    assert "failed: source_missing" in table.splitlines()[-2]
    assert "Data/Meta/a.txt" not in table
    assert [each["path"] for each in failed] == ["Data/gone.txt"]


def test_status_of_a_fresh_home_says_so(run: Run) -> None:
    """No log is no error."""
    result = run("status")

    assert result.exit_code == 0
    assert "no attempts yet" in result.stdout
