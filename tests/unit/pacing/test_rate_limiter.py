"""How fast requests go out: the bar on the quota in simulated time, the shared file, the deadline, real processes."""

import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from function.core.errors import DeadlineExceeded
from function.core.retry import Deadline
from function.pacing import UNASKED, Pacer, RateLimit
from tests.unit.pacing.quota_simulation import (
    START,
    FixedMinute,
    Limit,
    Load,
    Outcome,
    Simulation,
    SlidingMinute,
    TokenBucket,
)

A_MINUTE = 600
"""Requests that the simulated limits allow."""

LIMITS: dict[str, Callable[[], Limit]] = {
    "the clock's minutes": lambda: FixedMinute(A_MINUTE),
    "minutes that begin any time": lambda: FixedMinute(A_MINUTE, phase_s=37.3),
    "any sixty seconds": lambda: SlidingMinute(A_MINUTE),
    "any sixty seconds, refused ones too": lambda: SlidingMinute(A_MINUTE, counts_refused=True),
    "a bucket of a minute": lambda: TokenBucket(A_MINUTE / 60, A_MINUTE),
    "a bucket of a quarter of a minute": lambda: TokenBucket(A_MINUTE / 60, A_MINUTE / 4),
}
RETRY_AFTER: dict[str, Callable[[float], float] | None] = {
    "no Retry-After": None,
    "the true Retry-After": lambda wait_s: float(math.ceil(wait_s)),
    "always Retry-After 1": lambda wait_s: 1.0,
}


def assert_bar(outcome: Outcome) -> None:
    """>= 95 % of what three minutes allow, < 2 % refused, nobody below half his share; and the last two as well."""
    assert outcome.through >= 0.95 * 3 * A_MINUTE
    assert outcome.between(60, 180) >= 0.95 * 2 * A_MINUTE
    assert outcome.refused_share < 0.02
    assert outcome.least_share >= 0.5


@pytest.mark.parametrize("retry_after", RETRY_AFTER)
@pytest.mark.parametrize("limit", LIMITS)
def test_four_processes_use_the_whole_quota_and_no_more(limit: str, retry_after: str, tmp_path: Path) -> None:
    """The bar holds whatever way Drive counts, and whether or not it says when to come back."""
    simulation = Simulation(
        Load(processes=4), state=tmp_path / "pace", limit=LIMITS[limit](), retry_after=RETRY_AFTER[retry_after]
    )

    outcome = simulation.run()

    assert_bar(outcome)


@pytest.mark.parametrize("processes", range(1, 9))
def test_any_number_of_processes_share_the_quota(processes: int, tmp_path: Path) -> None:
    """One to eight processes, each limit in turn, reads mixed with writes, fast and slow answers."""
    limit = list(LIMITS)[processes % 5]
    load = Load(
        processes=processes,
        threads=[4, 8, 16][processes % 3],
        pattern=["w", "rw", "r", "wwwwr"][processes % 4],
        latency_s=[0.1, 0.02][processes % 2],
    )

    outcome = Simulation(load, state=tmp_path / "pace", limit=LIMITS[limit](), seed=processes).run()

    assert_bar(outcome)


def test_a_process_with_many_threads_takes_no_more_than_one_with_few(tmp_path: Path) -> None:
    """Fairness is between processes: slots are taken one at a time by each."""
    simulation = Simulation(Load(processes=2, threads=2), state=tmp_path / "pace", limit=TokenBucket(10, 150))
    for _ in range(30):
        simulation._at(START, lambda: simulation._next(1, 0))

    outcome = simulation.run()

    assert outcome.least_share > 0.9


def test_writes_are_held_back_without_holding_back_reads(tmp_path: Path) -> None:
    """Drive sustains three writes a second and a hundred times as many reads: only what is refused is slowed."""
    simulation = Simulation(
        Load(processes=2, threads=4, pattern="wwwwr", minutes=4),
        state=tmp_path / "pace",
        write_limit=TokenBucket(3, 100),
    )

    outcome = simulation.run()

    writes_per_s = outcome.between(120, 240) / 120 * 4 / 5
    assert 2.85 <= writes_per_s <= 3.05
    assert simulation.pacers[0].ask(write=False) == 0


