"""The image as a user runs it: locked down, with the home mounted, against an embedded Drive on the host."""

import json
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import urllib3

from local_runner.drive_emulator import DriveEmulator
from tests.container.conftest import Docker, give_away, started

pytestmark = pytest.mark.container

BIG_BYTES = 9 * 1024 * 1024
"""Over the 5 MB from which an upload is resumable."""

http = urllib3.PoolManager(retries=urllib3.Retry(total=80, connect=80, read=0, backoff_factor=0.05, backoff_max=0.25))
"""Patient with a server that is just starting; an answer that broke off is an error."""


def free_port() -> int:
    """A port of this host that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    """Return as soon as the condition holds; fail when it never does."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def uploads_seen(drive: DriveEmulator, method_id: str) -> int:
    """How many requests of a method the embedded Drive has got."""
    return sum(request.method_id == method_id for request in drive.requests)


def paths_on(drive: DriveEmulator) -> list[str]:
    """The paths of all files on the embedded Drive, without folders."""
    return sorted(str(file["path"]) for file in drive.files() if "folder" not in str(file["mimeType"]))


def write_big(home: Path) -> bytes:
    """A file that goes up in a resumable session, in the zone Meta; gives its content."""
    content = os.urandom(BIG_BYTES)
    (home / "Data/Meta/big.bin").write_bytes(content)
    give_away(home)
    return content


def content_of(drive: DriveEmulator, path: str) -> bytes:
    """The bytes of the only file at a path."""
    (file_id,) = [str(file["id"]) for file in drive.files() if file["path"] == path]
    return drive.content(file_id)


def status_of(run: "CompletedProcess[str]") -> tuple[int, str | None]:
    """The exit code of a one-off, and the status of the answer that it printed."""
    try:
        return run.returncode, json.loads(run.stdout)["status"] if run.stdout else None
    except (ValueError, KeyError):
        pytest.fail(f"exit code {run.returncode}, no answer in {run.stdout!r}; {run.stderr}")


