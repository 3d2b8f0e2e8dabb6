"""With the scope drive.file a MemoryVDB that somebody else made can't be seen, and a second one would be made."""

from collections.abc import Callable

import pytest
from click.testing import Result

from local_runner.drive_emulator import DriveEmulator

Run = Callable[..., Result]

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