def test_a_limit_that_falls_is_followed(tmp_path: Path) -> None:
    """When another program takes half the quota, the pace comes down to what is left."""
    limit = TokenBucket(10, 150)
    simulation = Simulation(Load(minutes=6), state=tmp_path / "pace", limit=limit)
    simulation._at(START + 120, lambda: setattr(limit, "per_s", 5.0))

    outcome = simulation.run()

    assert 0.95 * 5 <= outcome.between(180, 360) / 180 <= 5.1
    assert outcome.refused_share < 0.03


def test_a_limit_that_rises_is_found(tmp_path: Path) -> None:
    """When room appears, the pace goes up to it within two minutes."""
    limit = TokenBucket(5, 150)
    simulation = Simulation(Load(minutes=6), state=tmp_path / "pace", limit=limit)
    simulation._at(START + 120, lambda: setattr(limit, "per_s", 10.0))

    outcome = simulation.run()

    assert outcome.between(240, 360) / 120 >= 0.95 * 10


def test_without_a_shared_file_the_processes_still_come_to_terms(tmp_path: Path) -> None:
    """On a volume without kernel locks each process finds its own rate: most of the quota, few refusals."""
    outcome = Simulation(Load(processes=3), state=None, limit=TokenBucket(10, 150), seed=3).run()

    assert outcome.through >= 0.9 * 3 * A_MINUTE
    assert outcome.refused_share < 0.06


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def pacer_at(clock: Clock, path: Path | None) -> Pacer:
    """A pacer on that clock, with dice that always show 0."""
    return Pacer(path, clock=clock, sleep=clock.sleep, dice=lambda: 0.0)


def test_a_batch_of_a_hundred_files_goes_out_at_once(tmp_path: Path) -> None:
    """Nothing may slow the normal case: as many requests as it needs are let go in the same instant."""
    pacer = pacer_at(Clock(), tmp_path / "pace")

    waits = [pacer.ask(write=n > 3) for n in range(104)]

    assert waits == [0.0] * 104


def test_an_account_at_rest_hardly_touches_the_file(tmp_path: Path) -> None:
    """Between two looks a process lets requests go from memory alone."""
    clock, path = Clock(), tmp_path / "pace"
    pacer = pacer_at(clock, path)
    pacer.ask(write=True)
    path.unlink()

    for _ in range(UNASKED):
        pacer.ask(write=True)
        pacer.succeeded(write=True)

    assert not path.exists()


def test_what_one_process_was_refused_stops_the_others(tmp_path: Path) -> None:
    """A refusal is paid for once: whoever comes next waits for the probe, and a new process too."""
    clock, path = Clock(), tmp_path / "pace"
    first, second = pacer_at(clock, path), pacer_at(clock, path)
    second.ask(write=True)
    first.ask(write=True)
    first.refused(write=True, retry_after_s=20.0)
    clock.now += 1.0

    waits = [pacer.ask(write=True) for pacer in (first, second, pacer_at(clock, path))]

    assert waits == [19.0, 19.0, 19.0]


def test_one_probe_is_sent_and_its_success_lets_the_others_go(tmp_path: Path) -> None:
    """After the wait a single request finds out whether Drive lets in again."""
    clock, path = Clock(), tmp_path / "pace"
    first, second = pacer_at(clock, path), pacer_at(clock, path)
    first.ask(write=True)
    first.refused(write=True, retry_after_s=None)
    clock.now += 1.0

    probe, other = first.ask(write=True), second.ask(write=True)
    first.succeeded(write=True)
    after = second.ask(write=True)

    assert probe == 0.0
    assert other > 0.0
    assert after == 0.0


def test_a_read_that_is_let_in_ends_the_wait_of_the_writes(tmp_path: Path) -> None:
    """Reads and writes that were refused together don't each find out by themselves that it is over."""
    clock = Clock()
    pacer = pacer_at(clock, tmp_path / "pace")
    for write in (True, False):
        pacer.ask(write=write)
        pacer.refused(write=write, retry_after_s=None)
    clock.now += 1.0
    pacer.ask(write=True)
    pacer.refused(write=True, retry_after_s=None)
    before = pacer.ask(write=True)

    pacer.ask(write=False)
    pacer.succeeded(write=False)

    assert before > 0
    assert pacer.ask(write=True) == 0


