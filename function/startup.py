"""What a process of the job does before it imports anything else, and how it keeps its memory small."""

import gc
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any


def leave_out_working_folder() -> None:
    """Import nothing from the working folder, unless it is where this package itself is.

    `python -m` puts it first on the module path, and with it whatever lies there: `click.py`, say.
    """
    try:
        here = os.getcwd()
    except FileNotFoundError:  # it was removed
        here = ""
    ours = Path(__file__).resolve().parent.parent
    if not here or Path(here).resolve() != ours:
        sys.path[:] = [each for each in sys.path if each not in ("", here)]


def restart_in_utf8() -> None:
    """Start this program again in Python's UTF-8 mode where the locale is another one.

    Names of files are UTF-8, whatever the locale says: the same file has the same name on Drive from every host. Bytes
    that aren't are kept (surrogateescape).
    """
    if sys.getfilesystemencoding() != "utf-8":
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - itself


class _Output(io.FileIO):
    """A standard stream that takes what it is given, and drops it from the first error on."""

    lost: OSError | None = None

    def write(self, data: Any) -> int:
        if self.lost is None:
            try:
                return super().write(data)
            except OSError as error:
                self.lost = error
        return len(data)


def outlive_output() -> None:
    """Let no reader that has gone, no full disk and no closed stream stop what is being done.

    A standard stream that is closed is put on /dev/null: the next file opened would take its place, and what is printed
    go into it. Names that the terminal can't show are escaped.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or open(0, encoding="utf-8")  # noqa: SIM115 - it stays open
    sys.stdout, sys.stderr = _stream(1, sys.stdout), _stream(2, sys.stderr)


def _stream(fd: int, before: Any) -> io.TextIOWrapper:
    raw = _Output(fd, "wb", closefd=False)
    encoding = before.encoding if before else "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=fd == 2 or raw.isatty()
    )


def lost_output() -> OSError | None:
    """Why a part of what was printed on standard output is nowhere."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.lost if isinstance(raw, _Output) else None


def collect_garbage_rarely() -> None:
    """Let the garbage collector run once in 50,000 new objects that may be in cycles, instead of once in 700.

    Imports and uploads make many objects and hardly a cycle: the collector took a tenth of the processor's time.
    """
    gc.set_threshold(50_000, 20, 20)


_M_MMAP_THRESHOLD, _LARGE_BYTES = -3, 128 * 1024
"""Source: mallopt(3)."""


def give_memory_back() -> None:
    """Let glibc give each large block back to the system when it is freed, as it does at first.

    With every such block it raises what is large, up to 32 MB. What payloads are made of comes from a heap for each
    thread then, where small objects break up what is freed: a server grew with every large call.
    """
    import ctypes  # only a server needs it

    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
