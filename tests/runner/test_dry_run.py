"""`upload --dry-run`: says what the run would do, and changes nothing."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from local_runner.drive_emulator import DriveEmulator

Run = Callable[..., Result]

READS = ("files.list", "files.get", "files.generateIds", "about.get", "revisions.list", "oauth.token")


def everything(home: Path) -> dict[str, str]:
    """Every file of the home but the token, which may be renewed: its path and what it holds."""
    return {
        os.fspath(each.relative_to(home)): hashlib.sha256(each.read_bytes()).hexdigest()
        for each in sorted(home.rglob("*"))
        if each.is_file() and each.name != "drive_token.json"
    }


def planned(result: Result) -> dict[str, tuple[str, str]]:
    """Path -> status and destination."""
    document = json.loads(result.stdout)
    return {each["path"]: (each["status"], each["destination"]) for each in document["results"]}


@pytest.fixture
def mixed(home: Path, drive: DriveEmulator, run: Run) -> Path:
    """A home with an uploaded file, one that was edited since, a new folder, and a large file."""
    run("upload", "Data")
    (home / "Data/Meta/a.txt").write_text("alpha, edited", encoding="utf-8")
    (home / "Data/New/Deep").mkdir(parents=True)
    (home / "Data/New/Deep/one.txt").write_text("1", encoding="utf-8")
    (home / "Data/New/two.txt").write_text("2", encoding="utf-8")
    (home / "Data/Meta/large.bin").write_bytes(os.urandom(6 * 1024 * 1024))
    return home


@pytest.mark.parametrize("policy", [None, "skip", "fail", "new_revision", "keep_both"])
def test_a_dry_run_says_what_the_run_then_does(mixed: Path, drive: DriveEmulator, run: Run, policy: str | None) -> None:
    """Statuses and destinations are those of the real run, for every policy; before it nothing has changed anywhere."""
    options = ["--if-exists", policy] if policy else []
    local, files = everything(mixed), drive.files()
    drive.requests.clear()

    rehearsed = run("upload", "Data", *options, "--dry-run", "--json")
    asked = [each.method_id for each in drive.requests]

    assert everything(mixed) == local
    assert drive.files() == files
    assert [each for each in asked if each not in READS] == []
    assert json.loads(rehearsed.stdout)["dry_run"] is True

    real = run("upload", "Data", *options, "--json")

    assert planned(rehearsed) == planned(real)
    assert rehearsed.exit_code == real.exit_code


def test_a_dry_run_on_an_empty_drive_makes_no_folder(home: Path, drive: DriveEmulator, run: Run) -> None:
    """Also the first one of all, before there is any state or folder."""
    result = run("upload", "Data", "--dry-run", "--json")

    assert {status for status, _ in planned(result).values()} == {"uploaded"}
    assert drive.files() == []
    assert not (home / "upload_log.json").exists()
    assert not (home / ".drive_upload").exists()


def test_a_memoryvdb_made_by_others_would_be_adopted(home: Path, drive: DriveEmulator, run: Run) -> None:
    """Moving in: what lies there already, with the same content, would not go up again."""
    run("upload", "Data")
    for name in ("upload_log.json", "drive_upload.lock"):
        (home / name).unlink()
    os.rename(home / ".drive_upload", home / "aside")

    result = run("upload", "Data", "--dry-run", "--json")

    assert {status for status, _ in planned(result).values()} == {"unchanged"}


def test_people_see_that_it_is_a_plan(mixed: Path, drive: DriveEmulator, run: Run) -> None:
    """The table says "would be", and the last line that nothing was changed."""
    result = run("upload", "Data", "Data/tpyo", "--dry-run")

    assert "would be uploaded" in result.stdout
    assert "would fail: source_missing" in result.stdout
    assert result.stdout.splitlines()[-1].startswith(
        "Dry run: the run would end with 1 failed, 2 unchanged, 4 uploaded"
    )
    assert result.exit_code == 65


def test_a_function_elsewhere_cannot_be_rehearsed(home: Path, run: Run) -> None:
    """--url with --dry-run is a mistake, not an upload."""
    assert run("upload", "Data", "--dry-run", "--url", "http://127.0.0.1:9").exit_code == 64


@pytest.mark.parametrize("name", ["upload_log.json", "drive_upload.lock", ".drive_upload", "paths.json"])
def test_own_files_would_be_refused(home: Path, drive: DriveEmulator, run: Run, name: str) -> None:
    """As the run itself refuses them: log, lock and state are found where they really are."""
    (home / "paths.json").write_text('{"drive_root": "M", "data_root": "."}')
    run("upload", "Data")
    own = next(each for each in sorted(home.rglob("*")) if name in each.parts and each.is_file())

    results = [run("upload", str(own), *more, "--json") for more in (["--dry-run"], [])]

    assert [json.loads(each.stdout)["results"][0]["reason"] for each in results] == ["source_forbidden"] * 2
