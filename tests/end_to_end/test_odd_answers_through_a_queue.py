"""The world's odd answers while a queue delivers: no file is dropped, none is doubled."""

import base64
import json
import os
import random
import time
from collections import Counter
from typing import Any

import pytest

from tests.support.cloud_tasks import CloudTasks, cloud_tasks
from tests.support.home import Home
from tests.support.served import free_port, until_killed

SEED = int(os.environ.get("ODD_SEED", "14"))

ATTEMPTS_MAX = 20
"""After so many the queue drops a task."""

LARGE_BYTES = 5_500_000
"""Sent in a session."""

ON_THE_WAY: tuple[dict[str, Any], ...] = tuple(
    {"do": "status", "status": status, "body": "<html><h1>Sorry</h1></html>", "content_type": "text/html"}
    for status in (302, 400, 403, 404, 407, 411, 413, 423, 499, 500, 503)
)
"""Answers that are none of Drive's."""

FROM_DRIVE: tuple[dict[str, Any], ...] = (
    {"do": "status", "status": 403, "body": json.dumps({"error": {"code": 403, "message": "Forbidden"}})},
    {"do": "status", "status": 503},
    {"do": "shorten_answer"},
    {"do": "truncate_answer"},
    {"do": "lose_answer"},
    {"do": "reset_before"},
    {"do": "slow_body", "ms": 500},
    {"do": "expire_token"},
)

COSTLY: tuple[dict[str, Any], ...] = (
    {"do": "slow_body", "ms": 30_000},
    {"do": "status", "status": 403, "reason": "RESOURCE_EXHAUSTED"},
    {"do": "status", "status": 403, "reason": "userRateLimitExceeded"},
    {"do": "status", "status": 429, "retry_after": 0.2},
)
"""Past the deadline, or all wait for it: a few go a long way."""

OF_A_LIST: tuple[dict[str, Any], ...] = (
    {"do": "edit_answer", "set": {"incompleteSearch": True}},
    {"do": "edit_answer", "drop": ["files"]},
    {"do": "edit_answer", "drop": ["files.parents"]},
    {"do": "status", "status": 404, "body": ""},
    {"do": "status", "status": 404},
)

OF_A_CREATE: tuple[dict[str, Any], ...] = tuple(each | {"done_first": True} for each in ON_THE_WAY)

METHODS = ("files.create",) * 4 + ("files.list",) * 3 + ("files.get", "files.generateIds", "upload.send", "oauth.token")


def odd_answer(dice: random.Random, requests: int) -> dict[str, Any]:
    """A fault for one request, or for so many in a row that the calls of that time give up."""
    on = dice.choice(METHODS)
    more = {"files.list": OF_A_LIST, "files.create": OF_A_CREATE}.get(on, ())
    answer = dice.choice(ON_THE_WAY * 2 + FROM_DRIVE * 2 + COSTLY + more)
    often = 1 if answer in COSTLY else dice.choice((1, 1, 1, 1, 2, 2, 3, 15))
    return {"on": on, "nth": dice.randint(1, requests), "times": often, **answer}


def deliver_all(home: Home, queue: CloudTasks, contents: dict[str, bytes], dice: random.Random) -> None:
    """Queue each file, and kill the server now and then until the queue has nothing left."""
    port = free_port()
    for number, path in enumerate(contents):
        request = {
            "httpMethod": "POST",
            "url": f"http://127.0.0.1:{port}",
            "headers": {"Content-Type": "application/json"},
            "body": base64.b64encode(json.dumps({"path": path}).encode()).decode(),
        }
        queue.create({"name": f"projects/p/locations/l/queues/uploads/tasks/{number}", "httpRequest": request})
    for kill_at in sorted(dice.sample(range(len(contents)), k=2 + len(contents) // 200)):
        with until_killed(home, port) as process:
            while sum(each["size"] is not None for each in home.drive.files()) < kill_at:
                assert process.poll() is None
                time.sleep(0.02)
    with until_killed(home, port):
        assert queue.wait(timeout_s=3 * len(contents) + 60)


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(60, marks=pytest.mark.timeout(300)),
        pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(3000)]),
    ],
    ids=["60", "1000"],
)
def test_odd_answers_drop_nothing_and_double_nothing(home: Home, count: int) -> None:
    """Pages, redirects, cut and dripping answers, kills, answers that are lost: all files exactly once, in 20 tries."""
    dice = random.Random(SEED)
    home.settings(deadline_s=2)
    contents = {f"Data/Zone {number % 9}/{number}.txt": f"content {number}\n".encode() for number in range(count)}
    contents |= {f"Data/Large/{number}.bin": dice.randbytes(LARGE_BYTES) for number in range(count // 30)}
    for path, content in contents.items():
        home.put(path, content)
    home.drive.faults.add(*(odd_answer(dice, count) for _ in range(count // 5)))

    lost = frozenset(dice.sample(range(count), k=count // 15))
    with cloud_tasks(
        concurrent=8, backoff_s=0.1, lose_answer_of=lost, attempts_max=ATTEMPTS_MAX, retry_after_s=0.001
    ) as queue:
        deliver_all(home, queue, contents, dice)

    dropped = {task.request["body"]: task.codes for task in queue.tasks.values() if not task.is_done}
    assert dropped == {}
    assert home.stored() == {path.replace("Data", "MemoryVDB", 1): content for path, content in contents.items()}
    assert len(home.folders()) == len(set(home.folders()))
    uploaded = Counter(each["path"] for each in home.log() if each["status"] == "uploaded")
    assert uploaded == dict.fromkeys(contents, 1)
    struck = Counter(fault["do"] for fault in home.drive.faults.as_json() if fault["done"])
    attempts = [task.attempts for task in queue.tasks.values()]
    print(f"{len(attempts)} files, {sum(attempts)} attempts, at most {max(attempts)} of one; struck: {dict(struck)}")
    codes = Counter(code for task in queue.tasks.values() for code in task.codes)
    reasons = Counter(each["reason"] for each in home.log())
    print(f"codes {dict(codes)}; reasons {dict(reasons)}")
    assert codes.keys() <= {0, 200, 503}
