"""The command `retry`: who is tried again, when, and who isn't."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from local_runner.drive_emulator import DriveEmulator
from local_runner.log.open_failures import open_failures

Run = Callable[..., Result]
Log = Callable[[], list[dict[str, Any]]]


HOME = Path("/srv/home")


def entry(path: str = "Data/a", status: str = "failed", account: str = "default", **fields: Any) -> dict[str, Any]:
    """An entry of the log."""
    usual = {"time": "2026-11-22T10:00:00.000Z", "invocation_id": "x", "retryable": status == "failed", "attempt": None}
    return {"path": path, "status": status, "account": account, "metadata": {}, **usual, **fields}


def test_the_last_entry_of_an_account_and_path_counts() -> None:
    """A success closes a failure, for its own account only; refused requests stay out; for good means: never due."""
    entries = [
        entry("a"), entry("a", "unchanged"),
        entry("b", account="one"), entry("b", "uploaded", account="two"),
        entry("c"), entry("c", retryable=False),
        entry("d", "uploaded"), entry("d"),
        {"status": "failed", "path": None, "account": None, "retryable": False},
    ]  # fmt: skip

    found = open_failures(entries, HOME)

    assert sorted((each.entry["path"], each.entry["account"], each.due is None) for each in found) == [
        ("b", "one", False),
        ("c", "default", True),
        ("d", "default", False),
    ]


def test_what_failed_often_waits_longer_and_comes_last() -> None:
    """Failures in a row make the due time later, also where an attempt isn't counted."""
    found = open_failures([entry("poison"), entry("poison"), entry("poison"), entry("fresh")], HOME)

    assert [each.entry["path"] for each in found] == ["fresh", "poison"]
    assert [each.failures for each in found] == [1, 3]
    start = datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert found[0].due
    assert found[1].due
    assert found[0].due - start <= timedelta(seconds=60)
    assert found[1].due - start >= timedelta(seconds=120)


def test_what_a_person_must_mend_waits_for_its_hour() -> None:
    """A missing token, an hour; an outage, a minute: however few attempts the log counts."""
    entries = [entry("token", reason="credentials_missing"), entry("outage", reason="drive_unavailable")]

    found = {each.entry["path"]: each.due for each in open_failures(entries, HOME)}

    start = datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert found["token"]
    assert found["outage"]
    assert found["token"] - start >= timedelta(hours=1)
    assert found["outage"] - start <= timedelta(minutes=1)


def test_an_entry_without_a_good_time_is_due() -> None:
    """What others appended without a time is taken for long past."""
    (found,) = open_failures([entry(time="yesterday")], HOME)

    assert found.due
    assert found.due < datetime.now(UTC)


@pytest.mark.parametrize("path", ["/srv/home/Data/a", "./Data//a", "Data/a/", "/srv/./home//Data/a"])
def test_a_success_closes_a_failure_under_another_spelling(path: str) -> None:
    """What others logged under a path that the job spells otherwise ends with the job's own entry."""
    assert open_failures([entry(path), entry("Data/a", "unchanged")], HOME) == []


def test_a_path_outside_the_home_is_spelled_as_the_job_does() -> None:
    """data_root may lie beside the home."""
    assert open_failures([entry("/srv/zone/a"), entry("../zone/a", "uploaded")], HOME) == []


def test_what_the_job_would_refuse_is_left_out(home: Path, drive: DriveEmulator, run: Run, log: Log) -> None:
    """Others may log what no call can mend: it is named, and not called for again and again."""
    hopeless = [entry(""), entry("Data/\0x"), entry("Data/Meta/b.txt", if_exists="perhaps")]
    lines = ",\n".join(json.dumps(each) for each in [*hopeless, entry("Data/Meta/a.txt")])
    (home / "upload_log.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")

    document = json.loads(run("retry", "--json").stdout)

    assert [each["path"] for each in document["results"]] == ["Data/Meta/a.txt"]
    assert sorted(each["path"] for each in document["left_out"]) == ["", "Data/\0x", "Data/Meta/b.txt"]
    assert all(each["why"] for each in document["left_out"])
    assert len(log()) == len(hopeless) + 2


