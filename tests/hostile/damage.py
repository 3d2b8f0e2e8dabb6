"""Homes in which one file is damaged: the job and the commands that read it, and what comes out of them judged.

In a home where one file was uploaded and another one failed, a case damages a file of the home, calls the job and some
commands, mends what a person has to mend, and calls until all is uploaded.
"""

import io
import json
import os
import shutil
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from click.testing import CliRunner
from werkzeug.test import Client, TestResponse

from function.core import retry
from function.core.errors import SettingsError
from function.home import settings
from function.serving.app import open_app
from local_runner.cli import cli
from local_runner.drive_emulator import DriveEmulator
from tests.hostile.calls import TRACEBACK, Broken
from tests.support.home import Home, new_home
from tests.support.in_process import function_client
from tests.support.mutated_files import mutated
from tests.support.owner import Owner
from tests.support.receipt_files import documents
from tests.support.token_files import by_pydrive2, key_by_pydrive2

NOTE, LATER = "Data/Meta/note.txt", "Data/Meta/later.txt"

SOURCES = {NOTE: b"remember me\n", LATER: b"remember me, too\n"}

USER = "user@example.com"
"""The embedded Drive's first, for whom service accounts act."""

CLIENT_SECRET = "r-of-this-machine"
"""A piece of the embedded Drive's own, as long as it is no other word."""
PROXY_PASSWORD = "Proxy0Canary9wQ4"
SESSION = "Session0Canary5tB8"
METADATA = "Metadata0Canary3mZ6"

PIECE, STEP = 10, 4
"""So many characters of a secret are a leak; pieces are taken from every fourth character on."""

COMMANDS = (("status",), ("status", "--open"), ("report", "--output", "-"), ("retry", "--all"), ("doctor",))

EXIT_CODES = {0, 64, 65, 75, 78}

FILE_OF = {"settings_invalid": "paths.json", "credentials_missing": "/home/", "credentials_invalid": "/home/"}
"""Reason -> what its message has to name; damaged settings may name another token file of the home."""

LONGEST_S = 30.0

GROUP = 20
"""Cases in a row that begin with the same home."""

ODD: list[Any] = [
    None, True, False, 0, -1, 1.5, 2**70, 10**30, 1e308, float("nan"), float("inf"), "", " ", "x", "\0", "\ud800",
    "a\nb\x1b[31m", "x" * 5000, [], {}, [[]], [None], {"a": 1}, "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z",
    "2026-13-01", "2020-01-01T00:00:00Z", "9" * 400, "é", "%s%n", "{}", "Data", "Data/Meta/note.txt", "paths.json",
    "drive_token.json", "upload_log.json", "me@example.com", "http://127.0.0.1:9/token", "https://[", "default",
    "application-default", "authorized_user", "service_account", "lease", "skip", "4M", {"folder_id": "x"},
    "https://drive.google.com/drive/folders/1AbC", {"drive_id": "0AbC", "path": "x"}, "root", "\u202e", "\ufeff",
]  # fmt: skip


@dataclass(slots=True)
class Said:
    """All that came out, by where it came out."""

    texts: list[tuple[str, str]] = field(default_factory=list)

    def add(self, where: str, text: str) -> None:
        self.texts.append((where, text))


# --- a case


