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


def restart_in_utf8() -> None:
    """Start this program again in Python's UTF-8 mode where the locale is another one.

    Names of files are UTF-8, whatever the locale says: the same file has the same name on Drive from every host. Bytes
    that aren't are kept (surrogateescape).
    """
    if sys.getfilesystemencoding() != "utf-8":
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - itself


def collect_garbage_rarely() -> None:
    """Let the garbage collector run once in 50,000 new objects that may be in cycles, instead of once in 700.

    Imports and uploads make many objects and hardly a cycle: the collector took a tenth of the processor's time.
    """
    gc.set_threshold(50_000, 20, 20)
