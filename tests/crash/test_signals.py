"""Real processes that are told to stop, and a client that hangs up: the next call goes on from there."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import urllib3

from tests.crash import promise
from tests.crash.scenarios import LARGE, Wanted
from tests.crash.world import World

PROJECT = Path(__file__).parents[2]

ZONES = {"path": "Data/Meta/zones.bin"}
WANTED = [Wanted("Meta/zones.bin", LARGE)]

GRACE_S = 10
"""A container is killed so long after SIGTERM. Source: Cloud Run, 'Container runtime contract'."""

SLOW = {"on": "upload.send", "do": "slow_body", "ms": 60_000}


def until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Wait for something that another process brings about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)


def is_sending(world: World) -> bool:
    """Whether content is on its way into a session."""
    return any(each.method_id == "upload.send" for each in world.drive.requests)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_one_off_that_is_told_to_stop_leaves_an_upload_to_be_resumed(world: World, number: signal.Signals) -> None:
    """Exit code 75 and a failed entry with deadline_exceeded; the next call uses the same session."""
    world.home.put("Meta/zones.bin", LARGE)
    world.drive.faults.add(SLOW)
    command = [sys.executable, "-m", "function", "upload", ZONES["path"]]
    process = subprocess.Popen(
        command, cwd=PROJECT, env=os.environ | world.home.environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    until(lambda: is_sending(world), "the upload begins")

    process.send_signal(number)
    answer, _ = process.communicate(timeout=20)
    world.drive.faults.clear()
    ended = world.run(ZONES)

    assert process.returncode == 75
    assert [each["reason"] for each in json.loads(answer)["results"]] == ["deadline_exceeded"]
    assert ended.statuses == ["uploaded"]
    assert world.drive.requests.count("upload.start") == 1
    assert promise.broken(world, WANTED) == []


@contextlib.contextmanager
def serving(world: World) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """The function served on a free port, as its image does by default; at the end killed with all its processes."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "function", "serve"],
        cwd=PROJECT,
        env=os.environ | world.home.environ | {"PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until(lambda: answers(port), "the server answers")
        yield process, port
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(port: int) -> bool:
    """Whether a server answers on that port."""
    try:
        return urllib3.request("GET", f"http://127.0.0.1:{port}/", retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def hang_up(port: int, payload: object) -> socket.socket:
    """POST a payload without waiting for the answer."""
    body = json.dumps(payload).encode()
    client = socket.create_connection(("127.0.0.1", port))
    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    client.sendall(head.encode() + body)
    return client


def test_the_upload_of_a_client_that_hangs_up_ends_as_any_other(world: World) -> None:
    """Who asks again is told that it is there: by whichever of the two was first to log it."""
    world.home.put("Meta/small.txt", b"small")
    with serving(world) as (_, port):
        world.drive.faults.add({"on": "files.create", "nth": 3, "do": "delay", "ms": 200})
        client = hang_up(port, {"path": "Data/Meta/small.txt"})
        until(lambda: world.drive.requests.count("files.create") == 3, "the create")
        client.close()
        again = urllib3.request("POST", f"http://127.0.0.1:{port}/", json={"path": "Data/Meta/small.txt"})

    assert again.status == 200
    assert promise.broken(world, [Wanted("Meta/small.txt", b"small")]) == []


def test_a_server_that_is_told_to_stop_answers_first(world: World) -> None:
    """SIGTERM: 503 with a failed entry before a container is killed; the next call uses the same session."""
    world.home.put("Meta/zones.bin", LARGE)
    world.drive.faults.add(SLOW)
    with serving(world) as (process, port), ThreadPoolExecutor(1) as caller:
        ask = partial(urllib3.request, retries=False, timeout=2 * GRACE_S)
        asked = caller.submit(ask, "POST", f"http://127.0.0.1:{port}/", json=ZONES)
        until(lambda: is_sending(world), "the upload begins")
        process.send_signal(signal.SIGTERM)
        answer = asked.result(GRACE_S)
    logged = [each["reason"] for each in world.home.log()]
    world.drive.faults.clear()
    ended = world.run(ZONES)

    assert answer.status == 503
    assert logged == [each["reason"] for each in json.loads(answer.data)["results"]] == ["deadline_exceeded"]
    assert ended.statuses == ["uploaded"]
    assert world.drive.requests.count("upload.start") == 1
    assert promise.broken(world, WANTED) == []