def test_a_probe_that_died_with_its_process_is_replaced(tmp_path: Path) -> None:
    """A killed process holds nobody up for long."""
    clock, path = Clock(), tmp_path / "pace"
    killed, other = pacer_at(clock, path), pacer_at(clock, path)
    killed.ask(write=True)
    killed.refused(write=True, retry_after_s=None)
    clock.now += 1.0
    killed.ask(write=True)

    clock.now += 11.0

    assert other.ask(write=True) == 0.0


def test_after_quiet_minutes_bursts_go_out_again(tmp_path: Path) -> None:
    """A refusal is forgotten in steps: five minutes later the account counts as rested."""
    clock = Clock()
    pacer = pacer_at(clock, tmp_path / "pace")
    for _ in range(200):
        pacer.ask(write=True)
    pacer.refused(write=True, retry_after_s=None)
    clock.now += 1.0
    pacer.ask(write=True)
    pacer.succeeded(write=True)

    clock.now += 300.0

    assert [pacer.ask(write=True) for _ in range(100)] == [0.0] * 100


OLDER_FORMAT = b"""{"writes": {"rate": 1.0, "since": 1800000000.0, "blocked_until": 1800003000.0}, "requests": {}}"""
"""As releases up to 0.1 wrote it."""

NO_TEXT = b'[{"sin\xffce": 0.0}]'


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=st.binary(max_size=3000) | st.sampled_from([b"", b"{}", b"[]", b"null", b"[{}]", NO_TEXT, OLDER_FORMAT]))
def test_a_damaged_or_older_file_is_started_anew(damage: bytes, tmp_path: Path) -> None:
    """Whatever the file holds, requests go out, and the file is whole afterwards."""
    path = tmp_path / "pace"
    path.write_bytes(damage)

    wait_s = pacer_at(Clock(), path).ask(write=True)

    assert wait_s == 0.0
    assert [limit["state"] for limit in json.loads(path.read_bytes())] == ["free", "free"]


NUMBERS = st.integers(-(2**40), 2**62) | st.floats(allow_nan=False, allow_infinity=False) | st.just(START)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    state=st.sampled_from(["free", "blocked", "probing", "growing"]),
    changes=st.dictionaries(st.sampled_from(["since", "rate", "due", "told", "minute", "minute_at"]), NUMBERS),
    write=st.booleans(),
)
def test_wild_numbers_in_the_file_never_stop_an_account_for_long(
    state: str, changes: dict[str, float], write: bool, tmp_path: Path
) -> None:
    """A readable file with nonsense in it costs an hour's wait at most, and no error."""
    clock, path = Clock(), tmp_path / "pace"
    limit = {"state": state} | changes
    path.write_bytes(msgspec.json.encode([limit, limit]))
    pacer = pacer_at(clock, path)

    wait_s = pacer.ask(write=write)
    pacer.refused(write=write, retry_after_s=None)
    clock.now += 3600
    pacer.ask(write=write)
    pacer.succeeded(write=write)

    assert 0 <= wait_s <= 3700


@pytest.mark.parametrize("place", ["a folder", "no folder", "a link"])
def test_where_the_file_cannot_be_had_the_process_paces_itself(place: str, tmp_path: Path) -> None:
    """State that can't be kept must never stop an upload, nor be written through a link."""
    path = tmp_path / "state" / "pace"
    if place != "no folder":
        path.parent.mkdir()
    if place == "a folder":
        path.mkdir()
    if place == "a link":
        path.symlink_to(tmp_path / "target")
    clock = Clock()
    pacer = pacer_at(clock, path)

    before = pacer.ask(write=True)
    pacer.refused(write=True, retry_after_s=5.0)
    after = pacer.ask(write=True)

    assert (before, after) == (0.0, 5.0)
    assert not (tmp_path / "target").exists()


