"""Who plays: each brings files of its room to a folder on Drive, and says by which command."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.stage import PROJECT, Figures, Room, Stage

PEERS = PROJECT / "tests/bench/peers"

RCLONE_BEST = ("--drive-pacer-min-sleep", "10ms", "--transfers", "16", "--checkers", "16")

Command = Callable[[Room, str, Sequence[str]], list[str]]
"""(room, folder of the files, files) -> a command that uploads them."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A name for the tables and its command."""

    name: str
    command: Command

    def play(self, stage: Stage, room: Room, folder: str, files: Sequence[str]) -> Figures:
        """Upload the files, which are in that folder of the room."""
        return stage.run(room, self.command(room, folder, files))


def _rclone(*flags: str) -> Command:
    binary = str(Path(sys.executable).with_name("rclone"))

    def command(room: Room, folder: str, files: Sequence[str]) -> list[str]:
        source = room.path(files[0] if len(files) == 1 else folder)
        place = f"drive:{_destination(room, folder)}"
        return [binary, "--config", room.path("rclone.conf"), "copy", source, place, *flags]

    return command


def _destination(room: Room, folder: str) -> str:
    """Where our function puts that folder's files, too."""
    return f"{room.folder.name}/{folder.removeprefix('Data/')}"


def _script(name: str, credentials: str) -> Command:
    return lambda room, folder, files: [
        sys.executable,
        str(PEERS / name),
        room.path(credentials),
        _destination(room, folder),
        *files,
    ]


ONE_OFF = Contender(
    "Drive Upload, one-off", lambda room, _, files: [sys.executable, "-m", "function", "upload", *files]
)

BATCH = Contender(
    "Drive Upload, local runner",
    lambda room, _, files: [sys.executable, "-m", "local_runner", "upload", "--json", *files],
)

RCLONE = Contender("rclone", _rclone())

RCLONE_TUNED = Contender("rclone, best flags", _rclone(*RCLONE_BEST))

API_CLIENT = Contender("google-api-python-client script", _script("api_client_upload.py", "drive_token.json"))

PYDRIVE2 = Contender("PyDrive2 script", _script("pydrive2_upload.py", "pydrive2_settings.yaml"))


@dataclass(frozen=True, slots=True)
class Server:
    """Our function over HTTP, warm. `name` and `play` as a contender's."""

    process: int
    port: int
    name: str = "Drive Upload, HTTP"

    def play(self, stage: Stage, room: Room, folder: str, files: Sequence[str]) -> Figures:
        """POST the files as one invocation."""
        stage.forget()
        cpu_s, start = _cpu_s(self.process), time.perf_counter()
        self.post(files)
        wall_s = time.perf_counter() - start
        return Figures(wall_s, _cpu_s(self.process) - cpu_s, _peak_bytes(self.process), **stage.asked())

    def post(self, files: Sequence[str]) -> None:
        """One invocation; raises RuntimeError unless it is answered 200."""
        payload = {"path": files[0]} if len(files) == 1 else {"files": [{"path": path} for path in files]}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        with contextlib.closing(connection):
            connection.request("POST", "/", json.dumps(payload), {"content-type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        if response.status != 200:
            raise RuntimeError(f"The function answered {response.status}: {text[:2000]!r}")


@contextlib.contextmanager
def serving(room: Room) -> Iterator[Server]:
    """The function served as its image serves it, on the files of that room."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "function", "serve"]
    output = open(room.folder / "server.txt", "wb")  # noqa: SIM115 - the process keeps it open
    with output:
        process = subprocess.Popen(
            command, env={**room.environ, "PORT": str(port)}, cwd=room.folder, stdout=output, stderr=output
        )
    try:
        _await_health(process, port)
        yield Server(process.pid, port)
    finally:
        process.terminate()
        process.wait(30)


def _await_health(process: "subprocess.Popen[bytes]", port: int) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError), contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as asking:
            asking.request("GET", "/")
            if asking.getresponse().status == 200:
                return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError("The function doesn't serve; see server.txt in its room.")


def _family(process: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    return [process, *map(int, children)]


def _cpu_s(process: int) -> float:
    fields = [
        Path(f"/proc/{each}/stat").read_text(encoding="ascii").rpartition(")")[2].split() for each in _family(process)
    ]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def _peak_bytes(process: int) -> int:
    """The largest of the family, as the kernel tells it of children that have ended."""
    texts = [Path(f"/proc/{each}/status").read_text(encoding="ascii") for each in _family(process)]
    return max(int(text.partition("VmHWM:")[2].split()[0]) for text in texts) * 1024
