"""A path that was mistyped: what is said of it, and what isn't written about it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from local_runner.drive_emulator import DriveEmulator
from tests.support.home import PROJECT

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("Dta", "Dta: no such file or folder; did you mean Data?"),
        ("data/", "data/: no such file or folder; did you mean Data?"),
        ("Dta/Meta/a.txt", "Dta/Meta/a.txt: no such file or folder; did you mean Data/Meta/a.txt?"),
        ("Dta/Meta/z.txt", "Dta/Meta/z.txt: no such file or folder; did you mean Data?"),
        ("./Dta", "./Dta: no such file or folder; did you mean Data?"),
        ("../nowhere/a.txt", "../nowhere/a.txt: no such file or folder"),
        ("Other/Note/d.txt", "Other/Note/d.txt: no such file or folder; did you mean Other/Notes/d.txt?"),
        ("Dta/*.txt", "Dta/*.txt: matches nothing; did you mean Data?"),
        ("*.nomatch", "*.nomatch: matches nothing"),
        ("Data/*.nomatch", "Data/*.nomatch: matches nothing"),
        ("/nowhere/a.txt", "/nowhere/a.txt: no such file or folder"),
        ("paths.json/a", "paths.json/a: no such file or folder"),
    ],
)
def test_what_is_nowhere_is_said_to_be(home: Path, drive: DriveEmulator, run: Run, typed: str, said: str) -> None:
    """Not that it lies outside data_root; what is spelled almost so is named, and no attempt is left open."""
    (home / "Other/Notes").mkdir(parents=True)
    (home / "Other/Notes/d.txt").touch()

    result = run("upload", typed, "Data/Meta/a.txt")

    assert result.exit_code == 65
    assert f"left out: {said}\n" in result.stdout
    assert "1 uploaded" in result.stdout
    assert json.loads(run("status", "--open", "--json").stdout) == []


def test_from_another_folder_the_home_is_looked_at_too(
    home: Path,
    drive: DriveEmulator,
    run: Run,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A relative path that is neither here nor in the home is nowhere; the home's names are suggested."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))

    result = run("upload", "Data/Meta/a.txt", "Dat/Meta/b.txt")

    assert "left out: Dat/Meta/b.txt: no such file or folder; did you mean Data/Meta/b.txt?" in result.stdout
    assert "1 uploaded" in result.stdout


def test_a_file_of_data_root_that_is_missing_is_logged(
    home: Path, drive: DriveEmulator, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipeline may have named it: it stays open until it is there or closed, from whichever folder it was named."""
    monkeypatch.chdir(home / "Data/Meta")

    result = run("upload", "gone.txt", "--json")

    assert [each["reason"] for each in json.loads(result.stdout)["results"]] == ["source_missing"]
    assert [each["path"] for each in json.loads(run("status", "--open", "--json").stdout)] == ["Data/Meta/gone.txt"]


def test_what_exists_beside_data_root_is_refused_as_outside(home: Path, drive: DriveEmulator, run: Run) -> None:
    """A file in a folder beside data_root is there, and isn't uploaded."""
    (home / "Database").mkdir()
    (home / "Database/a.txt").touch()

    result = run("upload", "Database/a.txt", "--json")

    assert [each["reason"] for each in json.loads(result.stdout)["results"]] == ["path_outside_data_root"]


def test_a_data_root_that_is_missing_is_no_typo(home: Path, drive: DriveEmulator, run: Run) -> None:
    """The volume may not be mounted: the same call can succeed later."""
    (home / "Data").rename(home / "unmounted")

    for named in ("Data", "Data/*.txt"):
        result = run("upload", named, "--json")

        assert result.exit_code == 75
        assert [each["reason"] for each in json.loads(result.stdout)["results"]] == ["volume_unavailable"]


def test_what_was_mistyped_is_not_queued(home: Path, drive: DriveEmulator, run: Run) -> None:
    """`enqueue` says so and fails, too."""
    where = ("--queue", "projects/p/locations/l/queues/q", "--url", "https://u", "--endpoint", "127.0.0.1:9")

    result = run("enqueue", "Dta", *where)

    assert result.exit_code == 65
    assert "Dta: no such file or folder; did you mean Data?" in result.stderr


