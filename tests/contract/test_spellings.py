"""Names that look alike, one character or two for `é`: one folder on Drive, and files that clash."""

import unicodedata
from typing import Any

import pytest

from tests.support.home import Home, Post
from tests.support.owner import FOLDER, Owner

COMPOSED = unicodedata.normalize("NFC", "Café")
DECOMPOSED = unicodedata.normalize("NFD", "Café")


def batch(*paths: str) -> dict[str, Any]:
    """The payload for several files."""
    return {"files": [{"path": each} for each in paths]}


def folder_names(home: Home) -> list[str]:
    """Of the folders on Drive that aren't in the bin."""
    return sorted(each["name"] for each in home.drive.files() if each["mimeType"] == FOLDER and not each["trashed"])


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("order", [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_two_spellings_of_a_folder_lead_to_one(
    home: Home, post: Post, order: tuple[str, str], *, at_once: bool
) -> None:
    """In one batch or one after the other: one folder, named as the first was, with what is below it."""
    first, second = order
    paths = [home.put(f"Data/{first}/Sub/a.txt", "one"), home.put(f"Data/{second}/Sub/b.txt", "two")]

    codes = [post(home, batch(*paths)).code] if at_once else [post(home, {"path": each}).code for each in paths]

    assert set(codes) == {200}
    assert len(folder_names(home)) == 3
    assert sorted(unicodedata.normalize("NFC", each) for each in home.stored()) == [
        f"MemoryVDB/{COMPOSED}/Sub/a.txt",
        f"MemoryVDB/{COMPOSED}/Sub/b.txt",
    ]
    if not at_once:
        assert first in folder_names(home)
    assert {post(home, {"path": each}).body["status"] for each in paths} == {"unchanged"}


@pytest.mark.parametrize(("there", "here"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_a_folder_that_stands_there_keeps_its_spelling(home: Home, post: Post, there: str, here: str) -> None:
    """Somebody's folder is taken as it is, looks at it included: also a process that knows nothing of it yet."""
    Owner(home.drive).make(f"MemoryVDB/{there}/theirs.txt")

    results = []
    for content in ("one", "two"):
        path = home.put(f"Data/{here}/note.txt", content)
        run = home.one_off(path)
        results.append(run.returncode)

    assert results == [0, 0]
    assert folder_names(home) == sorted([there, "MemoryVDB"])
    assert {each.split("/")[1] for each in home.stored()} == {there}
    assert len(home.stored()) == 3


def test_two_spellings_of_a_file_clash(home: Home, post: Post) -> None:
    """Two sources, which look alike on Drive: the second gets a number, and each stays what it is."""
    paths = [home.put(f"Data/Meta/{name}.txt", name) for name in (COMPOSED, DECOMPOSED)]

    answers = [post(home, {"path": each}) for each in paths]
    again = [post(home, {"path": each}).body["status"] for each in paths]

    assert [each.code for each in answers] == [200, 200]
    assert sorted(home.stored()) == sorted([f"MemoryVDB/Meta/{COMPOSED}.txt", f"MemoryVDB/Meta/{DECOMPOSED} (2).txt"])
    assert again == ["unchanged", "unchanged"]