def test_retry_waits_until_it_is_due_unless_told_otherwise(
    home: Path, drive: DriveEmulator, run: Run, log: Log
) -> None:
    """A fresh failure is left alone and announced; --all tries it now, with its metadata; then nothing is left."""
    token = (home / "drive_token.json").rename(home / "aside.json")
    run("upload", "Data/Meta", "--metadata", '{"tag": "kept"}')
    token.rename(home / "drive_token.json")

    waiting = run("retry", "--json")
    forced = run("retry", "--all", "--json")
    nothing = run("retry", "--all", "--json")

    assert json.loads(waiting.stdout)["results"] == []
    assert "2 not due yet" in waiting.stderr
    assert json.loads(forced.stdout)["status"] == "uploaded"
    assert json.loads(nothing.stdout)["results"] == []
    assert waiting.exit_code == forced.exit_code == nothing.exit_code == 0
    assert all(each["properties"] == {"tag": "kept"} for each in drive.files() if each["size"] is not None)


def test_where_nothing_is_due_what_failed_for_good_is_told(home: Path, drive: DriveEmulator, run: Run) -> None:
    """With the option that tries it, by `retry` and by `status --open`, which offers --all only where that helps."""
    nothing = run("retry")
    run("upload", "Data/gone.txt")
    final, rehearsed, shown = run("retry"), run("retry", "--dry-run"), run("status", "--open")
    (home / "drive_token.json").unlink()
    run("upload", "Data/Meta/a.txt")
    both = run("status", "--open")

    assert nothing.stdout == "Nothing is due.\n"
    assert rehearsed.stdout == final.stdout
    assert final.stdout == "Nothing is due; 1 failed for good, which `drive-upload retry --failed` tries once more.\n"
    assert nothing.exit_code == final.exit_code == 0
    assert "1 open. `drive-upload retry --failed` tries what failed for good" in shown.stdout
    assert "2 open. `drive-upload retry --all` tries what can succeed; `drive-upload retry --failed`" in both.stdout


def test_retry_keeps_the_policy_of_the_call(home: Path, drive: DriveEmulator, run: Run, log: Log) -> None:
    """What was to be skipped where its name is taken is not uploaded beside it later."""
    run("upload", "Data/Meta/b.txt")
    drive.faults.add({"on": "files.list", "do": "status", "status": 403, "reason": "storageQuotaExceeded"})
    (home / "Data/Meta/b.txt").write_text("changed")
    failed = run("upload", "Data/Meta/b.txt", "--if-exists", "skip", "--json")

    retried = run("retry", "--all", "--json")

    assert json.loads(failed.stdout)["results"][0]["reason"] == "storage_quota_exceeded"
    assert json.loads(retried.stdout)["status"] == "skipped"
    assert [each["if_exists"] for each in log()] == [None, "skip", "skip"]


def test_a_poison_file_does_not_block_the_others(home: Path, drive: DriveEmulator, run: Run, log: Log) -> None:
    """A file that fails again leaves the others to succeed; the exit code tells."""
    token = (home / "drive_token.json").rename(home / "aside.json")
    run("upload", "Data")
    token.rename(home / "drive_token.json")
    (home / "Data/Meta/a.txt").unlink()

    result = run("retry", "--all", "--json")

    assert result.exit_code == 65
    statuses = {each["path"]: each["status"] for each in json.loads(result.stdout)["results"]}
    assert statuses == {"Data/Meta/a.txt": "failed", "Data/Meta/b.txt": "uploaded", "Data/Notes/c.txt": "uploaded"}


def test_only_the_account_that_failed_is_tried_again(home: Path, drive: DriveEmulator, run: Run) -> None:
    """With two accounts the one that succeeded is not asked again."""
    accounts = {"one": {"token": "drive_token.json"}, "two": {"token": "two.json"}}
    (home / "paths.json").write_text(json.dumps({"drive_root": "M", "accounts": accounts}), encoding="utf-8")
    run("upload", "Data/Meta/a.txt")
    drive.add_account("two@example.com")
    drive.write_token(home / "two.json", "two@example.com")

    document = json.loads(run("retry", "--all", "--json").stdout)

    assert [(each["account"], each["status"]) for each in document["results"]] == [("two", "uploaded")]


def test_an_account_that_is_gone_is_named(home: Path, drive: DriveEmulator, run: Run) -> None:
    """A failure of an account that the settings no longer have is said, and stands in nobody's way."""
    entries = [entry("Data/Meta/a.txt", account="gone"), entry("Data/Meta/b.txt")]
    lines = ",\n".join(json.dumps(each) for each in entries)
    (home / "upload_log.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")

    document = json.loads(run("retry", "--json").stdout)

    assert [each["path"] for each in document["results"]] == ["Data/Meta/b.txt"]
    assert "no account 'gone'" in document["left_out"][0]["why"]
