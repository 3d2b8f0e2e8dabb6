"""The command `doctor` on good homes and broken ones."""

import errno
import fcntl
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result

from function.state import log_index
from local_runner.commands import doctor as command
from local_runner.doctor.account import MEND
from local_runner.doctor.mount import Mount, judge, mount_of, mounts
from local_runner.drive_emulator import DriveEmulator
from tests.support.owner import Owner
from tests.support.privileges import permissions_count

Run = Callable[..., Result]


def findings(result: Result) -> list[dict[str, Any]]:
    """What the doctor found."""
    return list(json.loads(result.stdout)["findings"])


def failures(result: Result) -> list[str]:
    """What it found failing."""
    return [each["what"] for each in findings(result) if each["level"] == "fail"]


def test_a_good_home_is_found_well(home: Path, drive: DriveEmulator, run: Run) -> None:
    """Settings, data, volume, log, token, renewal, Drive, storage and clock are looked at; nothing is left behind."""
    result = run("doctor", "--json")

    assert result.exit_code == 0
    assert failures(result) == []
    said = " ".join(each["what"] for each in findings(result))
    for part in (
        "exclusive create",
        "kernel lock",
        "authorized_user",
        "can be renewed",
        "left",
        "clock",
        "will be made",
    ):
        assert part in said
    assert list((home / ".drive_upload").glob("doctor-*")) == []


def test_the_doctor_writes_nothing_on_the_drive(drive: DriveEmulator, run: Run) -> None:
    """Looking is all it does there."""
    run("doctor")

    assert drive.files() == []
    assert not any(each.write for each in drive.requests)


def test_the_root_is_found_once_it_is_there(drive: DriveEmulator, run: Run) -> None:
    """After an upload the drive root is said to be there."""
    run("upload", "Data/Meta/a.txt")

    assert "drive_root: MemoryVDB is there" in run("doctor").stdout


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("{", "not valid JSON"),
        ('{"drive_root": 1}', "drive_root"),
        ('{"drive_root": "M", "data_root": "Nowhere"}', "no such folder"),
        ('{"drive_root": {"folder_id": "unknown"}}', "unknown can't be seen"),
        ('{"drive_root": "M", "accounts": {"a": {"token": "none.json"}}}', "credentials_missing"),
    ],
)
def test_broken_settings_are_named(home: Path, drive: DriveEmulator, run: Run, settings: str, expected: str) -> None:
    """Each mistake is a failure with something to do."""
    (home / "paths.json").write_text(settings, encoding="utf-8")

    result = run("doctor", "--json")

    assert result.exit_code == (78 if expected in ("not valid JSON", "drive_root") else 65)
    assert expected in " ".join(failures(result))
    assert all(each["mend"] for each in findings(result) if each["level"] != "ok")


@pytest.mark.parametrize(
    ("settings", "inside"),
    [
        ({"data_root": "."}, "paths.json, upload_log.json, .drive_upload, drive_token.json"),
        ({"data_root": ".."}, "paths.json, upload_log.json, .drive_upload, drive_token.json"),
        ({"data_root": "/"}, "paths.json, upload_log.json, .drive_upload, drive_token.json"),
        ({"state_root": "Data/state"}, "upload_log.json, .drive_upload"),
        ({"accounts": {"a": {"token": "Data/token.json"}}}, "token.json"),
        ({}, None),
    ],
)
def test_a_data_root_that_holds_the_homes_own_files_is_a_warning(
    home: Path, drive: DriveEmulator, run: Run, settings: dict[str, Any], inside: str | None
) -> None:
    """The home itself, a folder around it, or one own file: they are never uploaded, and what lies beside them is."""
    (home / "paths.json").write_text(json.dumps({"drive_root": "MemoryVDB"} | settings), encoding="utf-8")

    found = [each for each in findings(run("doctor", "--json")) if each["area"] == "data"]

    assert [each["level"] for each in found] == ["warn" if inside else "ok"]
    assert f", with {inside} in it" in found[0]["what"] or not inside
    assert found[0]["mend"] or not inside


