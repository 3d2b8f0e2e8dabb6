"""How much of Drive's quota processes use together: `python tests/bench/quota.py --seconds 180` prints JSON.

One embedded Drive with a limit of requests a minute, and processes whose threads always have one more request to send,
each process with the account's `Pacer`. Rates are over the given seconds; `used` is of what the limit allows in them.
"""

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from function.core.errors import DeadlineExceeded, TransientDriveError  # noqa: E402
from function.core.retry import Deadline, call  # noqa: E402
from function.pacing import Pacer  # noqa: E402
from local_runner.drive_emulator import DriveEmulator  # noqa: E402

LATE_S = 1.0
"""Processes start together, so long after they were made."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one process does."""

    url: str
    token: str
    state: str
    start: float
    seconds: float
    threads: int
    pattern: str
    """Over and over: w a create, r a listing."""


def send(work: Work, connection: http.client.HTTPConnection, *, write: bool) -> tuple[int, str | None]:
    """One request: its status and Retry-After."""
    headers = {"authorization": f"Bearer {work.token}", "content-type": "application/json"}
    if write:
        connection.request("POST", "/drive/v3/files?fields=id", body=b'{"name": "note.txt"}', headers=headers)
    else:
        connection.request("GET", "/drive/v3/files?pageSize=1&fields=files(id)", headers=headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers["retry-after"]


def work_thread(work: Work, pacer: Pacer, counts: Counter[str]) -> None:
    """Requests one after the other, each as often as it takes, until the time is up."""
    place = urlsplit(work.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    deadline = Deadline.after(work.start + work.seconds - time.time())

    def attempt(*, write: bool) -> None:
        pacer.acquire(write=write, deadline=deadline)
        status, told = send(work, connection, write=write)
        if status in {403, 429}:
            counts["refused"] += 1
            retry_after_s = float(told) if told else None
            pacer.refused(write=write, retry_after_s=retry_after_s)
            raise TransientDriveError("Refused for the rate.", reason="rate_limited", retry_after_s=retry_after_s)
        counts["through"] += 1
        pacer.succeeded(write=write)

    for step in cycle(work.pattern):
        try:
            call(partial(attempt, write=step == "w"), deadline=deadline)
        except (DeadlineExceeded, TransientDriveError):
            if not deadline.remaining_s():
                return
            time.sleep(min(1.0, deadline.remaining_s()))


def work_process(work: Work) -> None:
    """All threads of one process; prints what it counted."""
    pacer = Pacer(Path(work.state))
    counts = [Counter[str]() for _ in range(work.threads)]
    time.sleep(max(0.0, work.start - time.time()))
    threads = [threading.Thread(target=work_thread, args=(work, pacer, count)) for count in counts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(sum(counts, Counter[str]())))


def measure(options: argparse.Namespace) -> dict[str, object]:
    """Run the processes against a Drive of their own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        DriveEmulator(
            latency_ms=options.latency_ms,
            requests_per_minute_per_user=options.per_minute,
            retry_after=options.retry_after,
            **json.loads(options.weather),
        ) as drive,
    ):
        start = time.time() + LATE_S
        token = drive.authorized_user()["token"]
        work = Work(drive.url, token, f"{folder}/pace", start, options.seconds, options.threads, options.pattern)
        command = [sys.executable, __file__, "--work", json.dumps(asdict(work))]
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(options.processes)]
        counts = [Counter(json.loads(process.communicate()[0])) for process in processes]
        assert len(drive.requests) == sum(count.total() for count in counts)
    return figures(options, counts)


def figures(options: argparse.Namespace, counts: list[Counter[str]]) -> dict[str, object]:
    """The shares that the bar is about, in percent."""
    through = [count["through"] for count in counts]
    refused = sum(count["refused"] for count in counts)
    return {
        "processes": options.processes,
        "seconds": options.seconds,
        "through": sum(through),
        "refused": refused,
        "used_percent": round(100 * sum(through) / (options.per_minute * options.seconds / 60), 2),
        "refused_percent": round(100 * refused / (sum(through) + refused), 2),
        "least_share_percent": round(100 * min(through) * len(through) / sum(through), 1),
    }


def main() -> None:
    """Parse the options and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--per-minute", type=int, default=600)
    parser.add_argument("--latency-ms", type=float, default=100)
    parser.add_argument("--pattern", default="w", help="w a create, r a listing, over and over")
    parser.add_argument("--retry-after", action="store_true", help="refusals say when to come back")
    parser.add_argument("--weather", default="{}", help="more settings of the emulator, as JSON")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work_process(Work(**json.loads(options.work)))
    else:
        print(json.dumps(measure(options), indent=2))


if __name__ == "__main__":
    main()
