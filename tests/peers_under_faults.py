"""The same faults for every uploader: twins, losses and bytes sent again, `python -m tests.peers_under_faults`.

Each contender uploads one file into a new folder, and is run once more when it failed or was killed, as a person or a
queue would. Prints the table; `--write` puts it into docs/exactly-once.md, too, and `--only TEXT` takes the rows that
name it. Every contender runs as it comes; rclone at its defaults.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.bench.contenders import API_CLIENT, ONE_OFF, PYDRIVE2, RCLONE, Contender
from tests.bench.stage import PROJECT, Room, Stage, stage

SMALL, LARGE = 10_000, 24 * 1024 * 1024

TIMEOUT_S = 60.0
"""A contender that takes longer hangs."""

RUNS_MAX = 3

RACES = 5
"""A race ends now so, now so: of so many the worst is told."""

HEAD = f"""# The same faults, every uploader

Made by `python -m tests.peers_under_faults --write`: one new file into a new folder of the embedded Drive. Who failed,
hung or was killed is run again, twice at the most. Two at once run {RACES} races, and the worst is told.
"once" is what was wanted: one file, right, in one chain of folders, its bytes sent once. The scripts are what their
READMEs show, rclone runs at its defaults.
"""

CONTENDERS = [ONE_OFF, RCLONE, API_CLIENT, PYDRIVE2]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens while a file of that size goes up."""

    name: str
    size: int
    faults: Sequence[dict[str, Any]] = ()
    kill_after_s: float | None = None
    at_once: int = 1


LOST_FOLDER = [{"on": each, "do": "lose_answer"} for each in ("files.create", "files.insert")]

TROUBLES = [
    Trouble("nothing goes wrong", SMALL),
    Trouble("the answer to the upload is lost", SMALL, [{"path": "/upload/", "do": "lose_answer"}]),
    Trouble("the answer to a folder's creation is lost", SMALL, LOST_FOLDER),
    Trouble(
        "the answer to a large file's last bytes is lost", LARGE, [{"on": "upload.send", "nth": 1, "do": "lose_answer"}]
    ),
    Trouble(
        "the connection breaks in a large file",
        LARGE,
        [{"on": "upload.send", "do": "reset_in_body", "after_bytes": 6 << 20}],
    ),
    Trouble(
        "killed in the middle of a large file",
        LARGE,
        [{"on": "upload.send", "do": "slow_body", "ms": 6000, "times": 9}],
        3.5,
    ),
    Trouble("two start at once, folder and file new", SMALL, at_once=2),
]


@dataclass(frozen=True, slots=True)
class Result:
    """What stood on Drive afterwards, and what it took."""

    files: int
    right: int
    folders: int
    sent_bytes: int
    runs: int
    ended_well: bool

    @property
    def badness(self) -> tuple[bool, bool, int, int, int]:
        """What is worse compares as more."""
        return not self.right, not self.ended_well, self.files, self.folders, self.sent_bytes

    def told(self, size: int) -> str:
        """A cell of the table."""
        said = []
        if not self.right:
            said.append("**lost**")
        if self.files > 1:
            said.append(f"**{self.files} files**")
        if self.folders > 2:
            said.append(f"**{self.folders} folders**")
        if self.sent_bytes > 1.1 * size:  # what a multipart body adds is not sent again
            said.append(f"{self.sent_bytes / size:.1f} x the bytes")
        if not self.ended_well:
            said.append("never ended well")
        return (", ".join(said) or "once") + (f" ({self.runs} runs)" if self.runs > 1 else "")


def worst(contender: Contender, trouble: Trouble, running: Stage) -> Result:
    """How one contender ends in one trouble; of a race, how it ends at its worst."""
    rounds = RACES if trouble.at_once > 1 else 1
    return max((endure(contender, trouble, running) for _ in range(rounds)), key=lambda each: each.badness)


