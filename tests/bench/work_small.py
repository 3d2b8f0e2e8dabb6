"""Rows of small files: one, a hundred, again, larger ones, a thousand over new folders; and two accounts."""

import contextlib
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import requests

from tests.bench import contenders
from tests.bench.contenders import Server, serving
from tests.bench.rows import Bar, Player, Row, medians
from tests.bench.stage import Figures, Room, Stage

SMALL_BYTES = 10_000

MEGABYTE = 1_000_000

LATENCY_MS = 100.0

PEERS = (contenders.RCLONE, contenders.RCLONE_TUNED, contenders.API_CLIENT, contenders.PYDRIVE2)

Seat = tuple[Player, Room]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of everything: `quick` for a look, the whole for the docs."""

    quick: bool
    runs: int


def one_file(stage: Stage, effort: Effort) -> list[Row]:
    """One new small file in a known folder, each time by a fresh process."""
    seats: list[Seat] = [(each, stage.room()) for each in (contenders.ONE_OFF, *PEERS)]
    found = medians(_turns(stage, seats, effort.runs, "One", 1))
    ours, rclone = found[contenders.ONE_OFF.name], found[contenders.RCLONE.name]
    bars = [
        Bar("requests of one new file, fresh process", ours.requests or 0, 3),
        Bar("one file, process start to exit, against rclone", ours.wall_s / rclone.wall_s, 0.85),
    ]
    return [
        Row(
            "One new file of 10 KB, by a fresh process", "100 ms latency; the folder is there", found, bars, effort.runs
        )
    ]


def one_file_warm(stage: Stage, effort: Effort) -> list[Row]:
    """One new small file through HTTP to a server that runs; against bare requests."""
    room, careful = stage.room(), stage.room(if_exists="skip")
    with serving(room) as server, serving(careful) as looking:
        plain = Server(server.process, server.port, "Drive Upload, HTTP, keep_both")
        looks_first = Server(looking.process, looking.port, "Drive Upload, HTTP, skip")
        seats: list[Seat] = [(plain, room), (looks_first, careful), (BareRequests(2), room)]
        found = medians(_turns(stage, seats, 3 * effort.runs, "Warm", 1, same_folder=True))
    ours, two = found[plain.name], found[BareRequests(2).name].wall_s
    bars = [
        Bar("requests of one new file, warm", ours.requests or 0, 2),
        Bar("quota units of one new file, warm", ours.units or 0, 155),
        Bar("one file, warm, against two serial requests", ours.wall_s / two, 1.15),
    ]
    return [Row("One new file of 10 KB, warm", "100 ms latency; POST to the answer", found, bars, 3 * effort.runs)]


def hundred(stage: Stage, effort: Effort) -> list[Row]:
    """100 small files into a folder that is there, then the same again."""
    with _with_server(stage) as (server, room):
        ours: list[Seat] = [(server, room), (contenders.BATCH, stage.room())]
        tools: list[Seat] = [(contenders.RCLONE_TUNED, stage.room())]
        tools += [] if effort.quick else [(contenders.RCLONE, stage.room())]
        scripts: list[Seat] = [(contenders.API_CLIENT, stage.room()), (contenders.PYDRIVE2, stage.room())]
        again: dict[str, list[Figures]] = defaultdict(list)
        samples = _turns(stage, [*ours, *tools], effort.runs, "Hundred", 100, again=again)
        if not effort.quick:
            samples |= _turns(stage, scripts, 1, "Hundred", 100)
    found, unchanged = medians(samples), medians(again)
    both = [server.name, contenders.BATCH.name]
    bars = [
        Bar("requests of 100 files into one folder", max(found[name].requests or 0 for name in both), 104),
        *(
            Bar(
                f"100 files against rclone's best flags: {name}",
                found[name].wall_s / found[contenders.RCLONE_TUNED.name].wall_s,
                most,
            )
            for name, most in zip(both, (0.4, 0.6), strict=True)
        ),
    ]
    again_bars = [Bar("requests of 100 unchanged files", max(unchanged[name].requests or 0 for name in both), 0)]
    return [
        Row("100 new files of 10 KB into one folder", "100 ms latency; scripts once", found, bars, effort.runs),
        Row("The same 100 files again, unchanged", "100 ms latency", unchanged, again_bars, effort.runs),
    ]


def megabytes(stage: Stage, effort: Effort) -> list[Row]:
    """100 files that each still go in one request, and fill the memory together."""
    with _with_server(stage) as (server, room):
        seats: list[Seat] = [(server, room), (contenders.BATCH, stage.room()), (contenders.RCLONE_TUNED, stage.room())]
        found = medians(_turns(stage, seats, effort.runs, "Megabytes", 100, file_bytes=MEGABYTE))
    return [Row("100 new files of 1 MB into one folder", "100 ms latency", found, [], effort.runs)]


def thousand(stage: Stage, effort: Effort) -> list[Row]:
    """1,000 small files over 50 new folders."""
    with _with_server(stage) as (server, room):
        seats: list[Seat] = [(server, room)]
        if not effort.quick:
            seats += [(contenders.BATCH, stage.room()), (contenders.RCLONE_TUNED, stage.room())]
        found = medians(_turns(stage, seats, 1, "Thousand", 1000, folders=50))
    bars = [Bar("requests of 1,000 files over 50 new folders", found[server.name].requests or 0, 1110)]
    return [Row("1,000 new files of 10 KB over 50 new folders", "100 ms latency", found, bars)]


def accounts(stage: Stage, effort: Effort) -> list[Row]:
    """100 files to one account, and to two."""
    names = ("one account", "two accounts")
    with contextlib.ExitStack() as stack:
        seats: list[Seat] = []
        for name, count in zip(names, (1, 2), strict=True):
            room = _room_of(stage, count)
            server = stack.enter_context(serving(room))
            seats.append((Server(server.process, server.port, f"Drive Upload, HTTP, {name}"), room))
        found = medians(_turns(stage, seats, 3 * effort.runs, "Both", 100))
    one, two = (found[f"Drive Upload, HTTP, {name}"].wall_s for name in names)
    bars = [Bar("two accounts against one", two / one, 1.2)]
    return [Row("100 new files of 10 KB to each account", "100 ms latency", found, bars, 3 * effort.runs)]


def _room_of(stage: Stage, accounts: int) -> Room:
    tokens = {f"account-{number}": {"token": f"token-{number}.json"} for number in range(accounts)}
    room = stage.room(accounts=tokens)
    for name, each in tokens.items():
        (room.folder / each["token"]).write_text(
            json.dumps(stage.new_account(f"{room.folder.name}-{name}@example.com"))
        )
    return room


@contextlib.contextmanager
def _with_server(stage: Stage) -> Iterator[tuple[Server, Room]]:
    room = stage.room()
    with serving(room) as server:
        yield server, room


def _turns(
    stage: Stage,
    seats: Sequence[Seat],
    runs: int,
    name: str,
    count: int,
    *,
    file_bytes: int = SMALL_BYTES,
    folders: int = 0,
    same_folder: bool = False,
    again: dict[str, list[Figures]] | None = None,
) -> dict[str, list[Figures]]:
    """All contenders in turn, as often as asked. The folder is there beforehand, unless new `folders` are asked for."""
    samples: dict[str, list[Figures]] = defaultdict(list)
    for run in range(runs):
        for player, room in seats:
            folder = f"Data/{name}{0 if same_folder else run}"
            stage.weather(latency_ms=0)
            if folders:
                parts = [f"{folder}/Part{part}" for part in range(folders)]
                files = [path for part in parts for path in room.files(part, count // folders, file_bytes)]
            else:
                player.play(stage, room, folder, room.files(folder, 1, SMALL_BYTES))
                files = room.files(folder, count, file_bytes)
            stage.weather(latency_ms=LATENCY_MS)
            samples[player.name].append(player.play(stage, room, folder, files))
            if again is not None:
                again[player.name].append(player.play(stage, room, folder, files))
    return samples


@dataclass(frozen=True, slots=True)
class BareRequests:
    """A contender that only waits: a create, or a listing before it, on an open connection."""

    count: int

    @property
    def name(self) -> str:
        """What the tables call it."""
        return "a bare create" if self.count == 1 else "a bare listing, then a bare create"

    def play(self, stage: Stage, room: Room, folder: str, files: Sequence[str]) -> Figures:
        """Time the requests, the connection opened before."""
        with requests.Session() as session:
            session.headers["authorization"] = f"Bearer {stage.token['token']}"
            session.get(f"{stage.url}/", timeout=60)
            start = time.perf_counter()
            if self.count > 1:
                listing = {"q": "name = 'absent' and 'root' in parents", "fields": "files(id)"}
                session.get(f"{stage.url}/drive/v3/files", params=listing, timeout=60).raise_for_status()
            session.post(f"{stage.url}/drive/v3/files?fields=id", json={"name": "bare"}, timeout=60).raise_for_status()
            return Figures(time.perf_counter() - start)
