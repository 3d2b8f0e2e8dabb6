"""Runs of the job, each in a process of its own that can be killed, forked from one that has everything imported.

    Runs (in the test)  ── JSON lines ──▶  python -m tests.crash.runs  ── fork ──▶  one run

A run is the job itself, `function.serving.app`, called as the command line and the HTTP function call it; nothing in
it knows that it is watched. Waits between retries are cut short, for speed.
"""

import gc
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.crash.strike import Observer, Strike

PROJECT = Path(__file__).parents[2]

LONGEST_WAIT_S = 0.01

LONGEST_RUN_S = 20


@dataclass(frozen=True, slots=True)
class Run:
    """One invocation to make: a payload in a home, the kill that strikes it, and how long it waits to begin."""

    home: str
    environ: Mapping[str, str]
    payload: Mapping[str, Any]
    strike: Strike | None = None
    after_s: float = 0.0
    kill_after_s: float | None = None
    """SIGKILL when so much time has passed."""
    lease_s: float | None = None
    """How long a lease lasts, where the run's lock is one."""
    file_limit: int | None = None
    """Bytes beyond which no file can grow, as on a full volume."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended. `code` is None when it was killed; `events` are all that it came to."""

    code: int | None
    document: Mapping[str, Any]
    events: Sequence[str]

    @property
    def statuses(self) -> list[str]:
        """The status of each entry in the answer."""
        return [each["status"] for each in self.document.get("results", ())]


class Runs:
    """Makes runs. A context manager; `warm` once for each address of Drive."""

    def __enter__(self) -> "Runs":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.runs"],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT), "LOG_LEVEL": "CRITICAL"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def warm(self, run: Run) -> None:
        """Import and build what a run at that address of Drive needs, by making one in the forking process itself."""
        assert self._ask({"warm": asdict(run)}), "a thread is left that a fork would lose"

    def one(self, run: Run) -> Ended:
        """Make a run and wait for its end."""
        return self.at_once([run])[0]

    def at_once(self, runs: Sequence[Run]) -> list[Ended]:
        """Make several runs at one time."""
        return [Ended(**each) for each in self._ask({"runs": [asdict(each) for each in runs]})]

    def _ask(self, question: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


# --- in the process that forks


def _serve() -> None:
    logging.disable()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(min(float(seconds), LONGEST_WAIT_S))
    for line in sys.stdin:
        question = json.loads(line)
        answer = _warm(question["warm"]) if "warm" in question else _make([_run(each) for each in question["runs"]])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _run(document: dict[str, Any]) -> Run:
    strike = document.pop("strike")
    return Run(**document, strike=Strike(**strike) if strike else None)


def _warm(document: dict[str, Any]) -> bool:
    from function.serving import app

    _pace_quickly()
    _call(_run(document))
    app.open_app.cache_clear()
    for each in threading.enumerate():
        if each is not threading.current_thread():
            each.join(10)
    gc.collect()
    gc.freeze()
    return threading.active_count() == 1


def _pace_quickly() -> None:
    """Let a refusal for the rate cost milliseconds; how Drive's quota is kept to is tried elsewhere."""
    from function import pacing

    short = {"FIRST_PROBE_S": 0.01, "PROBE_EVERY_S": 0.02, "PROBE_LATER_EVERY_S": 0.02, "PROBE_ANSWER_S": 0.1}
    vars(pacing).update(short | {"STEADY_WITHIN_S": 1e9, "GENTLE_PER_S": pacing.FREE_PER_S, "GROW_S": 0.01})


def _make(runs: Sequence[Run]) -> list[dict[str, Any]]:
    begun = []
    for run in runs:
        told = os.memfd_create("events")
        pid = os.fork()
        if not pid:
            _child(run, told)
        begun.append((pid, told))
    started = time.monotonic()
    for kill_after_s, pid in sorted(
        (run.kill_after_s, pid) for run, (pid, _) in zip(runs, begun, strict=True) if run.kill_after_s
    ):
        threading.Event().wait(max(0.0, started + kill_after_s - time.monotonic()))
        os.kill(pid, signal.SIGKILL)
    return [_ended(pid, told) for pid, told in begun]


def _ended(pid: int, told: int) -> dict[str, Any]:
    _, status = os.waitpid(pid, 0)
    with os.fdopen(told, "rb") as file:
        file.seek(0)
        lines = [json.loads(line) for line in file]
    answer = next((line for line in lines if isinstance(line, dict)), None)
    if answer is None and not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
        answer = {"code": -1, "document": {"ended": status}}
    return (answer or {"code": None, "document": {}}) | {"events": [line for line in lines if isinstance(line, str)]}


def _child(run: Run, told: int) -> None:
    """Never returns."""
    try:
        signal.alarm(LONGEST_RUN_S)
        if run.file_limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (run.file_limit, run.file_limit))
        write = os.write
        if run.after_s:
            threading.Event().wait(run.after_s)
        observer = Observer(
            run.home + "/", run.strike, lambda label: _tell(write, told, label), sees_locks=run.lease_s is not None
        )
        observer.install()
        code, document = _call(run)
        _tell(write, told, {"code": code, "document": document})
    except BaseException as error:  # noqa: BLE001 - a child must not return into the parent's code
        _tell(write, told, {"code": -1, "document": {"error": repr(error)}})
    os._exit(0)


def _tell(write: Any, told: int, what: Any) -> None:
    write(told, json.dumps(what).encode() + b"\n")


def _call(run: Run) -> tuple[int, dict[str, Any]]:
    os.environ.update(run.environ)
    from function.serving import app
    from function.state import lease

    if run.lease_s is not None:
        vars(lease)["LEASE_S"], vars(lease)["HEARTBEAT_S"] = run.lease_s, run.lease_s / 5
    answer = app.current().handle(json.dumps(run.payload).encode(), {})
    return answer.code, answer.document()


if __name__ == "__main__":
    _serve()
