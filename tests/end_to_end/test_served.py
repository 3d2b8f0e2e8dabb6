"""The function as it is served: functions-framework's own gunicorn, over a real socket."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import pytest
import requests

from function.serving.payload import BODY_MAX_BYTES
from tests.support.home import PROJECT, Home


@dataclass(frozen=True, slots=True)
class Served:
    """A running function."""

    url: str
    process: "subprocess.Popen[str]"


@pytest.fixture
def served(home: Home) -> Iterator[Served]:
    """`python -m function serve` on that home, when it answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "function", "serve"],
        cwd=PROJECT,
        env=os.environ | home.environ | {"PORT": str(port), "HOST": "127.0.0.1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    url = f"http://127.0.0.1:{port}"
    with requests.Session() as session:
        from urllib3 import Retry

        patient = Retry(connect=60, backoff_factor=0.05, backoff_max=0.2)
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=patient))
        assert session.get(url, timeout=30).json()["status"] == "ok"
    yield Served(url, process)
    process.kill()
    process.communicate()


def test_uploads_over_a_real_socket(home: Home, served: Served) -> None:
    """Many at once, in threads of one process; then SIGTERM, and it leaves by itself."""
    paths = [home.put(f"Data/Meta/{index}.txt", f"{index}") for index in range(20)]

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda path: requests.post(served.url, json={"path": path}, timeout=60), paths))
    served.process.send_signal(signal.SIGTERM)
    stderr = served.process.communicate(timeout=30)[1]

    assert {(each.status_code, each.json()["status"]) for each in answers} == {(200, "uploaded")}
    assert len(home.stored()) == len(home.log()) == 20
    assert home.folders() == ["MemoryVDB", "MemoryVDB/Meta"]
    assert served.process.returncode == 0
    lines = [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]
    assert len([each for each in lines if each.get("entry", {}).get("status") == "uploaded"]) == 20


def test_bodies_of_every_kind(home: Home, served: Served) -> None:
    """Chunked, too long, cut off by the caller: each is answered in JSON, and the next call works."""
    path = home.put()
    body = json.dumps({"path": path}).encode()

    chunked = requests.post(served.url, data=iter([body[:5], body[5:]]), timeout=30)
    too_long = requests.post(served.url, data=b" " * (BODY_MAX_BYTES + 1), timeout=30)
    with closing(http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=30)) as caller:
        caller.putrequest("POST", "/")
        caller.putheader("Content-Length", "1000")
        caller.endheaders(body)
    after = requests.post(served.url, data=body, timeout=30)

    assert (chunked.status_code, chunked.json()["status"]) == (200, "uploaded")
    assert (too_long.status_code, too_long.json()["results"][0]["reason"]) == (400, "invalid_payload")
    assert after.json()["status"] == "unchanged"


def test_other_pages_are_json_too(served: Served) -> None:
    """Of the framework, of gunicorn's worker, and of ours."""
    for path in ("/robots.txt", "/nothing", "/favicon.ico"):
        answer = requests.get(served.url + path, timeout=30)

        assert (answer.status_code, answer.json()["status"]) == (404, "failed")
    assert requests.put(served.url, timeout=30).json()["status"] == "failed"
