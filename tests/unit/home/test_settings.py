"""What paths.json and the environment may say, and how the README tells of it."""

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from function.core.errors import SettingsError
from function.core.types import Root
from function.home.settings import EXCLUDE, VARIABLES, Settings, documentation, load
from tests.support.home import PROJECT
from tests.support.mutated_files import spoiled

MUTANTS = int(os.environ.get("SETTINGS_MUTANTS", "2000"))
"""How many mistaken settings are tried; 50,000 take half a minute."""

COMPLETE: dict[str, Any] = {
    "drive_root": {"drive_id": "0AbC", "path": "Memory/VDB"},
    "data_root": "Data",
    "state_root": "state",
    "accounts": {"a": {"token": "t", "drive_root": "Other", "subject": "me@example.com"}},
    "if_exists": "skip",
    "lock": "lease",
    "deadline_s": 60,
    "exclude": ["*.tmp"],
    "bandwidth_limit": "4M",
    "log_max_mb": 2,
}

MISTAKES: list[Any] = [
    None, True, 0, -1, 1e308, 10**30, "", " ", "\0", "/", "..", "\\", "\ud800", "{}", "[", "nan", "x" * 5000, [], {},
    {"folder_id": "x"}, {"a": {"token": "t"}}, {"\ud800": {}}, ["\ud800"], "https://drive.google.com/", "4M", [[]],
]  # fmt: skip


def settings(folder: Path, document: object, environ: dict[str, str] | None = None) -> Settings:
    """What is made of a settings file with that content."""
    path = folder / "paths.json"
    path.write_text(json.dumps(document))
    return load({"DRIVE_UPLOAD_PATHS": str(path)} | (environ or {}))


def test_the_readme_has_every_setting_as_the_code_has_it() -> None:
    """Key, default and meaning, row for row; the patterns left out by default; the names of the variables."""
    readme = (PROJECT / "README.md").read_text()

    table = [line for line in readme.splitlines() if line.startswith(tuple(f"| `{name}` |" for name in VARIABLES))]

    assert table == documentation()
    assert all(f"`{pattern}`" in readme for pattern in EXCLUDE)
    assert all(name in readme for name in ("DRIVE_UPLOAD_PATHS", "DRIVE_UPLOAD_HOME", "DRIVE_EMULATOR_PLAIN_HTTP"))


def test_complete_settings(tmp_path: Path) -> None:
    """Every key, with what becomes of it."""
    found = settings(tmp_path, COMPLETE)

    (account,) = found.accounts
    assert (found.home, found.state_root, found.data_root) == (tmp_path, tmp_path / "state", tmp_path / "Data")
    assert (account.token, account.root, account.subject) == (tmp_path / "t", Root(path="Other"), "me@example.com")
    assert (found.if_exists, found.lock, found.deadline_s) == ("skip", "lease", 60)
    assert (found.exclude, found.bandwidth_limit, found.log_max_mb) == (("*.tmp",), 4 * 1024 * 1024, 2)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("4M", 4 * 1024**2), ("1.5k", 1536), ("100B", 100), ("2GiB", 2 * 1024**3), ("1 MB", 1024**2), ("off", None)],
)
def test_rates_as_rclone_writes_them(tmp_path: Path, text: str, rate: int | None) -> None:
    """With a unit, in steps of 1024."""
    assert settings(tmp_path, COMPLETE | {"bandwidth_limit": text}).bandwidth_limit == rate


@pytest.mark.parametrize(
    "address",
    [
        "https://drive.google.com/drive/folders/1AbC-_9",
        "https://drive.google.com/drive/u/1/folders/1AbC-_9?usp=sharing",
        "https://drive.google.com/drive/mobile/folders/1AbC-_9?usp=drive_link&resourcekey=0-x",
        "drive.google.com/drive/folders/1AbC-_9/",
        " https://drive.google.com/drive/folders/1AbC-_9#grid ",
    ],
)
def test_addresses_of_folders(tmp_path: Path, address: str) -> None:
    """All forms that browsers show are one id, as drive_root and as its folder_id."""
    assert settings(tmp_path, {"drive_root": address}).accounts[0].root == Root(folder_id="1AbC-_9")
    assert settings(tmp_path, {"drive_root": {"folder_id": address}}).accounts[0].root == Root(folder_id="1AbC-_9")


def test_application_default_credentials_are_no_file(tmp_path: Path) -> None:
    """The word stands for them, a path to a file of that name doesn't."""
    accounts = {"robot": {"token": "application-default"}, "file": {"token": "./application-default"}}

    found = settings(tmp_path, COMPLETE | {"accounts": accounts})

    assert [each.is_application_default for each in found.accounts] == [True, False]


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9", "localhost", "[::1]:9", "http://a.localhost:9/", "https://example.com/x/"]
)
def test_emulators_that_are_taken(tmp_path: Path, host: str) -> None:
    """This machine in any form, another one by https."""
    url = settings(tmp_path, COMPLETE, {"DRIVE_EMULATOR_HOST": host}).emulator

    assert url == (host if "://" in host else f"http://{host}").rstrip("/")


def test_a_host_that_is_named_twice_gets_plain_http(tmp_path: Path) -> None:
    """The host that is named, and no other."""
    environ = {"DRIVE_EMULATOR_HOST": "emulator:9099", "DRIVE_EMULATOR_PLAIN_HTTP": "emulator"}

    assert settings(tmp_path, COMPLETE, environ).emulator == "http://emulator:9099"
    with pytest.raises(SettingsError, match="DRIVE_EMULATOR_PLAIN_HTTP=other"):
        settings(tmp_path, COMPLETE, environ | {"DRIVE_EMULATOR_HOST": "other:9099"})


def test_a_pipe_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    """It would be read for ever."""
    os.mkfifo(tmp_path / "paths.json")

    with pytest.raises(SettingsError, match="no file"):
        load({"DRIVE_UPLOAD_PATHS": str(tmp_path / "paths.json")})


def damaged(dice: random.Random, content: bytes) -> bytes:
    """The bytes with some of them changed, gone or doubled."""
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(content) + 1)
        content = (
            content[:at] + dice.choice([b"", b"\0", b"\xff", b'"', b"{", b"\\ud800", content[:9]]) + content[at + 1 :]
        )
    return content


@pytest.mark.parametrize("seed", range(8))
def test_mistakes_of_every_kind_end_in_a_sentence(tmp_path: Path, seed: int) -> None:
    """Whatever stands in the file and in the variables: settings, or an error that can be printed, not too long."""
    dice = random.Random(seed)
    path = tmp_path / "paths.json"
    for _ in range(MUTANTS // 8):
        content = json.dumps(spoiled(dice, COMPLETE, MISTAKES)).encode("utf-8")
        path.write_bytes(damaged(dice, content) if dice.random() < 0.5 else content)
        environ = {"DRIVE_UPLOAD_PATHS": str(path)}
        if dice.random() < 0.5:
            variable = dice.choice([*VARIABLES.values(), "DRIVE_EMULATOR_HOST", "DRIVE_UPLOAD_X"])
            environ[variable] = str(dice.choice(MISTAKES))
        refusal = refused(environ)
        if refusal is not None:
            assert refusal.encode()
            assert refusal.endswith(".")
            assert len(refusal) < 1000


def refused(environ: dict[str, str]) -> str | None:
    """What the settings are refused with."""
    try:
        load(environ)
    except SettingsError as error:
        return error.message
    return None