def test_a_home_that_is_nowhere_is_said_to_be(run: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Its folder is missing, not only its settings."""
    empty = tmp_path_factory.mktemp("empty")

    assert "paths.json: no such settings file, nor its folder;" in run("--home", str(empty / "no"), "status").stderr
    assert "paths.json: no such settings file; run 'drive-upload init'" in run("--home", str(empty), "status").stderr


@pytest.mark.parametrize("command", [("upload", "a.txt"), ("authorize", "--scope", "drive"), ("status",)])
def test_below_a_home_that_home_is_named(
    home: Path, run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """A second home in the first one's Data/ is not what is meant there."""
    monkeypatch.chdir(home / "Data/Meta")
    monkeypatch.delenv("DRIVE_UPLOAD_PATHS")

    result = run(*command)

    assert result.exit_code == 78
    assert result.stderr == (
        f"Error: {home}/Data/Meta/paths.json: no such settings file, but {home} is a home: call with --home {home}"
        " (or DRIVE_UPLOAD_HOME).\n"
    )


def test_retry_says_which_path_is_not_open(drive: DriveEmulator, run: Run) -> None:
    """It may have arrived, or it was mistyped: what is open and spelled almost so is named. --forget then fails."""
    run("upload", "Data/Meta/gone.txt")

    mistyped, arrived = run("retry", "--forget", "Data/Meta/gnoe.txt"), run("retry", "Data/Notes")

    assert mistyped.stderr == "Data/Meta/gnoe.txt: nothing of that name is open; did you mean Data/Meta/gone.txt?\n"
    assert mistyped.stdout == "0 closed.\n"
    assert "Data/Notes: nothing of that name is open" in arrived.stderr
    assert (mistyped.exit_code, arrived.exit_code) == (65, 0)
    assert run("retry", "--forget", "Data", "--reason", "network").exit_code == 65
    closed = run("retry", "--forget", "Data")
    assert (closed.stderr, closed.exit_code) == ("", 0)


def test_a_function_elsewhere_may_have_it(home: Path, drive: DriveEmulator, run: Run) -> None:
    """With --url nothing is judged by what is here: the call is made."""
    assert run("upload", "/srv/Data/a.txt", "--url", "http://127.0.0.1:9").exit_code == 75


@pytest.mark.parametrize(
    "command",
    [
        ["upload"],
        ["upload", "Data"],
        ["retry"],
        ["retry", "--forget"],
        ["enqueue", "--queue", "projects/p/locations/l/queues/q", "--url", "https://u"],
    ],
)
def test_an_empty_path_is_wrong_usage(home: Path, drive: DriveEmulator, run: Run, command: list[str]) -> None:
    """As a variable of a shell that isn't set leaves it: nothing is done."""
    result = run(*command, "")

    assert result.exit_code == 64
    assert "is empty; name a file or a folder." in result.stderr
    assert drive.files() == []


@pytest.mark.parametrize(
    "command",
    [
        ["serve", "--emulator", "--port", "99999"],
        ["serve", "--emulator", "--port", "-5"],
        ["status", "--last", str(10**20)],
        ["report", "--last", str(10**20)],
    ],
)
def test_a_number_that_can_not_be_is_wrong_usage(run: Run, command: list[str]) -> None:
    """The option and its range are named."""
    result = run(*command)

    assert result.exit_code == 64
    assert f"Invalid value for '{command[-2]}'" in result.stderr.replace("'-n' / ", "")


@pytest.mark.parametrize("host", [f"{'y' * 64}.example", "ü..a", "\udcff"])
@pytest.mark.parametrize("command", ["serve", "emulator"])
def test_a_host_that_cant_be_one_is_wrong_usage(run: Run, command: str, host: str) -> None:
    """It is named, and nothing is started."""
    result = run(command, "--host", host, "--port", "0")

    assert result.exit_code == 64
    assert f"{host!r} can't be a host's name." in result.stderr


@pytest.mark.parametrize("option", ["--token", "--client-secret"])
def test_a_name_that_no_file_can_have(drive: DriveEmulator, run: Run, option: str) -> None:
    """No token is got, and the sentence names the file."""
    result = run("authorize", option, "x" * 300, "--scope", "drive", "--no-browser")

    assert result.exit_code == 65
    assert "xxx: can't be looked at (File name too long); name another file by --token" in result.stderr


COMMANDS_THAT_WALK = (
    ("upload", "Data", "--emulator"),
    ("upload", "Data", "--emulator", "--dry-run"),
    ("upload", "Data", "--url", "http://127.0.0.1:9"),
    ("enqueue", "Data", "--queue", "projects/p/locations/l/queues/q", "--url", "http://127.0.0.1:9"),
)


@pytest.mark.parametrize("pattern", ["[z-a]*", "a/[9-0]", "!"])
@pytest.mark.parametrize("command", COMMANDS_THAT_WALK, ids=lambda each: " ".join(each[:4:2]))
def test_what_is_no_pattern_is_named(
    home: Path, run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], pattern: str
) -> None:
    """And where it stands: in the option, in the settings file, in the variable."""
    in_option = run(*command, "--exclude", pattern)
    (home / "paths.json").write_text(json.dumps({"drive_root": "M", "exclude": ["*.tmp", pattern]}))
    in_file, doctor = run(*command), run("doctor", "--json")
    monkeypatch.setenv("DRIVE_UPLOAD_EXCLUDE", json.dumps([pattern]))
    in_variable = run(*command)

    assert (in_option.exit_code, in_file.exit_code, in_variable.exit_code, doctor.exit_code) == (64, 78, 78, 78)
    assert f"--exclude: '{pattern}' is no pattern of gitignore" in in_option.stderr
    assert f"paths.json: exclude: '{pattern}' is no pattern of gitignore" in in_file.stderr
    assert f"paths.json: exclude: '{pattern}' is no pattern" in doctor.stdout
    assert f"DRIVE_UPLOAD_EXCLUDE: '{pattern}' is no pattern of gitignore" in in_variable.stderr


@pytest.mark.parametrize("command", [["status"], ["doctor"], ["upload", "Data"], ["report", "-o", "r.html"]])
def test_a_working_folder_that_was_removed(
    home: Path, drive: DriveEmulator, tmp_path_factory: pytest.TempPathFactory, command: list[str]
) -> None:
    """The home that is named stands for it; where none is, the sentence says so."""
    gone = tmp_path_factory.mktemp("gone")
    start = ["bash", "-c", 'rmdir "$0" && exec "$@"', str(gone), sys.executable, "-m", "local_runner"]
    environ = {name: text for name, text in os.environ.items() if not name.startswith("DRIVE_UPLOAD_")}

    def ended(*arguments: str) -> "subprocess.CompletedProcess[str]":
        gone.mkdir(exist_ok=True)
        environment = environ | {"PYTHONPATH": str(PROJECT)}
        return subprocess.run(
            [*start, *arguments], cwd=gone, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    named, unnamed = ended("--home", str(home), *command), ended(*command)

    assert named.returncode == 0, named.stderr
    assert unnamed.returncode == 64
    assert "The working folder was removed; change to one that is there" in unnamed.stderr
