"""Real input: Python's own library, and a file that is larger than memory should hold."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from local_runner.drive_emulator import DriveEmulator
from tests.support.home import PROJECT, Home, new_home

BATCH = 1000

PARTS = ["email", "encodings", "json", "multiprocessing", "unittest", "xml", "test/test_importlib", "test/test_email"]
"""The part of the library that the suite uploads each time: small files, empty ones, deep folders, and where the
distribution has the tests, binary ones."""

UPLOAD_ALL = """
import json, sys
from function.serving.app import current
paths = json.load(sys.stdin)
for start in range(0, len(paths), 1000):
    files = [{"path": path} for path in paths[start : start + 1000]]
    answer = current().handle(json.dumps({"files": files}).encode(), {})
    assert (answer.code, answer.status) == (200, "uploaded"), answer.document()
"""

PEAK = """
import json, re, sys
from function.command_line import main
code = main(["upload", "Data/large.bin"])
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
json.dump({"code": code, "peak_kib": peak}, sys.stderr)
"""
"""VmHWM is the process's own; ru_maxrss would begin with the size of the test that forked it."""


def run(home: Home, code: str, text: str | None = None, timeout_s: float = 110) -> "subprocess.CompletedProcess[str]":
    """A Python process of the project's on that home."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=home.environ | {"PYTHONPATH": str(PROJECT), "LOG_LEVEL": "CRITICAL"},
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )


def library(home: Home, parts: list[str]) -> list[str]:
    """Copies parts of this installation's lib/python3.x under Data/; the paths of its files."""
    origin = Path(sysconfig.get_path("stdlib"))
    for part in parts:
        ignore = shutil.ignore_patterns("__pycache__", "site-packages")
        shutil.copytree(origin / part, home.folder / "Data" / "lib" / part, ignore=ignore, dirs_exist_ok=True)
    found = [path for path in sorted((home.folder / "Data").rglob("*")) if path.is_file()]
    return [path.relative_to(home.folder).as_posix() for path in found]


def assert_mirrored(home: Home, paths: list[str]) -> None:
    """Byte for byte, each once, the same tree; every upload in the log once."""
    stored: dict[str, str] = {}
    for each in home.drive.files():
        if each["size"] is not None:
            assert each["path"] not in stored
            stored[each["path"]] = hashlib.sha256(home.drive.content(each["id"])).hexdigest()
    there = {
        f"MemoryVDB{path.removeprefix('Data')}": hashlib.sha256((home.folder / path).read_bytes()).hexdigest()
        for path in paths
    }
    folders = {f"MemoryVDB{Path(path).parent.as_posix().removeprefix('Data')}" for path in paths}
    chains = {"/".join(each.split("/")[: count + 1]) for each in folders for count in range(each.count("/") + 1)}
    assert stored == there
    assert home.folders() == sorted(chains)
    assert sorted(each["path"] for each in home.log() if each["status"] == "uploaded") == sorted(paths)


def test_a_part_of_pythons_library_comes_back_byte_for_byte(home: Home) -> None:
    """Hundreds of files of every kind through the job in batches."""
    # Debian has no test/.
    parts = [part for part in PARTS if Path(sysconfig.get_path("stdlib"), part).is_dir()]
    paths = library(home, parts)

    done = run(home, UPLOAD_ALL, json.dumps(paths))

    assert done.returncode == 0, done.stderr
    assert len(paths) > 200
    assert_mirrored(home, paths)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_pythons_whole_library_comes_back_byte_for_byte(tmp_path: Path) -> None:
    """Thousands of files, test/ with its strange names included."""
    with DriveEmulator(tmp_path / "drive") as drive:
        home = new_home(tmp_path / "home", drive)
        paths = library(home, ["."])
        home.settings(deadline_s=1500)

        done = run(home, UPLOAD_ALL, json.dumps(paths), timeout_s=1700)

        assert done.returncode == 0, done.stderr
        print(f"\n{len(paths)} files, {sum((home.folder / each).stat().st_size for each in paths)} bytes")
        print(f"{len(home.folders())} folders, {len(drive.requests)} requests")
        assert_mirrored(home, paths)


@pytest.mark.parametrize(
    "size",
    [300 * 1024**2, pytest.param(2 * 1024**3, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
    ids=["300 MB", "2 GB"],
)
def test_a_sparse_file_in_little_memory(tmp_path: Path, size: int) -> None:
    """Its peak of memory does not follow the file's size."""
    with emulator_process(tmp_path) as (home, files):
        (home.folder / "Data/large.bin").touch()
        os.truncate(home.folder / "Data/large.bin", size)
        home.settings(deadline_s=800)

        done = run(home, PEAK, timeout_s=850)

        told = json.loads(done.stderr[done.stderr.rindex("{") :])
        print(f"\n{size} bytes: peak {told['peak_kib'] / 1024:.0f} MiB, {json.loads(done.stdout)['results'][0]}")
        assert told["code"] == 0, done.stdout
        assert told["peak_kib"] * 1024 < 150_000_000
        assert [each["size"] for each in files() if each["size"] is not None] == [size]


class emulator_process:  # noqa: N801 - used as a function
    """A home beside an embedded Drive in a process of its own, so that its memory and speed are not the test's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> tuple[Home, Any]:
        import requests

        token = self._folder / "token.json"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local_runner", "emulator", "--port", "0", "--write-token", str(token)],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        line = self._process.stdout.readline()
        url = next(word.rstrip("/.,") for word in line.split() if word.startswith("http://"))
        with DriveEmulator() as unused:
            home = new_home(self._folder / "home", unused)
        home.environ["DRIVE_EMULATOR_HOST"] = url
        shutil.copyfile(token, home.folder / "drive_token.json")
        return home, lambda: requests.get(f"{url}/emulator/files", timeout=60).json()

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=30)
