"""Racers without shared state, many times: `python -m tests.crash.races [--runs 20] [--workers N]`.

Two or four homes, one Drive, the same paths at the same moment, while `files.create` takes its time: single files and
batches, equal and other contents, into a folder that all know and into one that each would make. Prints each race
that left more, less or other than one file of each content under a name of its own. Exit code 1 then.
"""

import argparse
import itertools
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from tests.crash.world import Station

DELAYS_MS = (0, 15, 30, 60, 120, 500, 2500)


@dataclass(frozen=True, slots=True)
class Race:
    """What meets in one race."""

    delay_ms: int
    """How long each create takes."""
    homes: int
    is_equal: bool
    """The racers bring one content."""
    files: int
    knows_folder: bool


RACES = [Race(*each) for each in itertools.product(DELAYS_MS, (2, 4), (True, False), (1, 3), (True, False))]


def run(race: Race) -> str | None:
    """Run the race; what is wrong with its end, or None."""
    with Station() as station, station.world(homes=race.homes) as world:
        names = [f"raced{number}.txt" for number in range(race.files)]
        for number, home in enumerate(world.homes):
            if race.knows_folder:
                home.put("Meta/earlier.txt", b"earlier")
                world.run({"path": "Data/Meta/earlier.txt"}, home=home)
            for name in names:
                home.put(f"Meta/{name}", b"one content" if race.is_equal else b"content %d" % number)
        if race.delay_ms:
            world.drive.faults.add({"on": "files.create", "do": "delay", "ms": race.delay_ms, "times": 100})
        payload = {"files": [{"path": f"Data/Meta/{name}"} for name in names]}
        ended = world.at_once([world.invocation(payload, home=home) for home in world.homes])
        live = [each for each in world.files() if not each["trashed"]]
    raced = [each["path"] for each in live if each["size"] is not None and "raced" in each["name"]]
    folders = [each["path"] for each in live if each["size"] is None]
    wanted = race.files * (1 if race.is_equal else race.homes)
    codes = [each.code for each in ended]
    if len(raced) == wanted == len(set(raced)) and len(folders) == len(set(folders)) and set(codes) == {200}:
        return None
    return f"{race}: {sorted(raced)}, folders {sorted(folders)}, answers {codes}"


def main() -> int:
    """Run every race so many times."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.races", description="Racers without shared state.")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args()
    started, wrong = time.monotonic(), 0
    with ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn")) as pool:
        for number in range(options.runs):
            for found in filter(None, pool.map(run, RACES)):
                wrong += 1
                print(found)
            done = (number + 1) * len(RACES)
            print(f"{done} races, {wrong} wrong, {time.monotonic() - started:.0f} s", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
