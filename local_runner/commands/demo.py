"""The command `demo`: a whole upload without a Google account, as `make demo` runs it.

    embedded Drive (this process)  ◀── HTTP ──  function (a process of its own)  ◀── HTTP ──  this command

The demo has a home of its own, `.demo/`, which stays: a second demo finds everything uploaded and does nothing twice.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from rich.console import Console

from function.state import files
from local_runner.client import invoke
from local_runner.client.embedded import EmbeddedFailed, embedded_drive
from local_runner.client.find_files import LeftOut, find
from local_runner.client.function_process import PROJECT, FunctionFailed, function_process
from local_runner.client.invoke import Entry
from local_runner.client.over_http import over_http
from local_runner.client.tally import Tally
from local_runner.drive_emulator import DriveEmulator
from local_runner.terminal.result_table import show
from local_runner.terminal.screen import cell, output, size_cell, table

FOLDER_TYPE = "application/vnd.google-apps.folder"

EX_DATAERR = 65


EXAMPLES = """\b
Examples:
  drive-upload demo
  drive-upload demo --data Data

Exit codes: 0 done, 64 wrong usage, 65 something failed for good, 75 try again later.
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".demo"),
    show_default=True,
    help="Where the demo lives.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=next(each for each in (PROJECT / "local_runner/sample_data", PROJECT / "Data") if each.exists()),
    help="What goes up (default: the sample files of the project).",
)
def demo(home: Path, data: Path) -> None:
    """Upload the sample Data/ to an embedded Google Drive, through real HTTP."""
    started = time.monotonic()
    _prepare(home, data)
    environment = _own_environment(home)
    console = output()
    with embedded_drive(environment) as embedded, open(home / "function.log", "a", encoding="utf-8") as log:
        console.print(f"Embedded Google Drive   {embedded.drive.url}   kept in {_short(embedded.folder)}", markup=False)
        try:
            with function_process(environment | embedded.environment, log=log) as running:
                console.print(
                    f"Drive Upload function   {running.url}   its log: {_short(home / 'function.log')}\n", markup=False
                )
                entries, left_out = _upload(running.url, home)
        except FunctionFailed as error:
            raise FunctionFailed(f"{error.message} Its log: {home / 'function.log'}") from error
        told = Tally()
        for entry in entries:
            told.add(entry)
        show(told, left_out, console, time.monotonic() - started)
        is_good = _show_drive(embedded.drive, entries, home, console)
    code = told.exit_code(left_out)
    sys.exit(code if code or is_good else EX_DATAERR)


def _prepare(home: Path, data: Path) -> None:
    """Make the demo's home: settings, and a link to the sample files.

    Raises UsageError where a real home is, EmbeddedFailed where nothing can be written.
    """
    link = home / "Data"
    if link.exists() and not link.is_symlink():
        raise click.UsageError(f"--home: {home} has files of its own in Data/; let the demo live in another folder.")
    try:
        home.mkdir(parents=True, exist_ok=True)
        files.replace(home / "paths.json", b'{"drive_root": "MemoryVDB"}\n')
        open(home / "function.log", "a", encoding="utf-8").close()
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(data.resolve(), home.resolve()))
    except OSError as error:
        raise EmbeddedFailed(
            f"{home.absolute()}: the demo can't be kept there ({error.strerror}); make room or let it be written to,"
            " or name another folder with --home."
        ) from error


def _own_environment(home: Path) -> dict[str, str]:
    """The environment without what points the job elsewhere."""
    foreign = ("DRIVE_UPLOAD_", "DRIVE_EMULATOR_HOST", "FUNCTION_")
    for name in [each for each in os.environ if each.startswith(foreign)]:
        del os.environ[name]
    return {"DRIVE_UPLOAD_PATHS": str(home.absolute() / "paths.json")}


def _upload(url: str, home: Path) -> tuple[list[Entry], list[LeftOut]]:
    home = home.absolute()
    found = find(["Data"], home, home, home / "Data")
    requests = [{"path": path, "metadata": {"source": "make demo"}} for path in found.files]
    call = over_http(url, {}, home)
    return list(invoke.upload_all(call, requests, lambda *_: None, lambda: False)), found.left_out


def _show_drive(drive: DriveEmulator, entries: Iterable[Entry], home: Path, console: Console) -> bool:
    """What the Drive itself says it holds; whether that is what the answer said, each content once."""
    held = [each for each in drive.files() if not each["trashed"]]
    files = sorted((each for each in held if each["mimeType"] != FOLDER_TYPE), key=lambda each: str(each["path"]))
    rows = table("the Drive holds", "size", "MD5", right=("size",), fold=("the Drive holds",))
    for each in files:
        rows.add_row(cell(each["path"]), size_cell(each["size"]), cell(each["md5Checksum"]))
    console.print()
    console.print(rows)
    wrong = list(_differences(entries, files, home))
    for sentence in wrong:
        console.print(sentence, style="bold red", markup=False)
    if not wrong:
        folders = len(held) - len(files)
        console.print(
            f"{len(files)} files in {folders} folders: every file is there once, byte for byte.", markup=False
        )
        console.print("Run it again: everything is `unchanged`, and nothing is on the Drive twice.", markup=False)
    return not wrong


def _differences(entries: Iterable[Entry], files: Iterable[dict[str, object]], home: Path) -> Iterator[str]:
    by_path: dict[object, list[object]] = {}
    for each in files:
        by_path.setdefault(each["path"], []).append(each["md5Checksum"])
    for entry in entries:
        if entry["status"] == "failed":
            continue
        stored = by_path.get(entry["destination"], [])
        with open(home / str(entry["path"]), "rb") as file:
            expected = hashlib.file_digest(file, "md5").hexdigest()
        if stored != [expected]:
            yield f"{entry['destination']}: the Drive holds {json.dumps(stored)} instead of [{expected}] there."


def _short(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
