"""The campaign from a command line: `python -m tests.chaos [--schedules 10000] [--seed N] [--only NUMBER]`.

Prints the seed, and each schedule that breaks the promise with what broke. Exit code 1 then.
"""

import argparse
import multiprocessing
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat

from tests.chaos.campaign import campaign
from tests.chaos.schedule import schedule

PART = 50
"""Schedules in a row by one worker."""


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Faults, kills and races by the seed.")
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--only", type=int, help="only the schedule of this number")
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    numbers = list(range(options.schedules)) if options.only is None else [options.only]
    parts = [numbers[start : start + PART] for start in range(0, len(numbers), PART)]
    started, done, failures = time.monotonic(), 0, 0
    with ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn")) as pool:
        for part, broken in zip(parts, pool.map(campaign, repeat(options.seed), parts), strict=True):
            done += len(part)
            failures += len(broken)
            for number, found in broken:
                print(f"--seed {options.seed} --only {number} breaks the promise:\n{schedule(options.seed, number)}")
                print("\n".join(f"  {each}" for each in found))
            print(f"{done} schedules, {failures} broken, {time.monotonic() - started:.0f} s", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
