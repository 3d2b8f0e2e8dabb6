"""paths.json and the environment: what is accepted, and what is refused in a sentence that names the key."""

import json
import os
import time
from typing import Any

import pytest

from function.home.settings import VARIABLES
from tests.support.home import Home, Post
from tests.support.owner import FOLDER, SHORTCUT, Owner

REFUSED: dict[str, tuple[str, str]] = {
    "no JSON": ("{", "JSON"),
    "nothing": ("", "JSON"),
    "no UTF-8": ("\udcff", "JSON"),
    "a list": ("[]", "object"),
    "nested beyond any stack": ("[" * 100_000, "JSON"),
    "no drive_root": ("{}", "drive_root"),
    "drive_root: a number": ('{"drive_root": 7}', "drive_root"),
    "drive_root: an empty object": ('{"drive_root": {}}', "drive_root"),
    "drive_root: both ids": ('{"drive_root": {"folder_id": "a", "drive_id": "b"}}', "drive_root"),
    "drive_root: an unknown key": ('{"drive_root": {"id": "a"}}', "drive_root"),
    "drive_root: nothing": ('{"drive_root": ""}', "drive_root"),
    "drive_root: slashes": ('{"drive_root": "//"}', "drive_root"),
    "drive_root: another address": ('{"drive_root": "https://drive.google.com/file/d/1AbC/view"}', "drive_root"),
    "drive_root: a foreign address": ('{"drive_root": "https://example.com/drive/folders/1AbC"}', "drive_root"),
    "drive_root: backslashes": ('{"drive_root": "Memory\\\\VDB"}', "drive_root"),
    "drive_root: JSON in quotes": ('{"drive_root": "{\\"folder_id\\": 1}"}', "drive_root"),
    "drive_root: quotes of an env file": (r'{"drive_root": "\"MemoryVDB\""}', "drive_root"),
    "drive_root: a shell's home": ('{"drive_root": "~/Memory"}', "drive_root"),
    "drive_root: a variable": ('{"drive_root": "$HOME/x"}', "drive_root"),
    "drive_root: a disk": ('{"drive_root": "C:/x"}', "drive_root"),
    "drive_root: half an address": ('{"drive_root": "https:/drive.google.com/drive/folders/abc"}', "drive_root"),
    "drive_root: a line break": ('{"drive_root": "MemoryVDB\\n"}', "drive_root"),
    "drive_root: half a character": ('{"drive_root": "M\\ud83d"}', "not valid JSON (a \\u escape is half a character"),
    "a key with half a character": ('{"\\udca9": 1}', "not valid JSON (a \\u escape is half a character"),
    "cut short": ('{"drive_root": "M"', "not valid JSON (Input data was truncated"),
    "drive_root: no id": ('{"drive_root": {"folder_id": "a b"}}', "drive_root.folder_id"),
    "drive_root: an empty id": ('{"drive_root": {"folder_id": ""}}', "drive_root.folder_id"),
    "drive_root: dots": ('{"drive_root": "a/../b"}', "drive_root"),
    "an unknown key": ('{"drive_root": "M", "colour": 1}', "colour"),
    "data_root: a list": ('{"drive_root": "M", "data_root": []}', "data_root"),
    "data_root: nothing": ('{"drive_root": "M", "data_root": ""}', "data_root"),
    "data_root: NUL": ('{"drive_root": "M", "data_root": "a\\u0000"}', "data_root"),
    "state_root: null": ('{"drive_root": "M", "state_root": null}', "state_root"),
    "accounts: a list": ('{"drive_root": "M", "accounts": []}', "accounts"),
    "accounts: none": ('{"drive_root": "M", "accounts": {}}', "accounts"),
    "accounts: no token": ('{"drive_root": "M", "accounts": {"a": {}}}', "accounts.a.token: is missing; give a path."),
    "accounts: an unknown key": (
        '{"drive_root": "M", "accounts": {"a": {"tokn": "t"}}}',
        "accounts.a.tokn: there is no such field; known here: token, drive_root, subject.",
    ),
    "accounts: an impossible name": ('{"drive_root": "M", "accounts": {"../a": {"token": "t"}}}', "../a"),
    "accounts: a bad root": ('{"drive_root": "M", "accounts": {"a": {"token": "t", "drive_root": {}}}}', "accounts.a"),
    "accounts: an empty token": ('{"drive_root": "M", "accounts": {"a": {"token": ""}}}', "accounts"),
    "accounts: no address": (
        '{"drive_root": "M", "accounts": {"a": {"token": "t", "subject": "me"}}}',
        "subject: must be an e-mail address or null.",
    ),
    "exclude: a text": ('{"drive_root": "M", "exclude": "*.tmp"}', "exclude: must be a list of patterns."),
    "bandwidth_limit: no unit": ('{"drive_root": "M", "bandwidth_limit": "4000"}', "bandwidth_limit"),
    "bandwidth_limit: nothing": ('{"drive_root": "M", "bandwidth_limit": "0M"}', "bandwidth_limit"),
    "log_max_mb: nothing": ('{"drive_root": "M", "log_max_mb": 0}', "log_max_mb"),
    "if_exists: overwrite": ('{"drive_root": "M", "if_exists": "overwrite"}', "keep_both, skip"),
    "lock: none": ('{"drive_root": "M", "lock": "none"}', "native, lease"),
    "deadline_s: text": ('{"drive_root": "M", "deadline_s": "300"}', "deadline_s: must be a number of seconds"),
    "deadline_s: nothing": ('{"drive_root": "M", "deadline_s": 0}', "deadline_s"),
    "deadline_s: a week": ('{"drive_root": "M", "deadline_s": 604800}', "deadline_s"),
}