def test_a_data_root_that_cant_be_reached_is_named(home: Path, drive: DriveEmulator, run: Run) -> None:
    """It lies in a folder that may not be entered: a finding, as any other."""
    (home / "closed").mkdir(mode=0)
    (home / "paths.json").write_text('{"drive_root": "M", "data_root": "closed/Data"}', encoding="utf-8")

    with permissions_count():
        result = run("doctor", "--json")

    assert result.exit_code == 65
    assert f"{home}/closed/Data: can't be looked at (Permission denied)" in failures(result)


@pytest.mark.parametrize("call", ["mkdir", "link"])
def test_a_full_volume_wants_room(
    home: Path, drive: DriveEmulator, run: Run, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Another volume isn't needed for that, whether the first thing that finds no room is a folder or a file."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    found = [each for each in findings(run("doctor", "--json")) if each["area"] == "volume" and each["level"] == "fail"]

    assert ["No space left on device" in each["what"] for each in found] == [True]
    assert [each["mend"] for each in found] == ["make room on that volume"]


def change_token(home: Path, **fields: Any) -> None:
    """The token file with other fields."""
    path = home / "drive_token.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_revoked_token_is_found_although_the_access_token_still_works(
    home: Path, drive: DriveEmulator, run: Run
) -> None:
    """The renewal that is due in an hour is tried now."""
    change_token(home, refresh_token="revoked")

    result = run("doctor", "--json")

    assert result.exit_code == 65
    assert "can't be renewed" in failures(result)[0]


