"""The world's odd answers while a queue delivers: no file is dropped, none is doubled."""

import base64
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from local_runner.drive_emulator import DriveEmulator
from tests.hostile.calls import Broken
from tests.support.cloud_tasks import CloudTasks, cloud_tasks
from tests.support.home import Home, new_home
from tests.support.served import free_port, until_killed

ATTEMPTS_MAX = 20
"""After so many the queue drops a task."""

WORLD_FILES = 50
"""Files that go through one queue."""

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
    {"do": "edit_answer", "set": {"files": []}},
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


def deliver_all(home: Home, queue: CloudTasks, contents: Mapping[str, bytes], dice: random.Random) -> bool:
    """Queue each file, and kill the server now and then; whether the queue has nothing left in the end."""
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
        return queue.wait(timeout_s=3 * len(contents) + 60)


def worlds_of(seed: int, numbers: Sequence[int]) -> list[Broken]:
    """The worlds of those numbers, each with a queue; what was wrong, by number."""
    ended = [(number, deliveries_of(seed, number, WORLD_FILES)) for number in numbers]
    return [(number, found) for number, found in ended if found]


def deliveries_of(seed: int, number: int, count: int) -> list[str]:
    """What is wrong when so many files went through a queue; empty when each is there once and none was dropped."""
    dice = random.Random(f"delivery {seed}/{number}")
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder, DriveEmulator() as drive:
        home = new_home(Path(folder) / "home", drive)
        home.settings(deadline_s=2)
        contents = {f"Data/Zone {each % 9}/{each}.txt": f"content {each}\n".encode() for each in range(count)}
        contents |= {f"Data/Large/{each}.bin": dice.randbytes(LARGE_BYTES) for each in range(count // 30)}
        for path, content in contents.items():
            home.put(path, content)
        drive.faults.add(*(odd_answer(dice, count) for _ in range(count // 5)))
        lost = frozenset(dice.sample(range(count), k=count // 15))
        with cloud_tasks(
            concurrent=8, backoff_s=0.1, lose_answer_of=lost, attempts_max=ATTEMPTS_MAX, retry_after_s=0.001
        ) as queue:
            has_ended = deliver_all(home, queue, contents, dice)
        wrong = list(_wrong(home, queue, contents))
        if not has_ended:
            wrong.append("the queue did not get empty in time")
        return [*wrong, _figures(home, queue)] if wrong else []


def _wrong(home: Home, queue: CloudTasks, contents: Mapping[str, bytes]) -> Iterator[str]:
    for task in queue.tasks.values():
        if not task.is_done:
            yield f"dropped: {base64.b64decode(task.request['body']).decode()} after {task.codes}"
        if not set(task.codes) <= {0, 200, 503}:
            yield f"the queue was told {task.codes}"
    live = [each for each in home.drive.files() if not each["trashed"]]
    times = Counter(each["path"] for each in live)
    yield from (f"{path} is {often} times on Drive" for path, often in times.items() if often > 1)
    stored = {each["path"]: home.drive.content(each["id"]) for each in live if each["size"] is not None}
    wanted = {path.replace("Data", "MemoryVDB", 1): content for path, content in contents.items()}
    yield from (f"{path} is not on Drive" for path in wanted.keys() - stored.keys())
    yield from (f"{path} was never wanted" for path in stored.keys() - wanted.keys())
    yield from (f"{path} holds other content" for path in wanted.keys() & stored.keys() if stored[path] != wanted[path])
    uploaded = Counter(each["path"] for each in home.log() if each["status"] == "uploaded")
    yield from (f"{path} is {uploaded[path]} times in the log" for path in contents if uploaded[path] != 1)
    yield from (f"{path} was changed" for path in contents if (home.folder / path).read_bytes() != contents[path])


def _figures(home: Home, queue: CloudTasks) -> str:
    struck = Counter(fault["do"] for fault in home.drive.faults.as_json() if fault["done"])
    attempts = [task.attempts for task in queue.tasks.values()]
    codes = Counter(code for task in queue.tasks.values() for code in task.codes)
    reasons = Counter(each["reason"] for each in home.log())
    return (
        f"{len(attempts)} files, {sum(attempts)} attempts, at most {max(attempts)} of one; struck {dict(struck)}; "
        f"codes {dict(codes)}; reasons {dict(reasons)}"
    )
