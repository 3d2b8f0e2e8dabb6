"""A stand-in for Cloud Tasks: takes tasks over its REST API, and delivers each at least once until it is answered 2xx.

As Google's does: a name is taken for good, everything but 2xx and no answer at all are tried again, with the queue's
backoff or the answer's Retry-After, as often as the queue allows; the headers say which task it is. Source: Cloud Tasks
REST reference v2; `tasks.create`, `RetryConfig`.
"""

import base64
import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3


@dataclass(slots=True)
class Task:
    """A task, and how often it was delivered."""

    name: str
    request: dict[str, Any]
    attempts: int = 0
    codes: list[int] = field(default_factory=list)
    """Of each attempt; 0 where no answer came."""

    @property
    def is_done(self) -> bool:
        """Whether its last answer was a 2xx."""
        return bool(self.codes) and 200 <= self.codes[-1] < 300


@dataclass(slots=True)
class CloudTasks:
    """The queue. `lose_answer_of` names, by number, successful attempts whose answer gets lost on its way."""

    concurrent: int = 4
    backoff_s: float = 0.05
    lose_answer_of: frozenset[int] = frozenset()
    attempts_max: float = float("inf")
    """A task that was tried so often is dropped."""
    retry_after_s: float = 0.0
    """How long a second of Retry-After is: its time passes faster than ours."""
    tasks: dict[str, Task] = field(default_factory=dict)
    url: str = ""
    _waiting: deque[tuple[float, Task]] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _open: int = 0
    _answers: int = 0
    _ended: bool = False

    def create(self, task: dict[str, Any]) -> bool:
        """Take a task; False where its name is taken."""
        with self._changed:
            if task["name"] in self.tasks:
                return False
            made = self.tasks[task["name"]] = Task(task["name"], task["httpRequest"])
            self._waiting.append((time.monotonic(), made))
            self._open += 1
            self._changed.notify()
            return True

    def wait(self, timeout_s: float) -> bool:
        """Whether every task was answered 2xx, or dropped, within that time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, timeout_s)

    def deliver(self) -> None:
        """Send tasks until the queue ends."""
        connections = urllib3.PoolManager(retries=False, timeout=60)
        while (task := self._next()) is not None:
            code, asked_s = self._send(connections, task)
            with self._changed:
                task.codes.append(code)
                if task.is_done or task.attempts >= self.attempts_max:
                    self._open -= 1
                else:
                    pause_s = max(self.backoff_s * 2 ** min(task.attempts - 1, 5), asked_s * self.retry_after_s)
                    self._waiting.append((time.monotonic() + pause_s, task))
                self._changed.notify_all()

    def end(self) -> None:
        """Deliver no more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _next(self) -> Task | None:
        with self._changed:
            while not self._ended:
                now = time.monotonic()
                for index, (due, task) in enumerate(self._waiting):
                    if due <= now:
                        del self._waiting[index]
                        task.attempts += 1
                        return task
                self._changed.wait(min((due - now for due, _ in self._waiting), default=None))
            return None

    def _send(self, connections: urllib3.PoolManager, task: Task) -> tuple[int, float]:
        """The code of its answer, 0 where none came, and the seconds of its Retry-After."""
        headers = {
            **task.request["headers"],
            "User-Agent": "Google-Cloud-Tasks",
            "X-CloudTasks-TaskName": task.name.rpartition("/")[2],
            "X-CloudTasks-QueueName": task.name.split("/")[5],
            "X-CloudTasks-TaskRetryCount": str(task.attempts - 1),
        }
        body = base64.b64decode(task.request["body"])
        try:
            answer = connections.request(task.request["httpMethod"], task.request["url"], body=body, headers=headers)
        except urllib3.exceptions.HTTPError:
            return 0, 0.0
        with self._changed:
            self._answers += 1
            if self._answers in self.lose_answer_of and answer.status == 200:
                return 0, 0.0
        return answer.status, float(answer.headers.get("Retry-After", "0"))


@contextmanager
def cloud_tasks(**options: Any) -> Iterator[CloudTasks]:
    """A queue that takes tasks at its `url`, and delivers them."""
    queue = CloudTasks(**options)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            task = json.loads(self.rfile.read(int(self.headers["content-length"])))["task"]
            taken = queue.create(task)
            refusal = {"error": {"code": 409, "message": "Requested entity already exists", "status": "ALREADY_EXISTS"}}
            content = json.dumps(task if taken else refusal).encode()
            self.send_response(200 if taken else 409)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of http.server
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    queue.url = f"http://127.0.0.1:{server.server_address[1]}"
    threads = [threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})]
    threads += [threading.Thread(target=queue.deliver) for _ in range(queue.concurrent)]
    for thread in threads:
        thread.start()
    try:
        yield queue
    finally:
        queue.end()
        server.shutdown()
        server.server_close()
        for thread in threads:
            thread.join()
