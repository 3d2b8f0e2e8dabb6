"""A hostile afternoon: `python -m tests.hostile [--payloads N] [--inputs N] [--files N] [--seed S] [--workers N]`.

`--only PART:NUMBER` runs one case of the seed.
Three parts: odd requests to the served function, damaged files of a home, a queue amid Drive's odd answers and kills.
Prints the seed, and each case that goes wrong, with its number. Exit code 1 then.
"""

import argparse
import multiprocessing
import random
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat

from tests.hostile.calls import Broken, requests_of
from tests.hostile.damage import damages_of
from tests.hostile.deliveries import WORLD_FILES, worlds_of


@dataclass(frozen=True, slots=True)
class Part:
    """One of the three."""

    name: str
    run: Callable[[int, Sequence[int]], list[Broken]]
    """Seed and numbers -> what was wrong, by number."""
    in_a_row: int
    """Cases by one worker."""
    each: int = 1
    """How many of what is counted are in a case."""


PARTS = [
    Part("payloads", requests_of, in_a_row=1000),
    Part("inputs", damages_of, in_a_row=100),
    Part("files", worlds_of, in_a_row=1, each=WORLD_FILES),
]


def main() -> int:
    """Run the afternoon."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description="Odd requests, files and answers.")
    parser.add_argument("--payloads", type=int, default=100_000, help="requests to the served function")
    parser.add_argument("--inputs", type=int, default=10_000, help="damaged files")
    parser.add_argument("--files", type=int, default=1000, help="files that go through a queue")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--only", metavar="PART:NUMBER", help="only that case, as in inputs:49")
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    only, _, number = (options.only or "").partition(":")
    failures = 0
    with ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn")) as pool:
        for part in PARTS:
            count = -(-getattr(options, part.name) // part.each)
            numbers = range(count) if not only else [int(number)] if only == part.name else []
            failures += _run(pool, part, options.seed, numbers)
    return 1 if failures else 0


def _run(pool: ProcessPoolExecutor, part: Part, seed: int, numbers: Sequence[int]) -> int:
    """How many cases of the part went wrong."""
    started, done, failures = time.monotonic(), 0, 0
    rows = [numbers[start : start + part.in_a_row] for start in range(0, len(numbers), part.in_a_row)]
    for row, broken in zip(rows, pool.map(part.run, repeat(seed), rows), strict=False):
        done += len(row) * part.each
        failures += len(broken)
        for number, found in broken:
            print(f"--seed {seed} --only {part.name}:{number}", *found, sep="\n  ")
        print(f"{done} {part.name}, {failures} cases wrong, {time.monotonic() - started:.0f} s", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(main())