@pytest.mark.parametrize(("content", "names"), REFUSED.values(), ids=list(REFUSED))
def test_settings_that_are_refused(home: Home, post: Post, content: str, names: str) -> None:
    """503, since nothing is wrong with the request; the file and the key are named; nothing is tried."""
    path = home.put()
    home.write("paths.json", content.encode("utf-8", "surrogateescape"))

    answer = post(home, {"path": path})

    assert (answer.code, answer.body["status"], answer.entry["reason"]) == (503, "failed", "settings_invalid")
    assert "paths.json" in answer.entry["message"]
    assert names in answer.entry["message"]
    assert answer.entry["message"].endswith(".")
    assert len(home.drive.requests) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IF_EXISTS", "overwrite"),
        ("LOCK", "none"),
        ("DEADLINE_S", "soon"),
        ("DEADLINE_S", "-1"),
        ("DEADLINE_S", "nan"),
        ("DEADLINE_S", "inf"),
        ("DRIVE_ROOT", ".."),
        ("DRIVE_ROOT", "https://drive.google.com/"),
        ("DRIVE_ROOT", "{"),
        ("DRIVE_ROOT", '{"folder": "1AbC"}'),
        ("DRIVE_ROOT", "\udcff"),
        ("ACCOUNTS", "default"),
        ("EXCLUDE", "*.tmp"),
        ("BANDWIDTH_LIMIT", "fast"),
        ("LOG_MAX_MB", "1 GB"),
        ("DATA_ROT", "Data"),
        ("COLOUR", "1"),
    ],
)
def test_an_environment_that_is_refused(home: Home, post: Post, name: str, value: str) -> None:
    """A variable is held to the same rules as its key."""
    home.environ[f"DRIVE_UPLOAD_{name}"] = value

    answer = post(home, {"path": home.put()})

    assert (answer.code, answer.entry["reason"]) == (503, "settings_invalid")
    assert f"DRIVE_UPLOAD_{name}" in answer.entry["message"]
    assert len(home.drive.requests) == 0


def test_an_empty_variable_counts_as_not_set(home: Home, post: Post) -> None:
    """As compose files leave them: nothing but the data root is read."""
    home.environ.update(dict.fromkeys(VARIABLES.values(), ""))

    assert post(home, {"path": home.put()}).code == 200
    assert post(home, {"path": "paths.json"}).code == 403


def test_settings_by_variables_alone(home: Home, post: Post) -> None:
    """With the root in a variable the file may be absent; the home is what DRIVE_UPLOAD_HOME says."""
    (home.folder / "paths.json").unlink()
    del home.environ["DRIVE_UPLOAD_PATHS"]
    home.environ.update(
        {
            "DRIVE_UPLOAD_HOME": str(home.folder),
            "DRIVE_UPLOAD_DRIVE_ROOT": "MemoryVDB",
            "DRIVE_UPLOAD_ACCOUNTS": '{"robot": {"token": "drive_token.json"}}',
        }
    )

    answer = post(home, {"path": home.put()})

    assert (answer.code, answer.entry["account"]) == (200, "robot")
    assert home.log() == [answer.entry]


