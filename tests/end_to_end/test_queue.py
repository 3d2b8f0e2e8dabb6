"""`enqueue` and the function behind a queue: whatever dies on the way, each file arrives, once."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.cloud_tasks import CloudTasks, cloud_tasks
from tests.support.home import PROJECT, Home
from tests.support.served import free_port, until_killed

QUEUE = "projects/mine/locations/europe-west1/queues/uploads"


def enqueue(home: Home, queue: CloudTasks, url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The finished `drive-upload enqueue Data ARGUMENTS` against that queue."""
    environ = {name: value for name, value in home.environ.items() if name != "DRIVE_EMULATOR_HOST"}
    return subprocess.run(
        [sys.executable, "-m", "local_runner", "enqueue", "Data", "--queue", QUEUE, "--url", url, *arguments],
        cwd=home.folder,
        env=os.environ | environ | {"CLOUD_TASKS_EMULATOR_HOST": queue.url, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def created(home: Home) -> int:
    """Files on the Drive so far."""
    return sum(each["size"] is not None for each in home.drive.files())


@pytest.mark.parametrize(
    "count", [60, pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(900)])], ids=["60", "500"]
)
def test_a_queue_loses_nothing_and_doubles_nothing(home: Home, count: int) -> None:
    """Tasks with faults of Drive, lost answers to the queue, and a server that is killed with files in hand."""
    for number in range(count):
        home.put(f"Data/Zone {number % 7}/{number}.txt", f"content {number}")
    for number in range(count // 20):
        fault: dict[str, Any] = {"on": "files.create", "nth": 3 + 13 * number}
        kinds = ("lose_answer", "reset_before", "status")
        home.drive.faults.add(fault | {"do": kinds[number % 3]} | ({"status": 503} if number % 3 == 2 else {}))
    port = free_port()
    kills = [count // 5, count // 2, count * 4 // 5]

    with cloud_tasks(lose_answer_of=frozenset(range(5, count, 17))) as queue:
        first = enqueue(home, queue, f"http://127.0.0.1:{port}")
        again = enqueue(home, queue, f"http://127.0.0.1:{port}", "--json")
        for threshold in kills:
            with until_killed(home, port) as process:
                while created(home) < threshold:
                    assert process.poll() is None
                    time.sleep(0.01)
        with until_killed(home, port):
            assert queue.wait(timeout_s=count)

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert f"{count} queued, 0 queued already" in first.stdout
    assert Counter(each["outcome"] for each in json.loads(again.stdout)["tasks"]) == {"already_queued": count}
    stored = home.stored()  # fails where two files have one path
    assert stored == {
        f"MemoryVDB/Zone {number % 7}/{number}.txt": f"content {number}".encode() for number in range(count)
    }
    uploaded = Counter(each["path"] for each in home.log() if each["status"] == "uploaded")
    assert set(uploaded.values()) == {1}
    assert len(uploaded) == count
    assert sum(task.attempts for task in queue.tasks.values()) > count


def test_a_task_is_what_cloud_tasks_wants(home: Home, tmp_path: Path) -> None:
    """Name from the content, an OIDC token for the function, a dispatch deadline, the options in the body."""
    home.put("Data/a.txt", "one")
    with cloud_tasks(concurrent=0) as queue:
        enqueue(home, queue, "https://example.run.app", "--if-exists", "skip", "--dispatch-deadline", "900")
        home.put("Data/a.txt", "two")
        other = enqueue(home, queue, "https://example.run.app", "--if-exists", "skip", "--json")

    first, second = queue.tasks.values()
    assert first.name != second.name == f"{QUEUE}/tasks/{json.loads(other.stdout)['tasks'][0]['task']}"
    assert first.request["oidcToken"] == {
        "serviceAccountEmail": "drive-upload-tasks@mine.iam.gserviceaccount.com",
        "audience": "https://example.run.app",
    }
    assert first.request["httpMethod"] == "POST"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--dispatch-deadline", "300"], "--dispatch-deadline"),
        (["--queue", "uploads"], "--queue"),
        (["--url", "x"], "--url"),
    ],
)
def test_what_could_not_work_is_refused(home: Home, arguments: list[str], named: str) -> None:
    """A deadline that the function's own outlasts, a queue or an address that is none."""
    with cloud_tasks(concurrent=0) as queue:
        refused = enqueue(home, queue, "https://example.run.app", *arguments)

    assert (refused.returncode, named in refused.stderr) == (64, True)
    assert queue.tasks == {}


def test_a_link_that_leads_to_itself_keeps_no_other_file_out_of_the_queue(home: Home) -> None:
    """It has failed for good; the others are queued."""
    home.put()
    (home.folder / "Data/me").symlink_to("me")

    with cloud_tasks() as queue:
        result = enqueue(home, queue, "http://127.0.0.1:9")

    assert result.returncode == 65
    assert "Data/me is a link that leads back to itself." in result.stderr
    assert "1 queued, 0 queued already, 1 failed" in result.stdout


def test_a_queue_that_is_not_there_is_for_later(home: Home) -> None:
    """Nobody answers: exit 75, and the sentence says where to look."""
    home.put("Data/a.txt", "one")
    with cloud_tasks(concurrent=0) as queue:
        gone = CloudTasks(url=queue.url + "/elsewhere")
    failed = enqueue(home, gone, "https://example.run.app")

    assert failed.returncode == 75
    assert "The connection to Cloud Tasks failed" in failed.stderr