def test_an_emulators_token_without_its_variable_is_told(
    drive: DriveEmulator, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no fault of the network that Google isn't reached with it."""
    monkeypatch.delenv("DRIVE_EMULATOR_HOST")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")

    found = findings(run("doctor", "--json"))

    host = drive.url.removeprefix("http://")
    what = f"this token is an emulator's, at {host}, and uploads go to Google Drive"
    assert (what, f"export DRIVE_EMULATOR_HOST={host}") in [(each["what"], each["mend"]) for each in found]


def test_no_advice_of_the_doctor_is_to_ask_the_doctor(home: Path, drive: DriveEmulator, run: Run) -> None:
    """Of an account whose lock can't be had, as of every reason."""
    change_token(home, expiry="2020-01-01T00:00:00Z")
    (home / ".drive_upload/locks/destinations.lock").mkdir(parents=True)

    found = [each for each in findings(run("doctor", "--json")) if each["level"] == "fail"]

    assert ["volume_unavailable" in each["what"] for each in found] == [True]
    assert "doctor" not in " ".join([found[0]["mend"], *MEND.values()])


def test_a_key_that_lacks_a_part_is_to_be_downloaded(home: Path, drive: DriveEmulator, run: Run) -> None:
    """No consent in a browser makes a service account's key."""
    key = drive.service_account()
    del key["private_key"]
    (home / "drive_token.json").write_text(json.dumps(key))

    (found,) = failures(run("doctor", "--json"))

    assert "service_account credentials without private_key; put its JSON there whole, as it was downloaded" in found
    assert "authorize" not in found


def test_a_scope_too_small_is_found(home: Path, drive: DriveEmulator, run: Run) -> None:
    """A token that may only read can't upload."""
    change_token(home, scopes=["https://www.googleapis.com/auth/drive.readonly"])

    assert "no scope to create files" in failures(run("doctor", "--json"))[0]


@pytest.mark.parametrize(
    "mixed_up",
    [
        {"expiry": "ya29.Canary0Secret"},
        {"scopes": ["https://www.googleapis.com/auth/drive", "ya29.Canary0Secret"]},
        {"scopes": "https://www.googleapis.com/auth/drive 1//0-Canary0Secret"},
    ],
    ids=["expiry", "scopes", "scopes as a text"],
)
def test_a_secret_under_another_fields_name_is_not_shown(
    home: Path, drive: DriveEmulator, run: Run, mixed_up: dict[str, Any]
) -> None:
    """Of a time and of scopes only what is one."""
    change_token(home, **mixed_up)

    result = run("doctor")

    assert "Canary0Secret" not in result.output
    assert "scopes: drive" in result.output


def test_a_token_that_others_can_read_is_a_warning(home: Path, drive: DriveEmulator, run: Run) -> None:
    """It works, so the doctor exits 0 all the same."""
    (home / "drive_token.json").chmod(0o644)

    result = run("doctor", "--json")

    assert result.exit_code == 0
    assert any("read by others" in each["what"] for each in findings(result) if each["level"] == "warn")


@pytest.mark.parametrize(("seconds", "level"), [(7200, "fail"), (-7200, "fail"), (120, "warn"), (0, "ok")])
def test_the_clock_is_judged_before_the_key(
    home: Path, drive: DriveEmulator, run: Run, monkeypatch: pytest.MonkeyPatch, seconds: float, level: str
) -> None:
    """A wrong clock makes a good key look bad, so it is named first, and the key isn't blamed."""
    (home / "drive_token.json").write_text(json.dumps(drive.service_account()))
    drive.drive.clock.advance(seconds)  # the emulator's own, which judges keys; its Date header stays
    slow = SimpleNamespace(time=lambda: time.time() - seconds)
    monkeypatch.setattr("local_runner.doctor.account.time", slow)

    found = findings(run("doctor", "--json"))

    [clock] = [number for number, each in enumerate(found) if each["area"] == "clock"]
    assert found[clock]["level"] == level
    assert not any(each["level"] == "fail" for each in found[:clock])
    blamed = [each["what"] for each in found[clock + 1 :] if each["level"] == "fail" and "credentials" in each["what"]]
    assert all("clock is wrong" in what for what in blamed)
    assert bool(blamed) == (level == "fail")


@pytest.mark.usefixtures("own_files_only")
def test_a_second_root_is_warned_of(run: Run) -> None:
    """With drive.file a MemoryVDB that somebody else made can't be seen: said before the first upload makes another."""
    [warning] = [
        each for each in findings(run("doctor", "--json")) if each["level"] == "warn" and "root" in each["what"]
    ]

    assert "MemoryVDB will be made by the first upload, beside any" in warning["what"]
    assert warning["mend"] == "if there is one, drive-upload authorize --scope drive --account default"


def test_an_unreachable_drive_is_a_failure(
    home: Path, drive: DriveEmulator, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens there."""
    monkeypatch.setenv("DRIVE_EMULATOR_HOST", "127.0.0.1:9")
    monkeypatch.setattr("local_runner.doctor.account.TIME_S", 0.5)

    assert run("doctor").exit_code == 65


@pytest.mark.parametrize(
    ("text", "level", "expected"),
    [("no log", "fail", "is not an upload log"), ('[\n{"path":"a","status":"failed"},\n{"ti', "warn", "1 torn line")],
)
def test_a_damaged_log_is_found(
    home: Path, drive: DriveEmulator, run: Run, text: str, level: str, expected: str
) -> None:
    """Nonsense fails; a torn end, which the next upload mends, is a warning."""
    (home / "upload_log.json").write_text(text)

    found = [each for each in findings(run("doctor", "--json")) if each["area"] == "log"]

    assert found[0]["level"] == level
    assert expected in found[0]["what"]


def test_nobody_mends_a_closed_log_but_a_person(home: Path, drive: DriveEmulator, run: Run) -> None:
    """No upload sets it aside: the advice is another one than for the current log."""
    (home / "upload_log-20261122T100000.000000Z.json").write_text("no log")

    (found,) = [each for each in findings(run("doctor", "--json")) if each["area"] == "log"]

    assert "upload_log-20261122T100000.000000Z.json: is not an upload log" in found["what"]
    assert found["mend"] == "restore it, or move it out of the log's folder: no upload writes to a closed log"


@pytest.mark.parametrize(
    ("kind", "source", "options", "lock", "level"),
    [
        ("ext4", "/dev/sda1", "rw", "native", "ok"),
        ("nfs", "10.0.0.2:/share", "rw,nolock,local_lock=all", "native", "fail"),
        ("nfs", "10.0.0.2:/share", "rw,nolock,local_lock=all", "lease", "ok"),
        ("nfs4", "10.0.0.2:/share", "rw,local_lock=none", "native", "warn"),
        ("fuse.gcsfuse", "bucket", "rw", "lease", "fail"),
        ("fuse", "gcsfuse", "rw", "native", "fail"),
        ("fuse.sshfs", "host:", "rw", "native", "warn"),
        ("virtiofs", "home", "rw", "native", "warn"),
        ("9p", "home", "rw", "native", "warn"),
        ("tmpfs", "tmpfs", "rw", "native", "warn"),
        ("overlay", "overlay", "rw", "native", "warn"),
        ("xfs", "/dev/sdb", "ro", "native", "fail"),
    ],
)
def test_each_kind_of_volume_is_judged(kind: str, source: str, options: str, lock: str, level: str) -> None:
    """Where state may lie, and with which lock mode."""
    found = judge(Mount("/mnt/home", kind, source, frozenset(options.split(","))), lock)

    assert found[0].level == level


def test_the_mount_of_a_path_is_the_deepest_and_the_last(tmp_path: Path) -> None:
    """Escapes in mountinfo are understood, and a mount over another one hides it."""
    folder = tmp_path / "a b"
    folder.mkdir()
    escaped = str(folder).replace(" ", "\\040")
    lines = [
        "1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
        f"2 1 0:50 / {escaped} rw,relatime - tmpfs tmpfs rw",
        f"3 1 0:51 / {escaped} rw,relatime shared:9 master:2 - nfs4 10.0.0.2:/x\\040y rw,local_lock=none",
        "damaged",
    ]

    found = mount_of(folder / "deeper", mounts(lines))

    assert found is not None
    assert (found.kind, found.source) == ("nfs4", "10.0.0.2:/x y")
    assert {"rw", "local_lock=none"} <= found.options


@pytest.mark.parametrize(("module", "call"), [(fcntl, "flock"), (os, "fsync"), (os, "link"), (os, "mkdir")])
def test_a_volume_that_hangs_is_told(
    drive: DriveEmulator, home: Path, run: Run, monkeypatch: pytest.MonkeyPatch, module: Any, call: str
) -> None:
    """A lock or a write that doesn't return (NFS, its server away) keeps nobody waiting for ever."""
    is_back = threading.Event()
    monkeypatch.setattr(command, "HANG_S", 1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, call, lambda *_, **__: is_back.wait(60))
        found = run("doctor", "--json")
        is_back.set()

    assert found.exit_code == 65
    assert "doesn't answer" in found.stdout


def test_a_log_that_is_read_slowly_is_read(
    drive: DriveEmulator, home: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gigabytes on a slow disk are no volume that hangs: each line is waited for as long as all else."""
    (home / "upload_log.json").write_text('[\n{"status":"failed"},\n{"status":"failed"},\n{"status":"failed"}\n]\n')
    real = log_index.lines

    def slowly(file: Any) -> Iterator[bytes]:
        for line in real(file):
            threading.Event().wait(0.4)
            yield line

    monkeypatch.setattr(log_index, "lines", slowly)
    monkeypatch.setattr(command, "HANG_S", 1.0)

    assert "upload_log.json: 3 entries" in run("doctor", "--json").stdout


HANGING = [
    ("open", "/paths.json", "volume", ""),
    ("stat", "/Data", "data", "settings, volume, log, account default, clock"),
    ("open", "/upload_log.json", "log", "settings, data, volume, account default, clock"),
    ("listdir", "", "log", "settings, data, volume, account default, clock"),
    ("mkdir", "/.drive_upload/doctor-", "volume", "settings, data, log, account default"),
    ("open", "/drive_token.json", "account default", "settings, data, volume, log"),
    ("open", "/.drive_upload/locks/destinations.lock", "account default", "settings, data, volume, log, clock"),
]
"""A call that doesn't return, the path below the home that it is for, the area blamed for it, and those that aren't."""


@pytest.mark.parametrize(("call", "path", "area", "others"), HANGING)
def test_each_look_at_a_volume_ends(
    drive: DriveEmulator, home: Path, run: Run, monkeypatch: pytest.MonkeyPatch,
    call: str, path: str, area: str, others: str,
) -> None:  # fmt: skip
    """The finding names what doesn't answer; what else can be looked at is looked at."""
    (home / "upload_log.json").write_text("[\n]\n")
    change_token(home, expiry="2020-01-01T00:00:00Z")  # so that it is renewed, under a lock
    is_back = threading.Event()
    real = getattr(os, call)

    def hanging(of: Any, *arguments: Any, **named: Any) -> Any:
        if re.sub(r"(/doctor-)\w+$", r"\1", str(of)) == f"{home}{path}":
            is_back.wait(60)
        return real(of, *arguments, **named)

    monkeypatch.setattr(command, "HANG_S", 2.0)
    monkeypatch.setattr("local_runner.doctor.account.TIME_S", 2.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, call, hanging)
        result = run("doctor", "--json")
        is_back.set()

    assert result.exit_code == 65
    [silent] = [each for each in findings(result) if each["level"] == "fail"]
    assert silent["area"] == area
    assert "doesn't answer" in silent["what"]
    assert {each["area"] for each in findings(result)} - {area} == {*others.split(", ")} - {""}


@pytest.mark.parametrize("place", ["My Drive", "a user's folder", "a shared drive", "a folder of a shared drive"])
def test_a_service_account_needs_a_shared_drive(drive: DriveEmulator, home: Path, run: Run, place: str) -> None:
    """It has no space of its own: elsewhere each upload would be refused, and so the doctor fails."""
    robot = drive.service_account()
    (home / "drive_token.json").write_text(json.dumps(robot))
    owner = Owner(drive)
    shared = owner.shared_drive("Team")
    folders = {"a user's folder": "root", "a folder of a shared drive": shared}
    root: Any = "MemoryVDB"
    if place == "a shared drive":
        root = {"drive_id": shared, "path": "MemoryVDB"}
    elif place in folders:
        root = {"folder_id": owner.folder("Here", folders[place])}
    for file_id in (shared, *([root["folder_id"]] if "folder_id" in root else [])):
        owner.share(file_id, robot["client_email"])
    (home / "paths.json").write_text(json.dumps({"drive_root": root}))

    found = run("doctor", "--json")

    needs_one = "shared drive" not in place
    assert [("no space of its own" in each) for each in failures(found)] == [True] * needs_one, found.stdout
    assert found.exit_code == (65 if needs_one else 0)


ODD_LOOKS: list[tuple[dict[str, Any], str]] = [
    ({"on": "about.get", "do": "status", "status": 200, "body": "<h1>Sign in</h1>"}, "network"),
    ({"on": "about.get", "do": "status", "status": 200, "body": '{"user": null}'}, "drive_unavailable"),
    (
        {"on": "about.get", "do": "status", "status": 200, "body": '{"user": {}, "storageQuota": {"limit": "x"}}'},
        "drive_unavailable",
    ),
    ({"on": "about.get", "do": "status", "status": 503}, "drive_unavailable"),
    ({"on": "files.get", "do": "status", "status": 503}, "drive_unavailable"),
    ({"on": "files.get", "do": "status", "status": 404, "body": "<h1>Not Found</h1>"}, "drive_unavailable"),
    ({"on": "files.get", "do": "edit_answer", "set": {"shortcutDetails": "x"}}, "drive_unavailable"),
    ({"on": "files.get", "do": "edit_answer", "set": {"capabilities": None}}, "drive_unavailable"),
]
"""A fault, and the reason that the job would give for such an answer."""


@pytest.mark.parametrize(("fault", "reason"), ODD_LOOKS)
def test_a_look_that_failed_is_none(drive: DriveEmulator, run: Run, fault: dict[str, Any], reason: str) -> None:
    """What isn't Drive's answer says neither that all is well nor that the root is wrong: it is told as what it is."""
    drive.faults.add({**fault, "times": 50})

    result = run("doctor", "--json")

    failed = [each for each in findings(result) if each["level"] == "fail"]
    assert result.exit_code == 65
    assert [each["what"].partition(":")[0] for each in failed] == [reason]
    assert "share" not in failed[0]["mend"]