def endure(contender: Contender, trouble: Trouble, running: Stage) -> Result:
    """One contender through one trouble, in a room of its own; run again as long as it fails, twice at the most."""
    room = running.room()
    paths = room.files("Data/Zone", 1, trouble.size)
    command = contender.command(room, "Data/Zone", paths)
    running.forget()
    if trouble.faults:
        requests.post(f"{running.url}/emulator/faults", json=list(trouble.faults), timeout=60).raise_for_status()
    ended = _run([command] * trouble.at_once, room, trouble.kill_after_s)
    requests.delete(f"{running.url}/emulator/faults", timeout=60).raise_for_status()
    runs = 1
    while not ended and runs < RUNS_MAX:
        ended, runs = _run([command], room, None), runs + 1
    return _seen(running, room, paths[0], runs, ended)


def _run(commands: Sequence[Sequence[str]], room: Room, kill_after_s: float | None) -> bool:
    """Whether all of them ended well; a process that is killed, or hangs, did not."""
    processes = [
        subprocess.Popen(
            each, env=dict(room.environ), cwd=room.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for each in commands
    ]
    codes = []
    for process in processes:
        try:
            codes.append(process.wait(kill_after_s or TIMEOUT_S))
        except subprocess.TimeoutExpired:
            process.kill()
            codes.append(process.wait())
    return not any(codes)


def _seen(running: Stage, room: Room, path: str, runs: int, ended_well: bool) -> Result:
    stored = [each for each in requests.get(f"{running.url}/emulator/files", timeout=60).json() if not each["trashed"]]
    ours = [
        each for each in stored if each["path"].startswith(f"{room.folder.name}/") or each["path"] == room.folder.name
    ]
    content = (room.folder / path).read_bytes()
    files = [each for each in ours if each["name"] == path.rpartition("/")[2]]
    right = [each for each in files if each["md5Checksum"] == hashlib.md5(content, usedforsecurity=False).hexdigest()]
    folders = [each for each in ours if each["mimeType"] == "application/vnd.google-apps.folder"]
    sent = sum(each["bytes_in"] for each in _settled(running) if each["bytes_in"] >= SMALL)
    return Result(len(files), len(right), len(folders), sent, runs, ended_well)


def _settled(running: Stage) -> list[dict[str, Any]]:
    """The records of all requests, once those of killed processes have ended too."""
    deadline = time.monotonic() + TIMEOUT_S
    while not all(each["duration_ms"] or each["method_id"].startswith("emulator.") for each in running.records()):
        if time.monotonic() > deadline:
            raise RuntimeError("a request never ended")
        threading.Event().wait(0.05)
    return running.records()


def main() -> None:
    """Run the rows, print the table, and write it where that is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.peers_under_faults", description="The same faults for every uploader."
    )
    parser.add_argument("--only", metavar="TEXT", default="", help="only the rows that name it")
    parser.add_argument("--write", action="store_true", help="write docs/exactly-once.md")
    options = parser.parse_args()
    troubles = [each for each in TROUBLES if options.only in each.name]
    if options.write and options.only:
        parser.error("--write writes the whole table: leave out --only")
    if not troubles:
        parser.error(f"no row names it; there are: {'; '.join(each.name for each in TROUBLES)}")
    heads = ["what happens", *(each.name.replace(", one-off", "") for each in CONTENDERS)]
    with tempfile.TemporaryDirectory(prefix="peers-") as folder, stage(Path(folder)) as running:
        rows = [
            [trouble.name, *(worst(each, trouble, running).told(trouble.size) for each in CONTENDERS)]
            for trouble in track(troubles, description="troubles", disable=not sys.stdout.isatty())
        ]
    table = Table(*heads)
    for row in rows:
        table.add_row(*(each.replace("**", "") for each in row))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    if options.write:
        (PROJECT / "docs/exactly-once.md").write_text(_page(heads, rows), encoding="utf-8")


def _page(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [HEAD, "| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


if __name__ == "__main__":
    main()
