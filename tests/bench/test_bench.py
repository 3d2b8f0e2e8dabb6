"""What the bench promises that doesn't depend on the machine: requests, quota units, and what a start loads."""

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from local_runner.drive_emulator import DriveEmulator
from tests.support.home import PROJECT, Home, Post

NEVER_LOADED = [
    "flask",
    "google.oauth2.service_account",
    "oauth2client",
    "pydrive2",
    "pyparsing",
    "requests",
    "rich",
    "werkzeug",
]
"""What neither start of `python -m function upload` needs, where the token is no PyDrive2's and still good."""

ONLY_FOR_DRIVE = ["googleapiclient", "httplib2", "urllib3"]
"""What an unchanged file does without, on top: there is nothing to ask Drive."""


def asked(drive: DriveEmulator, act: Callable[[], object]) -> tuple[int, int]:
    """Requests and quota units of what is done."""
    drive.requests.clear()
    act()
    return len(drive.requests), drive.requests.units


def batch(home: Home, count: int, folders: int = 0) -> dict[str, list[dict[str, str]]]:
    """A payload of so many new files, in Data/Meta or spread over folders."""
    names = [f"Part{number % folders}/{number}" if folders else f"Meta/{number}" for number in range(count)]
    return {"files": [{"path": home.put(f"Data/{name}.txt", f"content of {name}")} for name in names]}


@pytest.fixture
def warm(home: Home, post: Post) -> Home:
    """A home whose Data/Meta has been uploaded to just now."""
    assert post(home, {"path": home.put("Data/Meta/first.txt", "first")}).code == 200
    return home


@pytest.mark.parametrize(
    ("policy", "price"),
    [("keep_both", (2, 150)), ("skip", (3, 250)), ("fail", (3, 250)), ("new_revision", (3, 250))],
)
def test_one_new_file_warm_takes_two_requests(
    warm: Home, drive: DriveEmulator, post: Post, policy: str, price: tuple[int, int]
) -> None:
    """A create, and a look that begins after its answer; the policies that respect a taken name look before it, too."""
    payload = {"path": warm.put("Data/Meta/second.txt", "second"), "if_exists": policy}

    assert asked(drive, lambda: post(warm, payload)) == price


def test_one_new_file_in_a_fresh_process_takes_three_requests(warm: Home, drive: DriveEmulator) -> None:
    """A new process looks at the folder, too: 3 requests, 155 units."""
    path = warm.put("Data/Meta/second.txt", "second")

    requests, units = asked(drive, lambda: warm.one_off(path).check_returncode())

    assert (requests, units) == (3, 155)


def test_a_hundred_files_in_one_folder_take_hardly_more_than_a_hundred_requests(
    warm: Home, drive: DriveEmulator, post: Post
) -> None:
    """One listing for all of them and one create each, at most 104 in all; the answer counts what Drive counts."""
    payload = batch(warm, 100)
    answers = []

    requests, units = asked(drive, lambda: answers.append(post(warm, payload)))

    assert requests <= 104
    assert requests == sum(entry["requests"] for entry in answers[0].entries)
    assert units == sum(entry["units"] for entry in answers[0].entries)


def test_a_hundred_unchanged_files_take_none(warm: Home, drive: DriveEmulator, post: Post) -> None:
    """What the receipts know is not asked for."""
    payload = batch(warm, 100)
    for file in payload["files"]:
        warm.age(file["path"])
    post(warm, payload)

    requests, _ = asked(drive, lambda: post(warm, payload))

    assert requests == 0


def test_a_thousand_files_over_fifty_new_folders(warm: Home, drive: DriveEmulator, post: Post) -> None:
    """Each folder is created once and looked for together with others: at most 1,110 requests in all."""
    payload = batch(warm, 1000, folders=50)

    requests, _ = asked(drive, lambda: post(warm, payload))

    assert requests <= 1110
    assert len(warm.stored()) == 1001


@pytest.mark.parametrize(("is_new", "never"), [(True, NEVER_LOADED), (False, NEVER_LOADED + ONLY_FOR_DRIVE)])
def test_a_start_loads_only_what_it_needs(warm: Home, is_new: bool, never: list[str]) -> None:
    """A one-off with a new file, or an unchanged one, gets by without these packages."""
    path = "Data/Meta/first.txt"
    warm.put(path, "first, changed" if is_new else "first")
    show = (
        "import sys, function.command_line; code = function.command_line.main(sys.argv[2:]);"
        "print(*(name for name in sys.argv[1].split(',') if name in sys.modules), file=sys.stderr); sys.exit(code)"
    )

    run = subprocess.run(
        [sys.executable, "-c", show, ",".join(never), "upload", path],
        cwd=PROJECT,
        env=os.environ | warm.environ | {"LOG_LEVEL": "CRITICAL"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert json.loads(run.stdout)["status"] == ("uploaded" if is_new else "unchanged")
    assert run.stderr.split() == []


def test_the_bench_runs() -> None:
    """`python -m tests.bench` measures a row of each kind of contender and judges its bars."""
    command = [sys.executable, "-m", "tests.bench", "--quick", "--only", "one"]

    run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=100)

    assert run.returncode in (0, 1), run.stderr
    for expected in ("one-off", "rclone, best flags", "PyDrive2 script", "requests of one new file, fresh process: 3"):
        assert expected in run.stdout
