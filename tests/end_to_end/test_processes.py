"""Many processes at once on one home, as a queue brings them."""

import json
import subprocess
import sys
from pathlib import Path

from jsonschema import Draft202012Validator

from tests.support.home import PROJECT, Home

PROCESSES = 8
INVOCATIONS = 50

WORKER = """
import json, sys
from function.serving.app import current
sys.stdin.readline()
app = current()
for path in json.loads(sys.argv[1]):
    answer = app.handle(json.dumps({"path": path}).encode(), {})
    assert answer.code == 200, answer.document()
"""
"""Waits for the start, then invokes the job for one path after the other."""


def test_eight_processes_with_fifty_invocations_each(home: Home) -> None:
    """400 entries, none lost and all valid; each file and folder once; one renewal of the expired token.

    Half the invocations are for a file of their own, half for files that all the processes upload.
    """
    token = home.drive.authorized_user() | {"token": "expired", "expiry": "2020-01-01T00:00:00Z"}
    home.write("drive_token.json", json.dumps(token))
    shared = [home.put(f"Data/Shared/{index % 3}/{index}.txt", f"shared {index}") for index in range(INVOCATIONS // 2)]
    own = [
        [home.put(f"Data/Own/{index % 5}/{number}-{index}.txt", f"own {number} {index}") for index in range(25)]
        for number in range(PROCESSES)
    ]
    workers = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                WORKER,
                json.dumps([path for pair in zip(shared, mine, strict=True) for path in pair]),
            ],
            cwd=PROJECT,
            env=home.environ | {"PYTHONPATH": str(PROJECT)},
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for mine in own
    ]

    for worker in workers:
        assert worker.stdin
        worker.stdin.write("\n")
        worker.stdin.flush()
    errors = [worker.communicate(timeout=100)[1] for worker in workers]

    assert [worker.returncode for worker in workers] == [0] * PROCESSES, errors
    entries = home.log()
    schema = Draft202012Validator(json.loads((PROJECT / "function/upload_log.schema.json").read_text()))
    files = len(shared) + sum(map(len, own))
    assert len(entries) == PROCESSES * INVOCATIONS
    assert all(schema.is_valid(entry) for entry in entries)
    assert sorted(each["status"] for each in entries) == ["unchanged"] * (400 - files) + ["uploaded"] * files
    assert home.stored() == {
        path.replace("Data", "MemoryVDB", 1): (home.folder / path).read_bytes()
        for path in [*shared, *(path for mine in own for path in mine)]
    }
    assert len(home.folders()) == 1 + 1 + 3 + 1 + 5 == len(set(home.folders()))
    assert home.drive.requests.count("oauth.token") == 1
    assert home.drive.requests.count("files.create") == files + 11


def test_one_file_from_many_one_offs(home: Home) -> None:
    """The same file from six fresh processes at the same moment: one upload, five that find it unchanged."""
    path = home.put()
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "function", "upload", path],
            cwd=PROJECT,
            env=home.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(6)
    ]

    answers = [json.loads(run.communicate(timeout=60)[0]) for run in runs]

    assert sorted(each["status"] for each in answers) == ["unchanged"] * 5 + ["uploaded"]
    assert len({each["results"][0]["file_id"] for each in answers}) == 1
    assert list(home.stored()) == [Path(path).as_posix().replace("Data", "MemoryVDB", 1)]
    assert home.folders() == ["MemoryVDB", "MemoryVDB/Meta"]
