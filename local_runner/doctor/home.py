"""What lies in the home: the local zone, and the log."""

import os
from collections.abc import Iterator

from function.home.settings import Settings
from local_runner.doctor.findings import Finding, fail, ok, warn
from local_runner.log import reader


def check_data(settings: Settings) -> Finding:
    """Whether the local zone is there."""
    root = settings.data_root
    if not root.is_dir():
        return fail("data", f"{root}: no such folder", "make it, or set data_root")
    if not os.access(root, os.R_OK | os.X_OK):
        return fail("data", f"{root}: can't be read", f"make it readable for user id {os.geteuid()}")
    return ok("data", f"{root} is the local zone")


def check_log(settings: Settings) -> Iterator[Finding]:
    """Whether the log is one, and whole."""
    log = settings.log
    try:
        count = sum(1 for _ in reader.entries(log))
        torn = reader.torn_lines(log)
    except reader.NotALog as error:
        yield fail("log", str(error), "the next upload sets it aside and begins a new one; or restore it")
        return
    if not log.exists():
        yield ok("log", f"{log}: nothing was uploaded yet")
    elif torn:
        yield warn(
            "log",
            f"{log}: {count} entries, {torn} torn line(s)",
            "the next upload mends those at the log's end; mend or remove others by hand",
        )
    else:
        yield ok("log", f"{log}: {count} entries")
    for aside in sorted(log.parent.glob(f"{log.name}.damaged-*")):
        yield warn("log", f"{aside}: a damaged log was set aside", "move what is good in it to where you keep it")
