"""What is open: shown with what to do, tried again as chosen, closed by hand; and the log as it grows."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from function.core.errors import HTTP_CODE
from local_runner.drive_emulator import DriveEmulator
from local_runner.log.advice import ADVICE
from local_runner.log.follow import Follower
from tests.support.home import PROJECT

Run = Callable[..., Result]
Log = Callable[[], list[dict[str, Any]]]

OPEN_FIELDS = ["path", "account", "destination", "reason", "message", "attempts", "first_failed", "next_try", "advice"]


@pytest.fixture
def failed(home: Path, drive: DriveEmulator, run: Run) -> Path:
    """A home where one upload went well, one was tried twice without a token, and one path was a typo."""
    run("upload", "Data/Notes/c.txt")
    token = (home / "drive_token.json").rename(home / "aside.json")
    run("upload", "Data/Meta/a.txt")
    run("upload", "Data/Meta/a.txt")
    token.rename(home / "drive_token.json")
    run("upload", "Data/Meta/tpyo.txt")
    return home


def shown(run: Run) -> list[dict[str, Any]]:
    """`status --open --json`."""
    result = run("status", "--open", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert isinstance(document, list)
    return document


def test_every_reason_has_its_advice() -> None:
    """The table of advice and the table of reasons name the same."""
    assert set(ADVICE) == set(HTTP_CODE)
    assert all(text.endswith((".", "it.")) and text[0].isupper() for text in ADVICE.values())


def test_open_is_a_state(failed: Path, run: Run) -> None:
    """Each open file once, with its reason, attempts, times and advice; what arrived is not there."""
    found = {each["path"]: each for each in shown(run)}

    assert set(found) == {"Data/Meta/a.txt", "Data/Meta/tpyo.txt"}
    assert [list(each) for each in found.values()] == [OPEN_FIELDS] * 2
    credentials, typo = found["Data/Meta/a.txt"], found["Data/Meta/tpyo.txt"]
    assert (credentials["reason"], credentials["attempts"]) == ("credentials_missing", 2)
    assert credentials["next_try"] > credentials["first_failed"]
    assert (typo["reason"], typo["next_try"]) == ("source_missing", None)
    assert "--forget" in typo["advice"]


def test_open_is_shown_to_people_with_what_to_do(failed: Path, run: Run) -> None:
    """The table names the files, and each reason's advice stands below it once."""
    result = run("status", "--open")

    assert "Data/Meta/a.txt" in result.stdout
    assert result.stdout.count(ADVICE["credentials_missing"]) == 1
    assert result.stdout.count(ADVICE["source_missing"]) == 1


def test_healed_is_not_open_and_does_not_shout(failed: Path, run: Run) -> None:
    """After the retry the failure is closed, and the history calls it healed, without its message."""
    run("retry", "--all")

    result = run("status")

    assert [each["path"] for each in shown(run)] == ["Data/Meta/tpyo.txt"]
    assert result.stdout.count("credentials_missing, healed") == 2
    assert "drive_token.json" not in result.stdout


def test_a_typo_is_closed_by_hand(failed: Path, run: Run, log: Log) -> None:
    """`retry --forget PATH` logs that a person closed it; nobody tries it again, and nothing else is touched."""
    refused = run("retry", "--forget")
    rehearsed = run("retry", "--forget", "Data/Meta/tpyo.txt", "--dry-run")
    before = len(log())
    result = run("retry", "--forget", str(failed / "Data/Meta/tpyo.txt"))

    assert (refused.exit_code, rehearsed.exit_code, result.exit_code) == (64, 0, 0)
    assert len(log()) == before + 1
    assert (log()[-1]["status"], log()[-1]["path"]) == ("skipped", "Data/Meta/tpyo.txt")
    assert [each["path"] for each in shown(run)] == ["Data/Meta/a.txt"]


@pytest.mark.parametrize(
    ("arguments", "tried"),
    [
        ([], []),
        (["--all"], ["Data/Meta/a.txt"]),
        (["--failed"], ["Data/Meta/tpyo.txt"]),
        (["--failed", "--all"], ["Data/Meta/a.txt", "Data/Meta/tpyo.txt"]),
        (["--reason", "source_missing"], ["Data/Meta/tpyo.txt"]),
        (["--reason", "credentials_missing"], []),
        (["--reason", "credentials_missing", "--all"], ["Data/Meta/a.txt"]),
        (["Data/Meta"], ["Data/Meta/a.txt", "Data/Meta/tpyo.txt"]),
        (["Data/Me"], []),
    ],
)
def test_what_is_tried_is_chosen(
    failed: Path, drive: DriveEmulator, run: Run, log: Log, arguments: list[str], tried: list[str]
) -> None:
    """A dry run shows, and changes nothing; the retry itself tries the same."""
    before, requests = len(log()), len(drive.requests)

    rehearsed = run("retry", *arguments, "--dry-run", "--json")

    assert sorted(each["path"] for each in json.loads(rehearsed.stdout)) == tried
    assert (len(log()), len(drive.requests)) == (before, requests)

    document = json.loads(run("retry", *arguments, "--json").stdout)

    assert sorted(each["path"] for each in document["results"]) == tried


def test_an_unknown_reason_is_a_mistake(failed: Path, run: Run) -> None:
    """A reason that no failure can have would silently retry nothing."""
    assert run("retry", "--reason", "bad_luck").exit_code == 64


def line(number: int) -> bytes:
    """An entry's line."""
    return json.dumps({"time": "2026-11-22T10:00:00Z", "path": f"Data/{number}", "status": "uploaded"}).encode()


def test_the_follower_gives_each_new_entry_once(tmp_path: Path) -> None:
    """Also where the log begins later, an entry is half written, or a full log was closed and a new one begun."""
    log = tmp_path / "log"
    follower = Follower(log)
    assert follower.new_entries() == []

    log.write_bytes(b"[\n" + line(1) + b"\n]\n")
    assert [each["path"] for each in follower.new_entries()] == ["Data/1"]
    assert follower.new_entries() == []

    log.write_bytes(b"[\n" + line(1) + b",\n" + line(2) + b",\n" + line(3)[:20])
    assert [each["path"] for each in follower.new_entries()] == ["Data/2"]

    log.write_bytes(b"[\n" + line(1) + b",\n" + line(2) + b",\n" + line(3) + b"\n]\n")
    log.rename(tmp_path / "log-closed")
    log.write_bytes(b"[\n" + line(4) + b"\n]\n")
    assert [each["path"] for each in follower.new_entries()] == ["Data/3", "Data/4"]
    assert follower.new_entries() == []

    late = Follower(log)
    log.write_bytes(b"[\n" + line(4) + b",\n" + line(5) + b"\n]\n")
    assert [each["path"] for each in late.new_entries()] == ["Data/5"]
    follower.close()
    late.close()


def test_following_shows_each_attempt_as_a_line_of_json(failed: Path, run: Run, drive: DriveEmulator) -> None:
    """`status --follow --json` can be piped into jq; Ctrl-C ends it with 0."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local_runner", "status", "--follow", "--json", "-n", "1"],
        env=os.environ | {"PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        last = json.loads(process.stdout.readline())
        run("upload", "Data/Meta/b.txt")
        new = json.loads(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(30)
        process.stdout.close()

    assert (last["path"], new["path"], code) == ("Data/Meta/tpyo.txt", "Data/Meta/b.txt", 0)
