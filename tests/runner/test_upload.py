"""The command `upload`: what goes up, what is said, and how it exits."""

import errno
import fcntl
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from function.serving import app
from local_runner.client import invoke
from local_runner.client.function_process import function_process
from local_runner.drive_emulator import DriveEmulator
from tests.support.home import PROJECT
from tests.support.privileges import permissions_count

Run = Callable[..., Result]

TRICKY = [
    b"it's", b'say "hi"', b"back\\slash", b"new\nline", b" lead", b"trail ", b"...", b"-rf", b"--help", b"*", b"?",
    b"[a]", b"[bold]x[bold]", b"<b>&amp;", b"a%20b", b"\x1b[31mred", b"\x7f", b"\xff\xfe", b"caf\xc3\xa9",
    b"cafe\xcc\x81", b"' or name = '", b"\\'", b".hidden", b"~", b"$HOME", b"`x`", b"a:b", b"a;b", b"a|b", b"\t",
    b"x" * 255, "é".encode() * 127, "💡".encode() * 63,
]  # fmt: skip


def hostile_names(count: int, seed: int = 7) -> list[bytes]:
    """Names that Linux allows: the tricky ones, and random bytes."""
    dice = random.Random(seed)
    allowed = [byte for byte in range(1, 256) if byte != ord("/")]
    names = dict.fromkeys(TRICKY)
    while len(names) < count:
        names[b"r" + bytes(dice.choices(allowed, k=dice.randint(1, 40)))] = None
    return list(names)


def live(drive: DriveEmulator) -> list[dict[str, Any]]:
    """Files on the Drive that aren't in the bin, folders left out."""
    return [each for each in drive.files() if not each["trashed"] and each["size"] is not None]


def test_a_hundred_hostile_names_come_back_byte_for_byte_and_only_once(
    home: Path, drive: DriveEmulator, run: Run
) -> None:
    """Whatever a name holds, its content is on the Drive once, and a second run needs no request."""
    contents = {name: b"content of " + name for name in hostile_names(100)}
    folder = os.fsencode(home) + b"/Data/h\xff'\\"
    os.mkdir(folder)
    for name, content in contents.items():
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(content)

    first = run("upload", "Data", "--exclude", "!*", "--json")
    asked = len(list(drive.requests))
    second = run("upload", "Data", "--exclude", "!*", "--json")

    assert first.exit_code == second.exit_code == 0
    entries = {each["path"]: each for each in json.loads(first.stdout)["results"]}
    for name, content in contents.items():
        entry = entries["Data/" + os.fsdecode(b"h\xff'\\/" + name)]
        assert drive.content(entry["file_id"]) == content
    assert len(live(drive)) == len(contents) + 3
    assert json.loads(second.stdout)["status"] == "unchanged"
    assert len(list(drive.requests)) == asked


def test_the_table_shows_whole_destinations_where_there_is_no_terminal(drive: DriveEmulator, run: Run) -> None:
    """Path, status, destination, size and totals stand in whole lines."""
    shown = run("upload", "Data").stdout

    line = next(line for line in shown.splitlines() if "Data/Meta/a.txt" in line)
    assert "uploaded" in line
    assert "MemoryVDB/Meta/a.txt" in line
    assert "3 uploaded; 10 bytes sent" in shown


def test_what_failed_is_not_shown_as_on_drive(drive: DriveEmulator, run: Run, home: Path) -> None:
    """Neither by the upload, nor by `status`, nor in the report: there is nothing at its destination."""
    shown = run("upload", "Data/Meta/a.txt", "Data/gone.txt").stdout + run("status").stdout
    page = run("report", "-o", "-").stdout

    assert "MemoryVDB/Meta/a.txt" in shown
    assert "MemoryVDB/Meta/a.txt" in page
    assert "MemoryVDB/gone.txt" not in shown + page.partition("application/json")[0]