def damages_of(seed: int, numbers: Sequence[int]) -> list[Broken]:
    """The cases of those numbers; what was wrong, by number."""
    broken: list[Broken] = []
    with patch.object(retry, "LONGEST_S", 0.02):  # between two tries of a request
        for group, part in groupby(numbers, lambda number: number // GROUP):
            with Stage.built(Random(f"stage {seed}/{group}")) as stage:
                for number in part:
                    stage.reset()
                    found = _ended(Case(Random(f"damage {seed}/{number}"), stage.home))
                    if found:
                        broken.append((number, found))
    return broken


def _ended(case: "Case") -> list[str]:
    try:
        return case.run()
    except Exception:  # noqa: BLE001 - whatever it is, the others have their turn
        return [traceback.format_exc(), case.damaged]


@dataclass(slots=True)
class Stage:
    """A home in which something was done already, and which can be had anew for the next case."""

    home: Home
    files: frozenset[str]
    """Ids on the Drive."""

    @classmethod
    @contextmanager
    def built(cls, dice: Random) -> "Iterator[Stage]":
        """A stage with a token and settings of some form, in the environment that its cases have."""
        with tempfile.TemporaryDirectory(prefix="hostile-") as folder, DriveEmulator() as drive:
            home = prepared(dice, Path(folder), drive)
            with _environment(home):
                begin(home)
                shutil.copytree(home.folder, home.folder.with_name("begun"))
                yield cls(home, frozenset(each["id"] for each in drive.files()))

    def reset(self) -> None:
        """Home and Drive as they were in the beginning, and a process that remembers nothing."""
        shutil.rmtree(self.home.folder)
        shutil.copytree(self.home.folder.with_name("begun"), self.home.folder)
        self.home.drive.faults.clear()
        made = [each for each in self.home.drive.files() if each["id"] not in self.files and each["owner"] == USER]
        for each in sorted(made, key=lambda file: -file["path"].count("/")):  # a folder takes along what is in it
            Owner(self.home.drive).delete(each["id"])
        open_app.cache_clear()


@contextmanager
def _environment(home: Home) -> Iterator[None]:
    proxy = f"http://user:{PROXY_PASSWORD}@127.0.0.1:9"
    more = {"LOG_LEVEL": "DEBUG", "HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "NO_PROXY": "127.0.0.1"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DRIVE_")}
    with patch.dict(os.environ, inherited | home.environ | more, clear=True):
        yield


def prepared(dice: Random, folder: Path, drive: DriveEmulator) -> Home:
    """A home with token and settings of some form, and two sources."""
    home = new_home(folder / "home", drive)
    account: dict[str, Any] = {"token": "drive_token.json"}
    token, acts_for = dice.choice(TOKENS)(drive)
    if acts_for:
        account["subject"] = USER
    home.write("drive_token.json", json.dumps(token, indent=2)).chmod(0o600)
    some: dict[str, Any] = {
        "data_root": "Data",
        "state_root": ".",
        "lock": "native",
        "exclude": ["*.tmp"],
        "if_exists": "keep_both",
        "bandwidth_limit": "400M",
        "log_max_mb": 2,
    }
    chosen = {name: some[name] for name in some if dice.random() < 0.5}
    if dice.random() < 0.3:
        chosen["drive_root"] = {"folder_id": Owner(drive).folder("MemoryVDB", "root")}
    home.settings(deadline_s=3, accounts={"default": account}, **chosen)
    for path, content in SOURCES.items():
        home.put(path, content)
    return home


def begin(home: Home) -> None:
    """NOTE is uploaded, LATER has failed; a claim of a dead process with its session is in a receipt."""
    assert call(NOTE).status_code == 200
    home.drive.faults.add({"on": "files.create", "do": "status", "status": 403, "reason": "storageQuotaExceeded"})
    assert call(LATER).status_code == 503
    for receipt in home.folder.glob(".drive_upload/*/drives/*/receipts/*/*.json"):
        document = documents(receipt.read_bytes())[-1]
        if "claim" in document:
            uri = f"{home.drive.url}/upload/drive/v3/files?uploadType=resumable&upload_id={SESSION}"
            document["claim"]["session"] = uri
            receipt.write_text(json.dumps(document))


def call(path: str) -> TestResponse:
    """The function's answer for a file, in this process."""
    payload = {"path": path, "metadata": {"note": METADATA}}
    return _client().post("/", data=json.dumps(payload).encode(), content_type="application/json")


def _person(drive: DriveEmulator) -> tuple[dict[str, Any], bool]:
    return drive.authorized_user(), False


def _pydrive2(drive: DriveEmulator) -> tuple[dict[str, Any], bool]:
    return by_pydrive2(drive), False


def _robot(drive: DriveEmulator) -> tuple[dict[str, Any], bool]:
    return dict(drive.service_account()), True


def _robot_by_pydrive2(drive: DriveEmulator) -> tuple[dict[str, Any], bool]:
    return key_by_pydrive2(drive), True


TOKENS = (_person, _person, _pydrive2, _robot, _robot_by_pydrive2)


