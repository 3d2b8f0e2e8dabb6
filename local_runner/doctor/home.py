"""What lies in the home: the data root, and the log."""

import os
from collections.abc import Iterator
from pathlib import Path

from function.home.settings import Settings
from local_runner.client.in_time import Moved
from local_runner.doctor.findings import Finding, fail, ok, warn
from local_runner.log import reader


def check_data(settings: Settings) -> Finding:
    """Whether the data root is there."""
    root = settings.data_root
    try:
        is_folder = root.is_dir()
    except OSError as error:
        mend = f"let user id {os.geteuid()} enter the folders that it lies in, or set data_root"
        return fail("data", f"{root}: can't be looked at ({error.strerror})", mend)
    if not is_folder:
        return fail("data", f"{root}: no such folder", "make it, or set data_root")
    if not os.access(root, os.R_OK | os.X_OK):
        return fail("data", f"{root}: can't be read", f"make it readable for user id {os.geteuid()}")
    if inside := [path.name for path in _own_files(settings) if _lies_in(path, root)]:
        return warn(
            "data",
            f"{root} is the data root, with {', '.join(inside)} in it: never uploaded, but what lies beside is",
            "set data_root to a folder that holds nothing but what is to be uploaded",
        )
    return ok("data", f"{root} is the data root")


def _own_files(settings: Settings) -> Iterator[Path]:
    """What a data root that is the home, or holds it, has in it; a token that is elsewhere can lie in it, too."""
    yield from (settings.paths_json, settings.log, settings.state_folder)
    yield from (each.token for each in settings.accounts if not each.is_application_default)


def _lies_in(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def check_log(settings: Settings, moved: Moved) -> Iterator[Finding]:
    """Whether the log is one, and whole."""
    log = settings.log
    count = torn = 0
    try:
        for found in reader.contents(log):
            moved()
            count, torn = count + (found or 0), torn + (found is None)
    except reader.Unreadable as error:
        yield fail("log", str(error), f"make {log} and {log.parent} readable for user id {os.geteuid()}")
        return
    except reader.NotALog as error:
        closed = "restore it, or move it out of the log's folder: no upload writes to a closed log"
        current = "the next upload sets it aside and begins a new one; or restore it"
        yield fail("log", str(error), current if error.path == log else closed)
        return
    if torn:
        yield warn(
            "log",
            f"{log}: {count} entries, {torn} torn line(s)",
            "the next upload mends those in the current log's first 64 KB and last 4 MB; mend or remove others, "
            "and a closed log's, by hand",
        )
    elif not count and not log.exists():
        yield ok("log", f"{log}: nothing was uploaded yet")
    else:
        yield ok("log", f"{log}: {count} {'entry' if count == 1 else 'entries'}")
    for aside in sorted(log.parent.glob(f"{log.name}.damaged-*")):
        yield warn("log", f"{aside}: a damaged log was set aside", "move what is good in it to where you keep it")
