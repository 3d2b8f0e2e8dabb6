"""rclone's own Go tests of its Drive backend, as Debian ships them, against the emulator; skipped where they aren't.

They reach it as any unchanged client does: through the emulator as HTTPS proxy for Google's names (CLIENTS.md).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from local_runner.drive_emulator import DriveEmulator, ServerOptions

SOURCES = Path("/usr/share/gocode")
BACKEND = SOURCES / "src/github.com/rclone/rclone/backend/drive"
REFUSED = {"DocumentImport"}
"""Subtests that want what SUPPORT.md refuses: a binary Word file (`.doc`) converted to a document."""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled tests, beside the files that they look for around them."""
    if shutil.which("go") is None:
        pytest.skip("go is not installed")
    if not (BACKEND / "drive_test.go").exists():
        pytest.skip("golang-github-rclone-rclone-dev is not installed")
    root = tmp_path_factory.mktemp("rclone-suite")
    built = subprocess.run(
        ["go", "test", "-c", "-o", str(root / "drive.test"), "."],
        cwd=BACKEND,
        env={**os.environ, "GOPATH": str(SOURCES), "GO111MODULE": "off", "GOFLAGS": ""},
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    if built.returncode:
        missing = sorted(set(re.findall(r'cannot find package "([^"]+)"', built.stderr)))
        assert missing, built.stderr
        pytest.skip(f"rclone's sources need packages that aren't installed: {', '.join(missing)}")
    (root / "fstest/testserver/init.d").mkdir(parents=True)
    shutil.copytree(BACKEND / "test", root / "backend/drive/test")
    return root


@pytest.mark.timeout(900)
def test_rclones_own_suite(suite: Path, tmp_path: Path) -> None:
    """No subtest fails but those that want what is refused, and what they are part of."""
    with DriveEmulator(options=ServerOptions(https=True)) as drive:
        (tmp_path / "ca.pem").write_bytes(drive.ca_pem)
        drive.write_rclone_config(tmp_path / "rclone.conf")
        config = (tmp_path / "rclone.conf").read_text().replace("[drive]", "[TestDrive]")
        (tmp_path / "rclone.conf").write_text(f"{config}pacer_min_sleep = 1ms\npacer_burst = 1000\n")
        proxy = f"http://127.0.0.1:{drive.port}"
        told = subprocess.run(
            [str(suite / "drive.test"), "-remote", "TestDrive:", "-test.v", "-test.timeout", "10m"],
            cwd=suite / "backend/drive",
            env={
                **os.environ,
                "HTTPS_PROXY": proxy,
                "https_proxy": proxy,
                "NO_PROXY": "",
                "no_proxy": "",
                "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
                "RCLONE_CONFIG": str(tmp_path / "rclone.conf"),
            },
            capture_output=True,
            text=True,
            timeout=660,
            check=False,
        ).stdout

    failed = {name for result, name in re.findall(r"--- (PASS|FAIL|SKIP): (\S+)", told) if result == "FAIL"}
    deepest = {name for name in failed if not any(other.startswith(f"{name}/") for other in failed)}

    assert {name.rpartition("/")[2] for name in deepest} <= REFUSED, told[-5000:]
    assert told.count("--- PASS") > 100
