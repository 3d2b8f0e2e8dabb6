"""With the scope drive.file a MemoryVDB that somebody else made can't be seen, and a second one would be made."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from local_runner.drive_emulator import DriveEmulator
from tests.support.home import PROJECT
from tests.support.owner import Owner

Run = Callable[..., Result]

OWN_FILES = "https://www.googleapis.com/auth/drive.file"

WARNING = "If another program or a person has made MemoryVDB on Drive, a second one is made beside it"


@pytest.mark.usefixtures("own_files_only")
def test_the_dry_run_and_the_first_upload_warn_and_no_later_one(drive: DriveEmulator, run: Run) -> None:
    """It is said as long as this app has made no root, once for a run, with what to do."""
    rehearsed, first, second = run("upload", "Data", "--dry-run"), run("upload", "Data"), run("upload", "Data")

    assert rehearsed.stderr.count(WARNING) == 1
    assert first.stderr.count(WARNING) == 1
    assert "drive-upload authorize --scope drive" in first.stderr
    assert WARNING not in second.stderr
    assert first.exit_code == 0
    assert [each["path"] for each in drive.files() if each["name"] == "MemoryVDB"] == ["MemoryVDB"]


@pytest.mark.usefixtures("drive")
def test_a_token_that_sees_everything_needs_no_warning(run: Run) -> None:
    """With the scope drive the root that is there would be found."""
    assert "MemoryVDB" not in run("upload", "Data").stderr


@pytest.mark.usefixtures("own_files_only", "drive")
def test_moving_in_quotes_both_warnings(run: Run, log: Callable[[], list[dict[str, Any]]]) -> None:
    """The page has the words that are said before the first upload, once, and those of its entry."""
    page = (PROJECT / "docs" / "moving-in.md").read_text(encoding="utf-8")
    quotes = [re.sub(r"\s*\n?> ", " ", each).strip() for each in re.findall(r"(?:^> .*\n)+", page, re.MULTILINE)]

    said = run("upload", "Data").stderr

    assert said == f"{quotes[0]}\n"
    assert [each["message"] for each in log() if each["message"]] == [quotes[1]]


def test_a_second_root_is_undone_as_the_warning_says(home: Path, drive: DriveEmulator, run: Run) -> None:
    """A token that sees it all, the new root in the bin, its state removed: then the old root's files are adopted."""
    owner, token = Owner(drive), json.loads((home / "drive_token.json").read_text())
    theirs = {owner.make(f"MemoryVDB/{path.relative_to(home / 'Data')}", path.read_bytes())
              for path in (home / "Data").glob("*/*")}  # fmt: skip
    grant = drive.drive.oauth.grant_refresh_token("user@example.com", "another-client", frozenset({OWN_FILES}))
    changed = {"refresh_token": grant.token, "token": None, "scopes": [OWN_FILES], "client_id": "another-client"}
    (home / "drive_token.json").write_text(json.dumps(token | changed))
    run("upload", "Data")
    roots = [each["id"] for each in drive.files() if each["name"] == "MemoryVDB"]

    (home / "drive_token.json").write_text(json.dumps(token))
    owner.change(roots[-1], trashed=True)
    shutil.rmtree(home / ".drive_upload")
    again = json.loads(run("upload", "Data", "--json").stdout)

    assert len(roots) == 2
    assert again["status"] == "unchanged"
    assert {each["file_id"] for each in again["results"]} == theirs
