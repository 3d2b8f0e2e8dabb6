"""What the image's tests share: an engine that answers, the image, a home as a user mounts it, and a way to run."""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local_runner.drive_emulator import DriveEmulator

PROJECT = Path(__file__).parents[2]

Docker = Callable[..., "subprocess.CompletedProcess[str]"]
"""`docker("run", ...)`: the finished command, its output as text; raises when it takes over two minutes."""

RUN_AS = "65532:65532" if os.getuid() == 0 else f"{os.getuid()}:{os.getgid()}"
"""The image's own user where the test may give files away, else whoever runs the test and so owns the home."""


@pytest.fixture(scope="session")
def docker() -> Docker:
    """The engine's command line; skips where no engine answers."""
    command = shutil.which("docker")
    if command is None:
        pytest.skip("no container engine: there is no docker command on the PATH")

    def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([command, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)

    if run("version").returncode != 0:
        pytest.skip("no container engine answers: start one, or name it in DOCKER_HOST")
    return run


@pytest.fixture(scope="session")
def image(docker: Docker) -> str:
    """The name of the image under test: IMAGE_UNDER_TEST, or what is built here from this clone."""
    if named := os.environ.get("IMAGE_UNDER_TEST"):
        return named
    built = docker("build", "--network", "host", "--tag", "drive-upload:test", PROJECT)
    assert built.returncode == 0, built.stderr
    return "drive-upload:test"


@pytest.fixture
def drive() -> Iterator[DriveEmulator]:
    """An embedded Drive on this machine, which containers reach over the host's network."""
    with DriveEmulator() as drive:
        yield drive


@pytest.fixture
def home(tmp_path: Path, drive: DriveEmulator) -> Path:
    """A home as it is mounted: settings, a token for the embedded Drive, and one file of a zone."""
    home = tmp_path / "home"
    zone = home / "Data" / "Meta"
    zone.mkdir(parents=True)
    (home / "paths.json").write_text(json.dumps({"drive_root": "MemoryVDB"}), encoding="utf-8")
    (zone / "note.txt").write_text("remember me\n", encoding="utf-8")
    drive.write_token(home / "drive_token.json")
    give_away(home)
    return home


def give_away(folder: Path) -> None:
    """Make everything below a folder the container user's, where this user may."""
    if os.getuid() == 0:
        user = int(RUN_AS.partition(":")[0])
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, user, user)


@pytest.fixture
def locked_down(image: str, home: Path, drive: DriveEmulator) -> list[str]:
    """The arguments of `docker run` up to the command: as little as the image can do with, and the home."""
    return [
        *("--network", "host", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--user", RUN_AS, "--volume", f"{home}:/mnt/home", "--env", f"DRIVE_EMULATOR_HOST={drive.url}"),
        image,
    ]


@contextmanager
def started(docker: Docker, *arguments: str) -> Iterator[str]:
    """A container in the background; gone at the end, whatever happened."""
    name = f"drive-upload-test-{uuid.uuid4().hex[:12]}"
    run = docker("run", "--detach", "--name", name, *arguments)
    try:
        assert run.returncode == 0, run.stderr
        yield name
    finally:
        docker("rm", "--force", "--volumes", name)