def test_many_files_are_summed_up_and_every_failure_listed(home: Path, drive: DriveEmulator, run: Run) -> None:
    """With hundreds of files the table is left out, but every failure is listed."""
    for number in range(150):
        (home / "Data" / f"n{number}").write_text(str(number), encoding="utf-8")

    result = run("upload", "Data", "Data/nowhere.txt")

    assert result.exit_code == 65
    assert "153 uploaded" in result.stdout
    assert "\nData/nowhere.txt: no such file.\n" in result.stdout
    assert "Data/n7 " not in result.stdout


def test_files_folders_and_globs_name_each_file_once(drive: DriveEmulator, run: Run) -> None:
    """A file that several arguments mean goes up once."""
    result = run("upload", "Data/Meta/a.txt", "Data/*/*.txt", "Data", "./Data/Meta/../Meta/b.txt", "--json")

    paths = [each["path"] for each in json.loads(result.stdout)["results"]]
    assert sorted(paths)[:3] == ["Data/Meta/a.txt", "Data/Meta/b.txt", "Data/Meta/b.txt"]
    assert len(live(drive)) == 3


def test_relative_paths_mean_what_they_name_here_and_else_in_the_home(
    home: Path, drive: DriveEmulator, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a subfolder both its own names and names from the home are understood."""
    monkeypatch.chdir(home / "Data/Meta")

    result = run("upload", "a.txt", "Data/Notes/c.txt", "--json")

    assert [each["path"] for each in json.loads(result.stdout)["results"]] == ["Data/Meta/a.txt", "Data/Notes/c.txt"]


def test_what_is_left_out_is_said(home: Path, drive: DriveEmulator, run: Run) -> None:
    """Links to folders, links to nothing and FIFOs are named; a link to a file goes up."""
    (home / "Data/loop").symlink_to("..")
    (home / "Data/broken").symlink_to("gone")
    (home / "Data/link").symlink_to("Meta/a.txt")
    os.mkfifo(home / "Data/fifo")

    document = json.loads(run("upload", "Data", "--json").stdout)

    assert {each["path"] for each in document["left_out"]} == {"Data/loop", "Data/broken", "Data/fifo"}
    assert "Data/link" in {each["path"] for each in document["results"]}


BAD_LINKS = {
    "to itself": ("bad", "source_missing"),
    "below a file": ("Meta/a.txt/x", "source_missing"),
    "too long": ("n" * 300, "source_missing"),
    "into a closed folder": ("closed/x", "source_unreadable"),
}
"""What it is -> where it leads, and what `upload` of the link itself says."""


@pytest.mark.parametrize("bad", BAD_LINKS)
def test_a_link_that_cant_be_followed_fails_alone(home: Path, drive: DriveEmulator, run: Run, bad: str) -> None:
    """A walk and a dry run say of it what is said where it is named itself, and the other files go up."""
    target, reason = BAD_LINKS[bad]
    (home / "Data/bad").symlink_to(target)
    (home / "Data/closed").mkdir()
    (home / "Data/closed/x").write_text("x", encoding="utf-8")
    (home / "Data/closed").chmod(0)

    with permissions_count():
        rehearsed, uploaded, named = (
            run("upload", *arguments, "--json") for arguments in (("Data", "--dry-run"), ("Data",), ("Data/bad",))
        )

    failed = [
        (each["path"], each["reason"], each["message"])
        for result in (rehearsed, uploaded, named)
        for each in json.loads(result.stdout)["results"]
        if each["status"] == "failed"
    ]
    assert [rehearsed.exit_code, uploaded.exit_code, named.exit_code] == [65, 65, 65]
    assert failed == [("Data/bad", reason, failed[-1][2])] * 3
    assert len(live(drive)) == 3
    assert {each["path"]: each["why"] for each in json.loads(uploaded.stdout)["left_out"]} == {
        "Data/closed": "can't be read (Permission denied)"
    }


def test_a_folder_around_data_root_stands_for_it(drive: DriveEmulator, run: Run) -> None:
    """`upload .` in the home takes the data root and says so."""
    document = json.loads(run("upload", ".", "--json").stdout)

    assert document["totals"]["uploaded"] == 3
    assert "only what is in" in document["left_out"][0]["why"]


def test_metadata_and_policy_travel(home: Path, drive: DriveEmulator, run: Run) -> None:
    """Metadata reaches the Drive, and the policy decides what happens to a taken name."""
    run("upload", "Data/Meta/a.txt", "--metadata", '{"chat": "Design"}')
    (home / "Data/Meta/a.txt").write_bytes(b"alpha, again")

    refused = run("upload", "Data/Meta/a.txt", "--if-exists", "fail", "--json")

    assert live(drive)[0]["properties"] == {"chat": "Design"}
    assert refused.exit_code == 65
    assert json.loads(refused.stdout)["results"][0]["reason"] == "destination_exists"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 64),
        (["Data", "--metadata", "[1]"], 64),
        (["Data", "--metadata", "{"], 64),
        (["Data", "--if-exists", "overwrite"], 64),
        (["Data", "--unknown"], 64),
        (["Data", "--url", "http://127.0.0.1:9", "--emulator"], 64),
        (["Data", "--header", "Authorization: Bearer x"], 64),
        (["Data", "--account", "nobody"], 64),
        (["paths.json"], 65),
        (["Data/gone.txt"], 65),
        (["Data/gone*.txt"], 65),
        (["Data", "--url", "http://127.0.0.1:9"], 75),
    ],
)
def test_the_exit_code_is_that_of_the_worst(drive: DriveEmulator, run: Run, arguments: list[str], code: int) -> None:
    """64 usage, 65 failed for good, 75 try again later."""
    assert run("upload", *arguments).exit_code == code


@pytest.mark.parametrize("text", ["{a}", "[" * 100, "[0" + ",0" * 100_000 + "]"])
def test_metadata_that_is_no_json_is_called_by_its_option(run: Run, text: str) -> None:
    """There is no body that it could stand in."""
    result = run("upload", "Data", "--metadata", text)

    assert result.exit_code == 64
    assert "Invalid value for '--metadata': the text " in result.stderr
    assert "body" not in result.stderr


def test_an_account_that_the_settings_have_not_is_wrong_usage(home: Path, drive: DriveEmulator, run: Run) -> None:
    """It is said once, with the accounts that there are, before any file is called for or logged."""
    result = run("upload", "Data", "--account", "me")

    assert result.exit_code == 64
    assert result.stdout == ""
    assert "--account: there is no account 'me'; the settings have default.\n" in result.stderr
    assert not (home / "upload_log.json").exists()


def test_missing_credentials_are_for_later(home: Path, drive: DriveEmulator, run: Run) -> None:
    """Without a token nothing goes up, and trying again later can help."""
    (home / "drive_token.json").unlink()

    result = run("upload", "Data/Meta/a.txt")

    assert result.exit_code == 75
    assert "failed: credentials_missing" in result.stdout


def test_where_all_failures_are_is_said_only_where_they_are(home: Path, drive: DriveEmulator, run: Run) -> None:
    """`status --open` shows what this home's log has: nothing of a dry run or of a full disk."""
    (home / "drive_token.json").unlink()
    (home / "Data/d.txt").touch()
    advice = "All of them: drive-upload status --open."

    rehearsed = run("upload", "Data", "--dry-run")
    (home / "drive_upload.lock").mkdir()
    unlogged = run("upload", "Data")
    (home / "drive_upload.lock").rmdir()
    logged = run("upload", "Data")

    assert "4 failed with credentials_missing" in rehearsed.stdout
    assert "4 failed with volume_unavailable" in unlogged.stdout
    assert advice not in rehearsed.stdout + unlogged.stdout
    assert advice in logged.stdout


@pytest.mark.parametrize("is_opened", [False, True])
def test_a_lock_that_cant_be_had_is_named_by_its_file(
    home: Path, drive: DriveEmulator, run: Run, monkeypatch: pytest.MonkeyPatch, is_opened: bool
) -> None:
    """It is the one that all destinations share, whether it can't be opened or the volume refuses to lock it."""
    lock = home / ".drive_upload/locks/destinations.lock"
    if is_opened:
        real = fcntl.fcntl

        def refused(fd: int, *arguments: Any) -> Any:
            if os.readlink(f"/proc/self/fd/{fd}") == str(lock):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(fd, *arguments)

        monkeypatch.setattr(fcntl, "fcntl", refused)
    else:
        lock.mkdir(parents=True)

    result = run("upload", "Data/Meta/a.txt")

    assert result.exit_code == 75
    assert f"Data/Meta/a.txt: {lock}: can't be locked (" in result.stdout


def test_missing_settings_are_named(home: Path, run: Run) -> None:
    """Without settings the file that is missing is named."""
    (home / "paths.json").unlink()

    result = run("upload", "Data")

    assert result.exit_code == 78
    assert "paths.json: no such settings file" in result.stderr


def test_settings_that_are_wrong_are_named_with_what_is_accepted(home: Path, run: Run) -> None:
    """By the key's path, in words that are no programmer's."""
    (home / "paths.json").write_text('{"drive_root": "M", "accounts": {"a": {"tokn": "t"}}}', encoding="utf-8")

    result = run("upload", "Data")

    assert result.exit_code == 78
    assert result.stderr == (
        f"Error: {home}/paths.json: accounts.a.tokn: there is no such field; known here: token, drive_root, subject.\n"
    )


def test_the_embedded_drive_is_the_same_one_next_time(home: Path, run: Run) -> None:
    """A second run with --emulator finds everything uploaded; the home's own token is not touched or made."""
    first = json.loads(run("upload", "Data", "--emulator", "--json").stdout)
    second = json.loads(run("upload", "Data", "--emulator", "--json").stdout)

    assert (first["status"], second["status"]) == ("uploaded", "unchanged")
    assert second["totals"]["requests"] == 0
    assert not (home / "drive_token.json").exists()


def test_the_embedded_drive_is_the_same_one_at_another_port(home: Path, run: Run) -> None:
    """When someone else has taken its port, what the job knows of the Drive moves along with it."""
    run("upload", "Data", "--emulator")
    port = int((home / ".drive_emulator/port").read_text())

    with DriveEmulator(port=port):
        document = json.loads(run("upload", "Data", "--emulator", "--json").stdout)

    assert document["status"] == "unchanged"
    assert document["totals"]["requests"] <= 1  # whose token it is: its token endpoint is another one


def test_the_embedded_drive_takes_settings_from_variables_alone(
    home: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a paths.json, as in a container."""
    (home / "paths.json").unlink()
    monkeypatch.setenv("DRIVE_UPLOAD_DRIVE_ROOT", "MemoryVDB")

    assert json.loads(run("upload", "Data", "--emulator", "--json").stdout)["status"] == "uploaded"


def test_the_embedded_drive_gets_no_own_file_of_the_home(home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its settings nor a real token nor what that leads to, whether paths.json names it or a variable."""
    source = {"type": "external_account", "credential_source": {"file": str(home / "Data/me.key")}}
    for name, content in (("me.json", json.dumps(source)), ("me.key", "key"), ("team.json", "{}")):
        (home / "Data" / name).write_text(content)
    settings = {"drive_root": "M", "data_root": ".", "accounts": {"me": {"token": "Data/me.json"}}}
    (home / "paths.json").write_text(json.dumps(settings))
    named = run("upload", "paths.json", "Data/me.json", "Data/me.key", "--emulator", "--json")
    walked = run("upload", "Data", "--emulator")
    monkeypatch.setenv("DRIVE_UPLOAD_ACCOUNTS", '{"team": {"token": "Data/team.json"}}')
    by_variable = run("upload", "Data/team.json", "--emulator", "--json")

    assert {each["reason"] for each in json.loads(named.stdout)["results"]} == {"source_forbidden"}
    assert walked.exit_code == 0
    assert json.loads(by_variable.stdout)["results"][0]["reason"] == "source_forbidden"


def test_the_embedded_drive_stands_accounts_of_a_variable(
    home: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of other names than those of paths.json, with roots of their own and a user to act for."""
    team = {"token": "t.json", "drive_root": {"folder_id": "root"}, "subject": "ada@example.com"}
    monkeypatch.setenv("DRIVE_UPLOAD_ACCOUNTS", json.dumps({"team": team, "me": {"token": "me.json"}}))

    document = json.loads(run("upload", "Data/Meta/a.txt", "--emulator", "--json").stdout)

    assert {each["account"]: each["destination"] for each in document["results"]} == {
        "team": "Meta/a.txt",
        "me": "MemoryVDB/Meta/a.txt",
    }
    assert document["status"] == "uploaded"


@pytest.mark.parametrize("content", [b"", b"\xff", b"x", b"99999", b"-1"])
def test_a_damaged_port_of_the_embedded_drive_is_forgotten(home: Path, run: Run, content: bytes) -> None:
    """As a kill can leave it: another one is taken."""
    (home / ".drive_emulator").mkdir()
    (home / ".drive_emulator/port").write_bytes(content)

    assert run("upload", "Data", "--emulator").exit_code == 0
    assert 0 < int((home / ".drive_emulator/port").read_text()) < 65536


def test_what_else_fails_is_not_blamed_on_the_embedded_drive(home: Path, run: Run) -> None:
    """Only what its own folder refuses is: here first that folder, then a log that a dry run can't copy."""
    (home / ".drive_emulator").write_text("no folder", encoding="utf-8")
    refused = run("upload", "Data", "--emulator")
    (home / ".drive_emulator").unlink()
    (home / "upload_log.json").write_text("[]", encoding="utf-8")
    (home / "upload_log.json").chmod(0)

    with permissions_count():
        unreadable = run("upload", "Data", "--emulator", "--dry-run")

    assert (refused.exit_code, unreadable.exit_code) == (75, 75)
    assert ".drive_emulator: the embedded Drive can't be kept there (File exists)." in refused.stderr
    assert "/upload_log.json: can't be copied for the dry run (Permission denied); mend" in unreadable.stderr
    assert not (home / ".drive_emulator.json").exists()


def test_files_that_were_only_touched_cost_no_request(home: Path, drive: DriveEmulator, run: Run) -> None:
    """A fresh process reads them again, finds what it knows, and has nothing to ask."""
    run("upload", "Data")
    for file in (home / "Data").rglob("*.txt"):
        os.utime(file, (1e9, 1e9))
    app.open_app.cache_clear()
    drive.requests.clear()

    document = json.loads(run("upload", "Data", "--json").stdout)

    assert document["status"] == "unchanged"
    assert len(drive.requests) == 0


def test_a_running_function_is_called_at_its_url(home: Path, drive: DriveEmulator, run: Run) -> None:
    """With --url the same requests go to a function of another process."""
    with function_process({}) as running:
        document = json.loads(run("upload", "Data", "--url", running.url, "--json").stdout)

    assert document["status"] == "uploaded"
    assert len(live(drive)) == 3


def test_where_nobody_answers_nothing_is_summed_up(run: Run) -> None:
    """The error is all that is said, besides what was left out."""
    result = run("upload", "Data", "Dta", "--url", "http://127.0.0.1:9", "--exclude", "a.txt")

    assert result.exit_code == 75
    assert result.stdout == "left out: 1 excluded (Data/Meta/a.txt)\n"
    assert "Is the function running there?" in result.stderr


def test_a_stranger_at_the_url_is_told_apart(drive: DriveEmulator, run: Run) -> None:
    """Something else that answers there is named as what it isn't."""
    result = run("upload", "Data", "--url", f"{drive.url}/nowhere")

    assert result.exit_code == 65
    assert "this isn't Drive Upload" in result.stderr


def test_more_files_than_the_time_allows_all_arrive(
    home: Path, drive: DriveEmulator, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that ran out of the function's time are called again while some get on."""
    for number in range(60):
        (home / "Data" / f"n{number}").write_text(str(number), encoding="utf-8")
    monkeypatch.setenv("DRIVE_UPLOAD_DEADLINE_S", "3")
    drive.set_weather(latency_ms=500)

    result = run("upload", "Data", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["totals"] == {
        **json.loads(result.stdout)["totals"], "entries": 63, "uploaded": 63
    }  # fmt: skip


def test_batches_keep_to_the_functions_limits() -> None:
    """No batch has more than 1000 files or more bytes than a body may have."""
    requests = [{"path": "x" * 4000, "metadata": {"text": "y" * 20_000}} for _ in range(2500)]

    parts = list(invoke.batches(requests))

    assert sum(map(len, parts)) == 2500
    assert max(map(len, parts)) <= 1000
    assert max(len(invoke.encode(part)) for part in parts) <= 10 * 1024 * 1024


def test_one_unacceptable_request_leaves_the_others_to_be_done() -> None:
    """A batch that is refused as a whole is halved until the one that it was refused for stands alone."""

    def call(body: bytes, progress: invoke.Progress) -> invoke.Reply:
        document = json.loads(body)
        files = document.get("files", [document])
        if any(each["path"] == "bad" for each in files):
            return invoke.Reply(400, [{"status": "failed", "reason": "invalid_payload", "path": None}])
        return invoke.Reply(200, [{"status": "uploaded", "path": each["path"]} for each in files])

    requests = [{"path": str(number)} for number in range(9)] + [{"path": "bad"}]

    entries = list(invoke.upload_all(call, requests, lambda *_: None, lambda: False))

    assert [each["status"] for each in entries] == ["uploaded"] * 9 + ["failed"]


def test_litter_is_left_out_of_folders_and_said_in_one_line(home: Path, drive: DriveEmulator, run: Run) -> None:
    """What systems and editors leave, .git/ and what --exclude names stay here; a file that is named goes up."""
    for name in (".DS_Store", "Meta/.git/config", "Meta/note.txt~", "Notes/big.iso", "Notes/x.crdownload"):
        (home / "Data" / name).parent.mkdir(parents=True, exist_ok=True)
        (home / "Data" / name).write_text("litter", encoding="utf-8")

    shown = run("upload", "Data", "--exclude", "*.iso")
    named = run("upload", "Data/Notes/x.crdownload", "--json")

    assert "left out: 5 excluded (" in shown.stdout
    assert "3 uploaded" in shown.stdout
    assert json.loads(named.stdout)["status"] == "uploaded"
    assert sorted(each["name"] for each in live(drive)) == ["a.txt", "b.txt", "c.txt", "x.crdownload"]


def test_a_glob_leaves_litter_out_and_a_pattern_lets_it_in(home: Path, drive: DriveEmulator, run: Run) -> None:
    """A glob is no name; `!PATTERN` and the setting `exclude` have the last word."""
    (home / "Data/Meta/x.tmp").write_text("x", encoding="utf-8")

    left = json.loads(run("upload", "Data/**/*", "--json").stdout)
    let_in = json.loads(run("upload", "Data/**/*", "--exclude", "!x.tmp", "--json").stdout)

    assert [each["path"] for each in left["left_out"]] == ["Data/Meta/x.tmp"]
    assert "Data/Meta/x.tmp" in {each["path"] for each in let_in["results"]}


def test_a_cause_that_fails_many_files_is_told_once(home: Path, drive: DriveEmulator, run: Run) -> None:
    """300 files without a token are one line, with what to do, and the totals."""
    for number in range(300):
        (home / "Data" / f"n{number}").touch()
    (home / "drive_token.json").unlink()

    result = run("upload", "Data")

    assert result.exit_code == 75
    assert "303 failed with credentials_missing" in result.stdout
    assert "drive-upload authorize" in result.stdout
    assert len(result.stdout.splitlines()) == 2


def test_quiet_shows_only_what_failed(home: Path, drive: DriveEmulator, run: Run) -> None:
    """-q: nothing where all is well, the failure where it isn't."""
    well = run("-q", "upload", "Data")
    failed = run("-q", "upload", "Data", "Data/nowhere.txt")

    assert (well.exit_code, well.stdout) == (0, "")
    assert failed.exit_code == 65
    assert "Data/nowhere.txt" in failed.stdout
    assert "a.txt" not in failed.stdout


def test_ctrl_c_is_one_sentence_and_the_next_run_sends_the_rest(home: Path, drive: DriveEmulator) -> None:
    """Interrupted among 61 files: one sentence, exit 75; then what was sent is not sent again, and is not counted."""
    size = 12 * 1024 * 1024
    (home / "Data/large.bin").write_bytes(os.urandom(size))
    for number in range(60):
        (home / "Data" / f"n{number}").touch()
    drive.set_weather(latency_ms=100)
    drive.faults.add({"on": "upload.send", "do": "reset_in_body", "after_bytes": size // 2})
    drive.faults.add({"on": "upload.status", "do": "delay", "ms": 4000})
    process = subprocess.Popen(
        [sys.executable, "-m", "local_runner", "upload", "Data"],
        env=os.environ | {"PYTHONPATH": str(PROJECT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not any(request.method_id == "upload.status" for request in drive.requests):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    shown, errors = process.communicate(timeout=60)
    drive.faults.clear()
    drive.set_weather(latency_ms=0)

    again = subprocess.run(
        [sys.executable, "-m", "local_runner", "upload", "Data", "--json"],
        env=os.environ | {"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    assert process.returncode == 75
    assert [line for line in (shown + errors).splitlines() if "nterrupted" in line] == [shown.splitlines()[-1]]
    assert re.search(r"Interrupted: \d+ of 64 done, .* sent; the same command goes on", shown)
    assert "deadline_exceeded" not in shown
    totals = json.loads(again.stdout)["totals"]
    assert totals["failed"] == 0
    assert 0 < totals["bytes_sent"] < size


def test_what_was_sent_before_ctrl_c_counts_as_done(home: Path, drive: DriveEmulator) -> None:
    """Interrupted among many files: those that were sent are settled and logged, and the sentence counts them."""
    for number in range(200):
        (home / f"Data/many-{number}").write_text(str(number), encoding="utf-8")
    drive.set_weather(latency_ms=100)
    process = subprocess.Popen(
        [sys.executable, "-m", "local_runner", "upload", "Data"],
        env=os.environ | {"PYTHONPATH": str(PROJECT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while drive.requests.count("files.create") < 40:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate(timeout=60)

    assert process.returncode == 75
    (done,) = re.findall(r"Interrupted: (\d+) of \d+ done", shown)
    assert int(done) >= 30


def test_a_walk_over_the_whole_home_leaves_the_jobs_own_files_out(home: Path, run: Run) -> None:
    """With data_root "." neither settings nor tokens, log, state or the embedded Drive go up or fail, twice."""
    (home / "paths.json").write_text('{"drive_root": "M", "data_root": "."}', encoding="utf-8")
    for name in (
        "client_secret.json",
        "client_secret_1-a.apps.googleusercontent.com.json",
        "drive_token.json",
        "paths.json.bak",
    ):
        (home / name).touch()

    first = run("upload", ".", "--emulator", "--json")
    second = run("upload", ".", "--emulator", "--exclude", "!*", "--json")
    named = run("upload", "drive_token.json", "--emulator", "--json")

    assert [each["reason"] for each in json.loads(named.stdout)["results"]] == ["source_forbidden"]
    for result, status in ((first, "uploaded"), (second, "unchanged")):
        document = json.loads(result.stdout)
        assert {each["path"]: each["status"] for each in document["results"]} == dict.fromkeys(
            ("Data/Meta/a.txt", "Data/Meta/b.txt", "Data/Notes/c.txt"), status
        )


def test_an_edited_file_is_said_to_have_a_new_name(home: Path, drive: DriveEmulator, run: Run) -> None:
    """keep_both, the default, surprises whoever edits: the run and the dry run say so, and how else."""
    unedited = run("upload", "Data")
    (home / "Data/Meta/a.txt").write_text("alpha, edited", encoding="utf-8")

    rehearsed, real = run("upload", "Data", "--dry-run"), run("upload", "Data")

    assert "under a new name" not in unedited.stdout
    assert "1 would go up under a new name, as MemoryVDB/Meta/a (2).txt" in rehearsed.stdout
    assert "1 went up under a new name, as MemoryVDB/Meta/a (2).txt" in real.stdout
    assert "--if-exists new_revision" in real.stdout
    assert "under a new name" not in run("upload", "Data").stdout