def post(port: int, payload: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Invoke the function; gives the status code and the answer."""
    answer = http.request("POST", f"http://127.0.0.1:{port}/", json=payload)
    return answer.status, answer.json()


def test_a_one_off_uploads_once(docker: Docker, locked_down: list[str], home: Path, drive: DriveEmulator) -> None:
    """`docker run IMAGE upload PATH` puts the file on Drive, logs it, and does nothing the second time."""
    first = docker("run", "--rm", *locked_down, "upload", "Data/Meta/note.txt", "--metadata", '{"tags": ["x"]}')
    again = docker("run", "--rm", *locked_down, "upload", "Data/Meta/note.txt")

    assert status_of(first) == (0, "uploaded"), first.stderr
    assert status_of(again) == (0, "unchanged"), again.stderr
    assert paths_on(drive) == ["MemoryVDB/Meta/note.txt"]
    assert content_of(drive, "MemoryVDB/Meta/note.txt") == b"remember me\n"
    log = json.loads((home / "upload_log.json").read_text(encoding="utf-8"))
    assert [entry["status"] for entry in log] == ["uploaded", "unchanged"]


@pytest.mark.parametrize(
    ("command", "exit_code", "status"),
    [
        (["upload", "Data/Meta/missing.txt"], 65, "failed"),
        (["upload", "/etc/passwd"], 65, "failed"),
        (["upload", "Data/Meta/note.txt"], 75, "failed"),
        (["upload"], 64, None),
        (["upload", "Data/Meta/note.txt", "--if-exists", "overwrite"], 64, None),
        (["sing"], 64, None),
    ],
)
def test_exit_codes_tell_what_to_do(
    docker: Docker, locked_down: list[str], home: Path, command: list[str], exit_code: int, status: str | None
) -> None:
    """65 is for good, 75 is worth another try (here the token is missing), 64 is a mistake in the command line."""
    (home / "drive_token.json").unlink()

    run = docker("run", "--rm", *locked_down, *command)

    assert status_of(run) == (exit_code, status), run.stderr


def test_the_function_serves(docker: Docker, locked_down: list[str], drive: DriveEmulator) -> None:
    """By default the image answers health and uploads on $PORT, says that it is healthy, and leaves politely."""
    port = free_port()
    options = ["--env", f"PORT={port}", "--health-interval", "1s"]

    with started(docker, *options, *locked_down) as container:
        health = http.request("GET", f"http://127.0.0.1:{port}/").json()
        code, answer = post(port, {"path": "Data/Meta/note.txt"})
        until(lambda: "healthy" in docker("inspect", "--format", "{{.State.Health.Status}}", container).stdout.split())
        stopped = docker("stop", container)
        exit_code = docker("inspect", "--format", "{{.State.ExitCode}}", container).stdout.strip()
        logs = docker("logs", container)

    assert health["status"] == "ok"
    assert (code, answer["status"]) == (200, "uploaded")
    assert content_of(drive, "MemoryVDB/Meta/note.txt") == b"remember me\n"
    assert (stopped.returncode, exit_code) == (0, "0")
    assert "Read-only file system" not in logs.stdout + logs.stderr


def test_sigterm_leaves_a_served_upload_done_or_resumable(
    docker: Docker, locked_down: list[str], home: Path, drive: DriveEmulator
) -> None:
    """Told to stop with an upload in hand, the server still answers; one more call makes it one whole file."""
    content = write_big(home)
    port = free_port()
    drive.faults.add({"on": "upload.send", "do": "delay", "ms": 2000})

    with started(docker, "--env", f"PORT={port}", *locked_down) as container, ThreadPoolExecutor(1) as background:
        http.request("GET", f"http://127.0.0.1:{port}/")
        call = background.submit(post, port, {"path": "Data/Meta/big.bin"})
        until(lambda: uploads_seen(drive, "upload.start") == 1)
        stopped = docker("stop", "--time", "10", container)
        code, answer = call.result()
        exit_code = docker("inspect", "--format", "{{.State.ExitCode}}", container).stdout.strip()
    after = docker("run", "--rm", *locked_down, "upload", "Data/Meta/big.bin")

    assert (stopped.returncode, exit_code) == (0, "0")
    assert (code, answer["status"]) in {(200, "uploaded"), (503, "failed")}
    assert after.returncode == 0, after.stderr
    assert paths_on(drive) == ["MemoryVDB/Meta/big.bin"]
    assert content_of(drive, "MemoryVDB/Meta/big.bin") == content


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
def test_a_stopped_one_off_goes_on_where_it_was(
    docker: Docker, locked_down: list[str], home: Path, drive: DriveEmulator, signal: str
) -> None:
    """A one-off ended in the middle of a file is taken up by the next: same session, one file, all its bytes."""
    content = write_big(home)
    drive.faults.add({"on": "upload.send", "do": "reset_in_body", "after_bytes": BIG_BYTES // 2})
    drive.faults.add({"on": "upload.status", "do": "delay", "ms": 8000})

    with started(docker, *locked_down, "upload", "Data/Meta/big.bin") as container:
        until(lambda: uploads_seen(drive, "upload.send") == 1)
        docker("kill", "--signal", signal, container)
        exit_code = docker("wait", container).stdout.strip()
    drive.faults.clear()
    after = docker("run", "--rm", *locked_down, "upload", "Data/Meta/big.bin")

    assert exit_code == {"TERM": "75", "KILL": "137"}[signal]
    assert after.returncode == 0, after.stderr
    assert paths_on(drive) == ["MemoryVDB/Meta/big.bin"]
    assert content_of(drive, "MemoryVDB/Meta/big.bin") == content
    assert uploads_seen(drive, "upload.start") == 1


def test_a_read_only_token_file_is_enough(
    docker: Docker, locked_down: list[str], home: Path, drive: DriveEmulator, tmp_path: Path
) -> None:
    """A secret mounted as one read-only file, its access token long expired, still gets the file up."""
    (home / "drive_token.json").unlink()
    secret = tmp_path / "secret.json"
    token = drive.authorized_user() | {"expiry": "2020-01-01T00:00:00Z"}
    secret.write_text(json.dumps(token), encoding="utf-8")
    secret.chmod(0o444)

    run = docker("run", "--rm", "--volume", f"{secret}:/mnt/home/drive_token.json:ro", *locked_down,
                 "upload", "Data/Meta/note.txt")  # fmt: skip

    assert status_of(run) == (0, "uploaded"), run.stderr
    assert json.loads(secret.read_text(encoding="utf-8")) == token


def test_the_image_holds_the_job_and_nothing_else(docker: Docker, image: str) -> None:
    """Both packages compiled, what they need, no installer, no tests, no settings, no secrets; user by number."""
    look = (
        "import glob, importlib.util, json, os, sys; print(json.dumps({"
        "'app': sorted(os.listdir('/app')), 'home': os.listdir('/mnt/home'),"
        "'pip': importlib.util.find_spec('pip') is not None,"
        "'modules': len(glob.glob('/app/*/**/*.py', recursive=True)),"
        "'compiled': len(glob.glob('/app/*/**/*.pyc', recursive=True)),"
        "'stray': [n for n in ('pytest', 'tests') if importlib.util.find_spec(n)]}))"
    )

    found = docker("run", "--rm", "--entrypoint", "python", image, "-c", look)
    config = json.loads(docker("image", "inspect", image).stdout)[0]["Config"]

    shown = json.loads(found.stdout)
    modules = shown.pop("modules")
    assert shown == {"app": ["function", "local_runner"], "home": [], "pip": False, "compiled": modules, "stray": []}
    assert (config["User"], config["Entrypoint"], config["Cmd"]) == (
        "65532:65532",
        ["drive-upload"],
        ["serve"],
    )
    assert config["Healthcheck"]["Test"][0] == "CMD"


def test_the_command_in_the_image_sees_the_home(docker: Docker, locked_down: list[str], home: Path) -> None:
    """`doctor`, `status` and `retry` work inside, as outside."""
    uploaded = docker("run", "--rm", *locked_down, "upload", "Data/Meta/note.txt")
    shown = docker("run", "--rm", *locked_down, "status", "--json")
    retried = docker("run", "--rm", *locked_down, "retry")
    doctor = docker("run", "--rm", *locked_down, "doctor")

    assert uploaded.returncode == 0, uploaded.stderr
    assert [each["path"] for each in json.loads(shown.stdout)] == ["Data/Meta/note.txt"]
    assert retried.returncode == 0, retried.stderr
    assert "the access token can be renewed" in doctor.stdout, doctor.stderr


def test_the_image_serves_the_embedded_drive(docker: Docker, image: str) -> None:
    """`emulator` runs locked down, keeps its state in the volume, and leaves politely."""
    port = free_port()
    options = ["--network", "host", "--read-only", "--cap-drop", "ALL", "--tmpfs", "/mnt/drive:mode=1777", image]
    flags = ["--port", str(port), "--data", "/mnt/drive", "--write-token", "/mnt/drive/drive_token.json"]

    with started(docker, *options, "emulator", *flags) as container:
        answer = http.request("GET", f"http://127.0.0.1:{port}/")
        stopped = docker("stop", container)
        exit_code = docker("inspect", "--format", "{{.State.ExitCode}}", container).stdout.strip()

    assert (answer.status, stopped.returncode, exit_code) == (200, 0, "0")


def test_the_environment_alone_is_enough(docker: Docker, locked_down: list[str], home: Path) -> None:
    """Without a paths.json, DRIVE_UPLOAD_DRIVE_ROOT sets everything up."""
    (home / "paths.json").unlink()

    run = docker("run", "--rm", "--env", "DRIVE_UPLOAD_DRIVE_ROOT=Elsewhere", *locked_down,
                 "upload", "Data/Meta/note.txt")  # fmt: skip

    assert status_of(run) == (0, "uploaded"), run.stderr
    assert json.loads(run.stdout)["results"][0]["destination"] == "Elsewhere/Meta/note.txt"


def test_nothing_beside_the_lock_is_installed(docker: Docker, image: str) -> None:
    """The packages inside are those of requirements.txt, version by version."""
    lock = (Path(__file__).parents[2] / "requirements.txt").read_text(encoding="utf-8")
    pinned = {line.split()[0].lower() for line in lock.splitlines() if "==" in line and line[0].isalnum()}
    show = (
        "import importlib.metadata as m, re;"
        "print(*(re.sub('[-_.]+', '-', d.name).lower() + '==' + d.version for d in m.distributions()))"
    )

    listed = docker("run", "--rm", "--entrypoint", "python", image, "-c", show)

    assert set(listed.stdout.split()) == pinned