@cache
def _client() -> Client:
    return function_client()


@dataclass(slots=True)
class Case:
    """One home on its way."""

    dice: Random
    home: Home
    damaged: str = ""
    """The damaged file, relative to the home, and what it holds."""
    said: Said = field(default_factory=Said)
    wrong: list[str] = field(default_factory=list)

    def run(self) -> list[str]:
        """What is wrong; empty when all is well."""
        secrets = secrets_of(self.home)
        file = self._chosen()
        good = file.read_bytes()
        content = mutated(self.dice, good, ODD)
        file.write_bytes(content)
        os.utime(file, (1, 1))  # a file that nobody is writing: a broken one isn't waited for
        self.damaged = f"{file.relative_to(self.home.folder)}: {content[:1500]!r}"
        started = time.monotonic()
        if self._stays_inside():
            self._call(NOTE)
            for command in self.dice.sample(COMMANDS, 2):
                self._command(command)
            self._judge_files(file, content)
        self._mend(file, good)
        self._judge_said(secrets | secrets_of(self.home))
        if time.monotonic() - started > LONGEST_S:
            self.wrong.append(f"it took {time.monotonic() - started:.0f} s")
        return [*self.wrong, self.damaged] if self.wrong else []

    def _chosen(self) -> Path:
        """The file that gets damaged."""
        way = self.dice.random()
        if way < 0.25:
            return self.home.folder / "paths.json"
        if way < 0.5:
            return self.home.folder / "drive_token.json"
        if way < 0.6:
            return self.home.folder / "upload_log.json"
        state = [each for each in sorted(self.home.folder.glob(".drive_upload/**/*")) if each.is_file()]
        kinds = sorted({_kind(each) for each in state})
        kind = self.dice.choice(kinds)
        return self.dice.choice([each for each in state if _kind(each) == kind])

    def _stays_inside(self) -> bool:
        """Whether the settings, where they can be read at all, lead to nothing outside of the home."""
        try:
            found = settings.load()
        except SettingsError:
            return True
        places = [found.state_root, found.data_root, *(each.token for each in found.accounts)]
        return all(each.resolve().is_relative_to(self.home.folder.resolve()) for each in places)

    # --- calls

    def _call(self, path: str) -> tuple[int, dict[str, Any]]:
        """The code and the document of an answer."""
        with redirect_stderr(io.StringIO()) as printed:
            answer = call(path)
        self.said.add("the answer", answer.text)
        self.said.add("the server's log", printed.getvalue())
        document = json.loads(answer.text)
        if answer.status_code == 503 and not answer.headers.get("Retry-After", "").isdecimal():
            self.wrong.append(f"503 without Retry-After: {answer.text}")
        is_elsewhere = self.damaged.startswith("paths.json") and answer.status_code in (403, 404)
        if answer.status_code not in (200, 503) and not is_elsewhere:
            self.wrong.append(f"{answer.status_code} {answer.text}")
        for entry in document["results"]:
            if FILE_OF.get(entry["reason"], "") not in (entry["message"] or ""):
                self.wrong.append(f"the message names no file: {entry['message']}")
            if entry["message"] and not entry["message"].endswith("."):
                self.wrong.append(f"the message is no sentence: {entry['message']}")
        return answer.status_code, document

    def _command(self, command: Sequence[str]) -> None:
        open_app.cache_clear()
        ended = CliRunner().invoke(cli, ["--home", str(self.home.folder), *command])
        self.said.add(" ".join(command), ended.output)
        if ended.exception and not isinstance(ended.exception, SystemExit):
            self.wrong.append(f"{command} raised: {''.join(traceback.format_exception(ended.exception))}")
        elif ended.exit_code not in EXIT_CODES:
            self.wrong.append(f"{command} ended with {ended.exit_code}: {ended.output}")
        elif ended.exit_code and not ended.output.strip():
            self.wrong.append(f"{command} ended with {ended.exit_code} without a word")

    def _mend(self, file: Path, good: bytes) -> None:
        """Whatever a person can mend is mended, and the same calls succeed; each content is once on Drive."""
        if file.parent == self.home.folder and file.name != "upload_log.json":
            file.write_bytes(good)
            os.utime(file, (2, 2))
        for path in SOURCES:
            self._until_done(path, file)
        mine = {f"MemoryVDB/{path.removeprefix('Data/')}": content for path, content in SOURCES.items()}
        stored = self._stored()
        for path, content in mine.items():
            if [each for each in stored if each[0] == path] != [(path, content)]:
                self.wrong.append(f"{path} is not there once: {sorted(stored)}")
        if file.name != "paths.json" and len(stored) != len(mine):
            self.wrong.append(f"more than the sources is on Drive: {sorted(stored)}")

    def _until_done(self, path: str, file: Path) -> None:
        said = []
        for _ in range(4):
            code, document = self._call(path)
            if code == 200:
                return
            said.append(f"{code} {document['results'][0]['message']}")
            if "newer version" in said[-1]:
                file.unlink()
                open_app.cache_clear()
        self.wrong.append(f"{path} never succeeded: {said}")

    def _stored(self) -> list[tuple[str, bytes]]:
        return [
            (each["path"], self.home.drive.content(each["id"]))
            for each in self.home.drive.files()
            if each["size"] is not None and not each["trashed"]
        ]

    # --- judgement

    def _judge_files(self, file: Path, content: bytes) -> None:
        data = self.home.folder / "Data"
        there = {
            str(each.relative_to(self.home.folder)): each.read_bytes() for each in data.rglob("*") if each.is_file()
        }
        if there != SOURCES and file.name != "paths.json":
            self.wrong.append(f"the sources were touched: {there}")
        if any(there.get(path) != source for path, source in SOURCES.items()):
            self.wrong.append(f"a source was changed: {there}")
        if file.name == "paths.json" and file.read_bytes() != content:
            self.wrong.append(f"paths.json was changed to {file.read_bytes()[:1000]!r}")
        if file.name == "drive_token.json" and file.read_bytes() != content:
            json.loads(file.read_bytes())  # what was renewed is whole
        log = self.home.folder / "upload_log.json"
        if file != log and log.exists() and not isinstance(json.loads(log.read_bytes()), list):
            self.wrong.append("upload_log.json is no array")

    def _judge_said(self, secrets: set[str]) -> None:
        for log in self.home.folder.rglob("upload_log*"):
            if log.is_file():
                self.said.add(log.name, log.read_bytes().decode("utf-8", "replace"))
        for where, text in self.said.texts:
            if found := TRACEBACK.search(text):
                self.wrong.append(f"{where}: {text[max(0, found.start() - 500) :][:3000]}")
            for leak in leaks(text, secrets | ({METADATA} if where in ("doctor", "status") else set())):
                self.wrong.append(f"{where} leaks {leak!r}")


