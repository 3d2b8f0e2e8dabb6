"""Receipts in which anything stands: an upload goes on, makes nothing twice, and touches nothing of others'.

A short run is part of the tests; RECEIPT_MUTANTS=50000 makes a long one of it, SEED=7 another.
"""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from function.core.receipt import VERSION
from function.serving.app import open_app
from tests.support.home import Home, Post
from tests.support.mutated_files import spoiled
from tests.support.owner import Owner
from tests.support.receipt_files import documents

MUTANTS = int(os.environ.get("RECEIPT_MUTANTS", "150"))
SEED = int(os.environ.get("SEED", "1"))

CONTENT = b"remember me\n"
THEIRS = {"MemoryVDB/Meta/theirs.txt": b"theirs", "MemoryVDB/Meta/equal.txt": CONTENT}

ODD: list[Any] = [
    None, True, 0, -1, 2**70, 1.5, float("nan"), "", " ", "x", "\0", "\ud800", "a/b", "../x", [], {}, [[]], [None],
    {"kind": "create"}, {"id": "x"}, "http://127.0.0.1:9/upload?upload_id=x", "https://[", "x" * 3000, VERSION + 1,
]  # fmt: skip

NOISE = [b"", b"\0", b"\xff", b'"', b"{", b"[" * 3000, b"\\ud800", bytes(512)]


def claim(dice: random.Random, ids: list[str], content: dict[str, Any], url: str) -> dict[str, Any]:
    """A claim that may be ours, of an earlier state, of another home, or nonsense."""
    made = {
        "kind": dice.choice(["create", "revise", "mend"]),
        "id": dice.choice(ids),
        "nonce": dice.choice(["", "f" * 32, "nonce"]),
        "name": dice.choice(["note.txt", "note (2).txt", "theirs.txt", "", "a/b"]),
        "folder": dice.choice([*ids, "root"]),
        "content": content,
        "log_position": dice.choice([0, 5, 2**62]),
        "session": dice.choice([None, f"{url}/upload/drive/v3/files?uploadType=resumable&upload_id=x", "http://h/"]),
        "base": dice.choice([None, "1", "x"]),
        "wrong": dice.choice([None, "1", "x"]),
        "renaming": dice.choice([None, "note.txt"]),
    }
    if dice.random() < 0.2:
        winner = {"id": dice.choice(ids), "name": "theirs.txt"}
        return {"kind": "lose_to", "create": made, "winner": winner, "adopts": dice.random() < 0.5}
    return made


def mutant(dice: random.Random, good: bytes, ids: list[str], url: str) -> bytes:
    """A receipt with a claim that nobody made, with odd values, with bytes that are none of it.

    Sometimes behind the claim that it ends, as the job appends it.
    """
    *before, document = documents(good)
    if "attempted" in document:  # a file's, not a folder's
        if dice.random() < 0.6:
            document["claim"] = claim(dice, ids, document["attempted"], url)
        if dice.random() < 0.3:
            del document["done"]
        if dice.random() < 0.2:
            document["strays"] = dice.sample(ids, 2)
    for _ in range(dice.choice([0, 0, 1, 2])):
        document = spoiled(dice, document, ODD)
    content = json.dumps(document).encode()
    if dice.random() < 0.15:
        at = dice.randrange(len(content))
        content = content[:at] + dice.choice(NOISE) + content[at + dice.choice([0, 1, 40]) :]
    return b"".join(json.dumps(each).encode() + b"\n" for each in before if dice.random() < 0.5) + content


@pytest.mark.parametrize(
    "damage",
    [
        *(lambda _, content=content: content for content in (b"", bytes(20), b"7\n", b"an-id", b"\xff", b"x" * 2000)),
        lambda good: b"0" + good[1:],
        lambda good: good[:-1],
    ],
)
def test_a_damaged_note_is_asked_for_anew(home: Home, post: Post, damage: Callable[[bytes], bytes]) -> None:
    """Whose Drive a token leads to, and what a folder's id leads to: damage costs a request each, and nothing else."""
    home.settings(drive_root={"folder_id": Owner(home.drive).folder("MemoryVDB", "root")})
    payload = {"path": home.put()}
    post(home, payload)
    notes = {each: each.read_bytes() for kind in ("identities", "bases") for each in home.folder.rglob(f"{kind}/*")}
    for each, good in notes.items():
        each.write_bytes(damage(good))
    open_app.cache_clear()  # as in a process that begins

    answer = post(home, payload)

    assert (answer.code, answer.entry["status"]) == (200, "unchanged")
    assert len(notes) == 2
    assert {each: each.read_bytes() for each in notes} == notes


@pytest.mark.usefixtures("quick_retries", "unreported")
@pytest.mark.timeout(3600)
def test_whatever_stands_in_a_receipt(home: Home, post: Post) -> None:
    """The content stays on Drive once, what others made stays as it is, and no receipt stops an upload for good."""
    owner = Owner(home.drive)
    ids = [owner.make(path, content) for path, content in THEIRS.items()] + ["1-nobodys"]
    path = home.put(content=CONTENT)
    ids.append(post(home, {"path": path}).entry["file_id"])
    receipts = [*(home.folder / ".drive_upload").rglob("*.json")]
    good = {each: each.read_bytes() for each in receipts if {"receipts", "folders"} & set(each.parts)}
    assert len(good) == 3

    for number in range(MUTANTS):
        dice = random.Random(f"{SEED} {number}")
        file = dice.choice([*good])
        content = mutant(dice, good[file], ids, home.drive.url)
        file.write_bytes(content)
        policy = dice.choice(["keep_both", "skip", "new_revision"])

        said = upload(home, post, file, {"path": path, "if_exists": policy})

        found = [each for each, stored in home.stored().items() if stored == CONTENT and each not in THEIRS]
        assert found == ["MemoryVDB/Meta/note.txt"], (number, content, said)
        assert {each: home.stored().get(each) for each in THEIRS} == THEIRS, (number, content, said)
        assert home.folders() == ["MemoryVDB", "MemoryVDB/Meta"], (number, content, said)


def upload(home: Home, post: Post, file: Path, payload: dict[str, Any]) -> list[str]:
    """Call until it is done; what was answered on the way. Only the receipt of a newer version has to be removed."""
    said: list[str] = []
    for _ in range(4):
        answer = post(home, payload)
        said.append(f"{answer.code} {answer.entry['status']}: {answer.entry['message']}")
        assert answer.code in (200, 503), said
        assert "internal error" not in said[-1], (said, file.read_bytes())
        if answer.code == 200:
            return said
        if "newer version" in said[-1]:
            file.unlink()
    raise AssertionError((said, file.read_bytes()))
