"""The crash matrix from a command line: `python -m tests.crash [--full] [--scenario NAME] [--row TEXT]`.

Prints each scenario with the number of its rows, and every row after which the promise is broken. Exit code 1 then.
"""

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.crash.matrix import part
from tests.crash.scenarios import SCENARIOS


def main() -> int:
    """Run the matrix."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description="Strike every event of every scenario.")
    parser.add_argument("--full", action="store_true", help="every row; otherwise those that `make test` tries")
    parser.add_argument("--scenario", choices=list(SCENARIOS), help="only this one")
    parser.add_argument("--row", default="", help="only rows whose text contains this")
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args()
    names = [options.scenario] if options.scenario else list(SCENARIOS)
    parts = [(name, options.full, options.row, at, options.workers) for name in names for at in range(options.workers)]
    started, failures = time.monotonic(), 0
    with ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn")) as pool:
        for name, count, broken in pool.map(part, *zip(*parts, strict=True)):
            failures += len(broken)
            print(f"{name}: {count} rows, {len(broken)} broken", flush=True)
            for line in broken:
                print(f"  {line}")
    print(f"{time.monotonic() - started:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