def _kind(file: Path) -> str:
    """Of a file of the state: its folder, whatever the drive and the hash."""
    kinds = ("receipts", "folders", "ids", "identities", "bases", "tokens", "pace", "locks")
    return next((each for each in kinds if each in file.parts), file.name)


def secrets_of(home: Home) -> set[str]:
    """The secrets of a home: those planted, and what the embedded Drive granted."""
    found = {CLIENT_SECRET, PROXY_PASSWORD, SESSION}
    for token in home.drive.drive.store.tokens:
        found.add(token.removeprefix("ya29."))
    for file in [home.folder / "drive_token.json", *home.folder.glob(".drive_upload/*/tokens/*.json")]:
        found |= _secrets_in(file)
    return found


def _secrets_in(file: Path) -> set[str]:
    try:
        fields = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return set()
    texts = [value for value in fields.values() if isinstance(value, str)] if isinstance(fields, Mapping) else []
    keys = {line for text in texts for line in text.splitlines() if len(line) == 64}
    return keys | {text.removeprefix("1//0") for text in texts if text.startswith("1//0")}


def leaks(text: str, secrets: set[str]) -> list[str]:
    """Where pieces of the secrets stand in the text."""
    pieces = {secret[at : at + PIECE] for secret in secrets for at in range(0, max(1, len(secret) - PIECE + 1), STEP)}
    found = [text.index(piece) for piece in pieces if piece in text]
    return [text[max(0, at - 150) : at + 150] for at in found[:1]]