@pytest.mark.parametrize("around", ["{}", "https://drive.google.com/drive/u/0/folders/{}?usp=sharing", " {} "])
def test_a_folder_named_as_the_browser_shows_it(home: Home, post: Post, around: str) -> None:
    """Its address, or its id with spaces around it, leads to that folder."""
    folder = Owner(home.drive).make("Somewhere/Deep", mime_type=FOLDER)
    value: object = around.format(folder)
    home.settings(drive_root=value if "://" in around else {"folder_id": value})

    answer = post(home, {"path": home.put()})

    assert answer.code == 200
    assert list(home.stored()) == ["Somewhere/Deep/Meta/note.txt"]


def test_a_shortcut_to_a_folder_leads_there(home: Home, post: Post) -> None:
    """The folder that it leads to gets the files, and is where state looks for them when the shortcut is gone."""
    owner = Owner(home.drive)
    folder = owner.make("Somewhere/Deep", mime_type=FOLDER)
    shortcut = owner.make("Way in", mime_type=SHORTCUT, shortcutDetails={"targetId": folder})
    home.settings(drive_root={"folder_id": shortcut})

    first = post(home, {"path": home.put("Data/a.txt")})
    owner.change(shortcut, trashed=True)
    again = home.one_off(home.put("Data/a.txt"))
    changed = home.one_off(home.put("Data/a.txt", "other"))

    assert (first.code, again.returncode, changed.returncode) == (200, 0, 0)
    assert [each["status"] for each in home.log()] == ["uploaded", "unchanged", "uploaded"]
    assert sorted(home.stored()) == ["Somewhere/Deep/a (2).txt", "Somewhere/Deep/a.txt"]


@pytest.mark.parametrize("is_shortcut", [True, False])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_root_that_leads_to_no_folder_is_refused(
    home: Home, post: Post, *, is_shortcut: bool, is_there: bool
) -> None:
    """What a folder_id leads to must be a folder that is there."""
    owner = Owner(home.drive)
    base = target = owner.make("theirs.txt")
    if is_shortcut:
        base = owner.make("Way in", mime_type=SHORTCUT, shortcutDetails={"targetId": target})
    if not is_there:
        owner.delete(target)
    home.settings(drive_root={"folder_id": base})

    answer = post(home, {"path": home.put()})

    assert (answer.code, answer.entry["reason"]) == (503, "drive_root_not_found")
    assert base in answer.entry["message"]


def test_a_byte_order_mark_is_no_mistake(home: Home, post: Post) -> None:
    """Windows' editors write one."""
    home.write("paths.json", b'\xef\xbb\xbf{"drive_root": "MemoryVDB"}')

    assert post(home, {"path": home.put()}).code == 200


@pytest.mark.parametrize(
    "host", ["http://198.51.100.7:9099", "emulator:9099", "https://user:canary@localhost", "ftp://x"]
)
def test_an_emulator_that_would_get_tokens_in_clear_is_refused(home: Home, post: Post, host: str) -> None:
    """Plain http goes to this machine only, unless the host is named once more."""
    home.environ["DRIVE_EMULATOR_HOST"] = host

    answer = post(home, {"path": home.put()})

    assert (answer.code, answer.entry["reason"]) == (503, "settings_invalid")
    assert "DRIVE_EMULATOR_HOST" in answer.entry["message"]


def test_every_scalar_can_be_set_by_the_environment(home: Home, post: Post) -> None:
    """It wins over paths.json."""
    home.settings(data_root="nowhere", state_root="nowhere", if_exists="fail", lock="native", deadline_s=1)
    home.put("Zone/Meta/note.txt")
    home.environ.update(
        {
            "DRIVE_UPLOAD_DRIVE_ROOT": "Other/Root",
            "DRIVE_UPLOAD_DATA_ROOT": "Zone",
            "DRIVE_UPLOAD_STATE_ROOT": "state",
            "DRIVE_UPLOAD_IF_EXISTS": "skip",
            "DRIVE_UPLOAD_LOCK": "lease",
            "DRIVE_UPLOAD_DEADLINE_S": "60",
            "DRIVE_UPLOAD_EXCLUDE": '["*.bak"]',
            "DRIVE_UPLOAD_BANDWIDTH_LIMIT": "1G",
            "DRIVE_UPLOAD_LOG_MAX_MB": "1.5",
        }
    )

    answer = post(home, {"path": "Zone/Meta/note.txt"})

    assert (answer.code, answer.entry["destination"]) == (200, "Other/Root/Meta/note.txt")
    there = [each for each in sorted(os.listdir(home.folder / "state")) if not each.startswith("drive_upload.lock")]
    assert there[:2] == [".drive_upload", "upload_log.json"]  # the log's lease may be let go after the answer
    assert not (home.folder / "upload_log.json").exists()