def test_a_clock_set_back_does_not_stop_the_account(tmp_path: Path) -> None:
    """Times that lie in the future come from another clock and are dropped."""
    clock, path = Clock(), tmp_path / "pace"
    pacer = pacer_at(clock, path)
    pacer.ask(write=True)
    pacer.refused(write=True, retry_after_s=60.0)

    clock.now -= 3600

    assert pacer.ask(write=True) == 0.0


def test_no_time_is_wasted_on_a_slot_after_the_deadline(tmp_path: Path) -> None:
    """Who can't be served in time is told at once, and when to come back."""
    clock = Clock()
    pacer = pacer_at(clock, tmp_path / "pace")
    pacer.acquire(write=True, deadline=Deadline.after(10))
    pacer.refused(write=True, retry_after_s=60.0)

    with pytest.raises(DeadlineExceeded) as caught:
        pacer.acquire(write=True, deadline=Deadline.after(10))

    assert caught.value.retry_after_s == pytest.approx(60.0)
    assert clock.now == START


def test_a_cancelled_deadline_ends_the_wait() -> None:
    """SIGTERM brings the deadline forward: a waiting thread notices within a second."""
    deadline, sleeps = Deadline.after(1000), []

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        deadline.cancel("The process was told to stop.")

    pacer = Pacer(None, sleep=sleep)
    pacer.acquire(write=False, deadline=deadline)
    pacer.refused(write=False, retry_after_s=60.0)

    with pytest.raises(DeadlineExceeded, match="told to stop"):
        pacer.acquire(write=False, deadline=deadline)

    assert sleeps == [1.0]


def test_threads_that_queue_behind_another_keep_their_deadlines() -> None:
    """A thread whose turn doesn't come gives up at its own deadline, not at that of the first in the queue."""
    clock, waiting, go_on = Clock(), threading.Event(), threading.Event()

    def sleep(seconds: float) -> None:
        waiting.set()
        go_on.wait(10)
        clock.sleep(seconds)

    pacer = Pacer(None, clock=clock, sleep=sleep)
    pacer.acquire(write=False, deadline=Deadline.after(100))
    pacer.refused(write=False, retry_after_s=None)
    first = threading.Thread(target=lambda: pacer.acquire(write=False, deadline=Deadline.after(100)))
    first.start()
    waiting.wait(10)

    with pytest.raises(DeadlineExceeded):
        pacer.acquire(write=False, deadline=Deadline.after(0.05))

    go_on.set()
    first.join(10)
    assert not first.is_alive()


PROCESS = """
import sys, threading, time
from pathlib import Path
from function.core.retry import Deadline
from function.core.errors import DeadlineExceeded
from function.pacing import Pacer

pacer, sent, seconds = Pacer(Path(sys.argv[1])), [], float(sys.argv[2])
print("ready", flush=True)
start = float(sys.stdin.readline())

def send():
    deadline = Deadline.after(start + seconds - time.time())
    try:
        while True:
            pacer.acquire(write=True, deadline=deadline)
            sent.append(time.time())
            pacer.succeeded(write=True)
    except DeadlineExceeded:
        pass

time.sleep(max(0, start - time.time()))
threads = [threading.Thread(target=send) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(sent))
"""


def test_real_processes_and_threads_share_a_rate(tmp_path: Path) -> None:
    """Three processes of four threads, for some seconds: together they keep the pace, and all get on."""
    path, rate, seconds = tmp_path / "pace", 60.0, 5.0
    command = [sys.executable, "-c", PROCESS, str(path), str(seconds)]
    processes = [subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) for _ in range(3)]
    assert [process.stdout.readline() for process in processes if process.stdout] == ["ready\n"] * 3

    start = time.time() + 0.2
    path.write_bytes(msgspec.json.encode([RateLimit(), RateLimit("growing", since=start, rate=rate, due=start)]))
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{start}\n")
        process.stdin.flush()
    sent = [int(process.communicate(timeout=30)[0]) for process in processes]

    assert sum(sent) <= 1.1 * rate * seconds + 3
    assert min(sent) >= 1
