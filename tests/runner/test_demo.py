"""`demo` and `serve` as processes, and the command line as a whole."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import urllib3
from click.testing import CliRunner, Result

from local_runner.cli import COMMANDS
from local_runner.client.function_process import PROJECT
from local_runner.drive_emulator.cli import emulator
from tests.support.privileges import permissions_count

Run = Callable[..., Result]


def command(*arguments: str) -> list[str]:
    """The command line of a process of its own."""
    return [sys.executable, "-m", "local_runner", *arguments]


@pytest.fixture
def environment() -> dict[str, str]:
    """As poor as a fresh container's: no terminal, no home's settings, an encoding that knows little."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "PYTHONPATH": str(PROJECT), "PYTHONIOENCODING": "ascii"}


def test_two_demos_upload_once(tmp_path: Path, environment: dict[str, str]) -> None:
    """The first demo uploads every sample file; the second finds them unchanged and makes nothing new."""
    data = tmp_path / "Data/Zone"
    data.mkdir(parents=True)
    (data / "café 💡.txt").write_text("idea", encoding="utf-8")
    (data / "empty").touch()
    arguments = command("demo", "--home", str(tmp_path / "demo"), "--data", str(tmp_path / "Data"))

    first, second = (
        subprocess.run(
            arguments, env=environment, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=True, timeout=60,
        ).stdout
        for _ in range(2)
    )  # fmt: skip

    assert "2 uploaded" in first
    assert "2 unchanged; 0 bytes sent, 0 requests" in second
    for shown in (first, second):
        assert "2 files in 2 folders: every file is there once, byte for byte." in shown
        assert re.search(r"Data/Zone/empty[ |]+(uploaded|unchanged)[ |]+MemoryVDB/Zone/empty ", shown)


def test_a_demo_behind_a_proxy_stays_on_this_machine(tmp_path: Path, environment: dict[str, str]) -> None:
    """Proxies that the environment names are never asked for the loopback address, by neither of its processes."""
    (tmp_path / "Data").mkdir()
    (tmp_path / "Data/note.txt").write_text("note")
    nobody = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:9")

    demo = subprocess.run(
        command("demo", "--home", str(tmp_path / "demo"), "--data", str(tmp_path / "Data")),
        env=environment | nobody | {"ALL_PROXY": "http://127.0.0.1:9"}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert demo.returncode == 0, demo.stderr
    assert "1 files in 1 folder" in demo.stdout.replace("1 file in", "1 files in")
    assert "every file is there once, byte for byte." in demo.stdout


def test_a_demo_where_nothing_can_be_written_says_so(tmp_path: Path, run: Run) -> None:
    """One sentence that names the folder and the way out, whichever of its files is in the way."""
    closed, odd = tmp_path / "closed", tmp_path / "odd"
    closed.mkdir(mode=0o500)
    (odd / "function.log").mkdir(parents=True)
    (odd / "function.log").chmod(0o500)

    with permissions_count():
        results = [run("demo", "--home", str(each)) for each in (closed / "demo", odd)]

    for result, home in zip(results, (closed / "demo", odd), strict=True):
        assert result.exit_code == 75
        assert result.stderr.startswith(f"Error: {home}: the demo can't be kept there (")
        assert result.stderr.endswith("name another folder with --home.\n")


def test_serve_answers_until_it_is_interrupted(home: Path, environment: dict[str, str]) -> None:
    """It says how to call it, uploads what is asked for, and ends both processes."""
    ours = environment | {"DRIVE_UPLOAD_PATHS": str(home / "paths.json"), "PORT": "0", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command("serve"), env=ours, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = process.stdout.readline().split()[-1]
        curl = next(line for line in process.stdout if "curl" in line)
        body = re.search(r"-d '(.*)'", curl)
        assert body
        answer = urllib3.request("POST", url, body=body[1], timeout=30, retries=False)
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(30)
        process.stdout.close()

    assert code == 0
    assert json.loads(answer.data)["status"] == "uploaded"
    with pytest.raises(urllib3.exceptions.HTTPError):
        urllib3.request("GET", url, timeout=2, retries=False)


@pytest.mark.parametrize("behind", ["--emulator", "--no-emulator"])
def test_serve_refuses_a_port_that_it_cant_have(
    home: Path, run: Run, monkeypatch: pytest.MonkeyPatch, behind: str
) -> None:
    """What answers there would be someone else's; the option that mends it is named."""
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("the server was started in this process's place"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", behind, "--port", str(port))
    beyond = run("serve", behind, "--port", "99999")
    nowhere = run("serve", behind, "--host", "192.0.2.1")

    assert (result.exit_code, beyond.exit_code, nowhere.exit_code) == (75, 64, 75)
    assert result.stderr == (
        f"Error: Port {port} of 127.0.0.1 is taken: name another with --port, or 0 for a free one.\n"
    )
    assert "--port" in beyond.stderr
    assert "Port 8080 of 192.0.2.1 can't be listened on (" in nowhere.stderr


def test_only_one_command_has_the_embedded_drive_up(home: Path, environment: dict[str, str], run: Run) -> None:
    """A second one that wants it says so."""
    ours = environment | {"DRIVE_UPLOAD_PATHS": str(home / "paths.json"), "PORT": "0", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command("serve"), env=ours, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        result = run("upload", "Data", "--emulator")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)

    assert result.exit_code == 75
    assert "another command has this home's embedded Drive up" in result.stderr


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(run: Run, name: str) -> None:
    """--help works for each, and unknown commands are usage errors."""
    assert run(name, "--help").exit_code == 0
    assert run(f"{name}x").exit_code == 64


def test_the_emulator_explains_itself_without_the_others() -> None:
    """As a tool of its own, by the short option, too."""
    assert CliRunner().invoke(emulator, ["-h"]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("upload", "Data", "--home", "."), "--home stands before the command: drive-upload --home DIR COMMAND …"),
        (("status", "-q"), "-q stands before the command: drive-upload -q COMMAND …"),
        (("retry", "--verbose"), "--verbose stands before the command: drive-upload --verbose COMMAND …"),
    ],
)
def test_an_option_behind_the_command_is_told_where_it_stands(run: Run, arguments: tuple[str, ...], said: str) -> None:
    """What belongs to all commands stands before each."""
    result = run(*arguments)

    assert result.exit_code == 64
    assert result.stderr.endswith(f"Error: {said}\n")
    assert run("status", "--unknown").stderr.endswith("No such option '--unknown'.\n")