@pytest.mark.parametrize("lock", ["native", "lease"])
def test_what_the_home_holds_afterwards(home: Home, post: Post, lock: str) -> None:
    """The names of the contract, and nothing else; the state for nobody else's eyes."""
    home.settings(lock=lock)

    post(home, {"path": home.put(content=bytes(6_000_000))})

    names = set(os.listdir(home.folder))
    assert names - {"drive_upload.lock"} == {
        "paths.json", "drive_token.json", "Data", "upload_log.json", ".drive_upload",
    }  # fmt: skip
    receipts = [each for each in (home.folder / ".drive_upload").rglob("*.json") if "receipts" in each.parts]
    assert receipts
    assert all(each.stat().st_mode & 0o077 == 0 for each in receipts)


def test_relative_paths_start_at_the_home(home: Home, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the process was started."""
    monkeypatch.chdir("/")

    assert post(home, {"path": home.put()}).code == 200


def test_settings_are_read_at_each_call(home: Home, post: Post) -> None:
    """A change counts from the next call on."""
    path = home.put()
    first = post(home, {"path": path})
    home.settings(drive_root="Elsewhere")

    second = post(home, {"path": path})

    assert [first.entry["destination"], second.entry["destination"]] == [
        "MemoryVDB/Meta/note.txt",
        "Elsewhere/Meta/note.txt",
    ]


SECRET_CASES: dict[str, dict[str, Any]] = {
    "an upload": {},
    "503": {"do": "status", "status": 503, "times": 2},
    "400": {"on": "upload.start", "do": "status", "status": 400, "times": 9},
    "reset": {"on": "upload.send", "do": "reset_before", "times": 3},
    "a lost session": {"on": "upload.send", "do": "lose_session"},
    "cut short": {"do": "truncate_answer", "times": 4},
    "no time": {"on": "upload.send", "do": "delay", "ms": 5000},
    "401": {"do": "status", "status": 401, "times": 50},
}


@pytest.mark.parametrize("fault", SECRET_CASES.values(), ids=list(SECRET_CASES))
@pytest.mark.usefixtures("quick_retries")
def test_secrets_never_show(home: Home, fault: dict[str, Any]) -> None:
    """No token, refresh token, client secret or session URI in the answer, the log, or what the process prints."""
    token = home.drive.authorized_user() | {"client_secret": "GOCSPX-do-not-show"}
    token |= {"expiry": "2020-01-01T00:00:00Z", "token": "ya29.do-not-show"}
    if fault:
        home.drive.faults.add({"on": "*"} | fault)
    else:
        token = home.drive.authorized_user()
    home.write("drive_token.json", json.dumps(token))
    home.settings(deadline_s=3)
    path = home.put(content=bytes(6_000_000))

    run = home.one_off(path, environ={"LOG_LEVEL": "DEBUG"})

    shown = run.stdout + run.stderr + (home.folder / "upload_log.json").read_text()
    issued = [each for each in home.drive.drive.store.tokens if each != token["client_id"]]
    for secret in [token["token"], token["refresh_token"], token["client_secret"], "upload_id=", "Bearer", *issued]:
        assert secret not in shown


def test_the_bandwidth_limit_holds_for_all_files_together(home: Home, post: Post) -> None:
    """Large and small ones, side by side: the second half of the bytes waits for the first."""
    home.settings(bandwidth_limit="8M")
    paths = [home.put(f"Data/Meta/{index}.bin", bytes(size)) for index, size in enumerate((7_000_000, 3_000_000, 9))]
    began = time.monotonic()

    answer = post(home, {"files": [{"path": path} for path in paths]})

    assert answer.body["status"] == "uploaded"
    assert time.monotonic() - began > 0.7  # the last megabyte may go at once: 7 to 9 of 10 MB at 8 MB/s come before it
