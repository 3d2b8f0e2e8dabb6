"""What a process of the job does before it imports anything else."""

import gc
import os
import sys
from pathlib import Path


def leave_out_working_folder() -> None:
    """Import nothing from the working folder, unless it is where this package itself is.

    `python -m` puts it first on the module path, and with it whatever lies there: `click.py`, say.
    """
    here = Path.cwd()
    ours = Path(__file__).resolve().parent.parent
    if here.resolve() != ours:
        sys.path[:] = [each for each in sys.path if each not in ("", os.fspath(here))]


def collect_garbage_rarely() -> None:
    """Let the garbage collector run once in 50,000 new objects that may be in cycles, instead of once in 700.

    Imports and uploads make many objects and hardly a cycle: the collector took a tenth of the processor's time.
    """
    gc.set_threshold(50_000, 20, 20)
