"""Google's clients for Go, Java, Ruby and Node, unchanged, each by a program of its own in clients/.

Debian packages bring the first three, npm the fourth; a language that isn't installed is skipped with the reason.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local_runner.drive_emulator import DriveEmulator
from tests.emulator.wire import Api

PROGRAMS = Path(__file__).with_name("clients")
CONTENT = (bytes(range(97, 123)) * 30_000)[:700_001]
"""Longer than two chunks of 256 KiB, no multiple of one; letters, so that a client that sends text can send it."""

GO_SOURCES = Path("/usr/share/gocode")
JARS = Path("/usr/share/java")
JAVA_NEEDS = (
    "google-api-client google-api-client-jackson2 google-http-client"
    " google-http-client-jackson2 google-oauth-client jackson-core guava httpclient httpcore commons-logging"
    " commons-codec opencensus-api opencensus-contrib-http-util grpc-context"
).split()
NODE_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "drive-emulator-node"


def run(command: list[str], drive: DriveEmulator, folder: Path, *more: str, **environment: str) -> dict[str, Any]:
    """What a program says after it has done its round against the emulator."""
    done = subprocess.run(
        [*command, drive.url, Api(drive).token, *more],
        input=CONTENT,
        capture_output=True,
        cwd=folder,
        env={**os.environ, **environment},
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:] + "".join(
        f"\n{record.status} {record.http_method} {record.path}" for record in drive.requests
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def check(told: dict[str, Any], drive: DriveEmulator) -> None:
    """Checksums as the client read them, names, the bytes that came back, and what lies on the Drive."""
    assert told["small"] == hashlib.md5(CONTENT[:1000]).hexdigest()
    assert told["large"] == hashlib.md5(CONTENT).hexdigest()
    assert told["names"] == ["large", "renamed"]
    assert told["downloaded"] is True
    assert sorted(file["path"] for file in drive.files()) == ["folder", "folder/large", "folder/renamed"]


def need(*programs: str) -> None:
    """Skip where a program is missing."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def test_go(drive: DriveEmulator, tmp_path: Path) -> None:
    """Chunks are answered 200 with the override header, as the client asks: its HTTP client redirects on 308."""
    need("go")
    if not (GO_SOURCES / "src/google.golang.org/api/drive/v3").is_dir():
        pytest.skip("golang-google-api-dev is not installed")
    environment = {
        "GOPATH": str(GO_SOURCES),
        "GO111MODULE": "off",
        "GOFLAGS": "",
        "GOCACHE": os.environ.get("GOCACHE", str(Path.home() / ".cache" / "go-build")),
    }
    program = tmp_path / "client"
    subprocess.run(
        ["go", "build", "-o", str(program), str(PROGRAMS / "client.go")],
        check=True,
        env={**os.environ, **environment},
        timeout=300,
    )

    told = run([str(program)], drive, tmp_path)

    check(told, drive)
    assert told["renamed"] == "renamed"
    assert told["batched"] == ["renamed", "large"]
    assert [record.status for record in drive.requests if record.method_id == "upload.send"] == [200, 200, 200]


def test_java(drive: DriveEmulator, tmp_path: Path) -> None:
    """Metadata and content come in gzip, and only the calls inside a batch are authorised."""
    need("javac", "java")
    jars = [JARS / f"{name}.jar" for name in JAVA_NEEDS]
    if not all(jar.exists() for jar in jars):
        pytest.skip("libgoogle-api-client-java is not installed")
    path = ":".join(map(str, jars))
    subprocess.run(
        ["javac", "-nowarn", "-cp", path, "-d", str(tmp_path), str(PROGRAMS / "Client.java")], check=True, timeout=240
    )

    told = run(["java", "-cp", f"{path}:{tmp_path}", "Client"], drive, tmp_path)

    check(told, drive)
    assert told["batched"] == ["renamed", "large"]
    assert told["packed"] > 0


def test_ruby(drive: DriveEmulator, tmp_path: Path) -> None:
    """Content comes with X-Goog-Upload-Protocol and no uploadType, in sessions of commands."""
    need("ruby")
    if subprocess.run(["ruby", "-e", "require 'google/apis/drive_v3'"], capture_output=True, check=False).returncode:
        pytest.skip("ruby-google-api-client is not installed")

    told = run(["ruby", "-W0", str(PROGRAMS / "client.rb")], drive, tmp_path, str(tmp_path / "content"))

    check(told, drive)
    assert (told["renamed"], told["batched"]) == ("renamed", ["large"])


def test_node(drive: DriveEmulator) -> None:
    """The package @googleapis/drive, from npm into a cache beside the project."""
    need("node")
    if not (NODE_CACHE / "node_modules/@googleapis/drive").is_dir():
        pytest.skip(f"@googleapis/drive is not in {NODE_CACHE}: npm install --prefix {NODE_CACHE} @googleapis/drive")

    told = run(["node", str(PROGRAMS / "client.mjs")], drive, NODE_CACHE)

    check(told, drive)
    assert told["renamed"] == "renamed"
    assert told["streamed"] == hashlib.md5(CONTENT).hexdigest()
