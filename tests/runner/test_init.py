"""`init`: a home from nothing, and nothing lost where there is one."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from function.home import settings

Run = Callable[..., Result]


@pytest.fixture
def empty(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing in it."""
    return tmp_path_factory.mktemp("empty")


def test_a_home_from_nothing_can_upload_at_once(empty: Path, run: Run) -> None:
    """init, a file, upload: three commands to a file on the embedded Drive."""
    made = run("--home", str(empty / "memory"), "init")
    (empty / "memory/Data/note.txt").write_text("remember me", encoding="utf-8")
    uploaded = run("--home", str(empty / "memory"), "upload", "Data", "--emulator", "--json")

    assert made.exit_code == uploaded.exit_code == 0, made.output + uploaded.output
    assert json.loads(uploaded.stdout)["status"] == "uploaded"
    assert json.loads((empty / "memory/paths.json").read_bytes()) == {"drive_root": "MemoryVDB"}


def test_every_setting_is_explained(empty: Path, run: Run) -> None:
    """SETTINGS.md names each key, and each of its examples is accepted as a paths.json."""
    run("--home", str(empty), "init")
    text = (empty / "SETTINGS.md").read_text(encoding="utf-8")

    assert [key for key in settings.VARIABLES if f"| `{key}` |" not in text] == []
    assert [pattern for pattern in settings.EXCLUDE if f"`{pattern}`" not in text] == []
    for line in text.splitlines():
        if line.startswith("    {"):
            (empty / "paths.json").write_text(line.replace("…", "0AbCdEfGhIjKlMnOpQ"), encoding="utf-8")
            settings.load({"DRIVE_UPLOAD_PATHS": str(empty / "paths.json")})


def test_what_is_there_stays(empty: Path, run: Run) -> None:
    """A second init changes no file."""
    run("--home", str(empty), "init", "--drive-root", "Mine", "--if-exists", "skip")

    again = run("--home", str(empty), "init")

    assert again.exit_code == 0
    assert "is there already" in again.stdout
    assert json.loads((empty / "paths.json").read_bytes()) == {"drive_root": "Mine", "if_exists": "skip"}


def test_a_full_disk_leaves_nothing_half_written(empty: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is named, and the next init, with room, writes it whole."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        failed = run("--home", str(empty), "init")
    left = list(empty.iterdir())
    again = run("--home", str(empty), "init")

    assert failed.exit_code == 65
    assert failed.stderr == f"Error: {empty}/paths.json: can't be written (No space left on device).\n"
    assert left == []
    assert again.exit_code == 0
    assert json.loads((empty / "paths.json").read_bytes()) == {"drive_root": "MemoryVDB"}


def test_an_option_that_the_kept_settings_contradict_is_said_not_to_be_applied(empty: Path, run: Run) -> None:
    """What paths.json says already needs no word."""
    run("--home", str(empty), "init", "--if-exists", "skip")

    again = run("--home", str(empty), "init", "--drive-root", "Other", "--if-exists", "skip")

    assert again.exit_code == 0
    assert again.stderr == (
        f"--drive-root was not applied, since {empty}/paths.json is kept: write drive_root into it yourself.\n"
    )


@pytest.mark.parametrize("root", ["", " ", "https://example.com/x", "a/../b", '{"folder_id": "root"}', "\udcff"])
def test_a_drive_root_that_is_none_is_refused_before_anything_is_written(empty: Path, run: Run, root: str) -> None:
    """The next, right `init` would keep what the wrong one wrote."""
    result = run("--home", str(empty / "home"), "init", "--drive-root", root)

    assert result.exit_code == 64
    assert "Error: --drive-root: " in result.stderr
    assert list(empty.iterdir()) == []
