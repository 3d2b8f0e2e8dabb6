"""Conditions on files: their text reads back as what was asked, and their meaning is the text's."""

import re

from hypothesis import given
from hypothesis import strategies as st

from function.core.types import FOLDER_MIME_TYPE, FileId, RemoteFile
from function.drive.query import FOLDERS, LIVE, inside, marked, named

TEXT = st.text(alphabet="ab'\\ \né", max_size=12)


@given(st.lists(TEXT, min_size=1, max_size=4))
def test_any_name_can_be_searched(names: list[str]) -> None:
    """Read back by the rule of Drive's string literals, a clause holds exactly those names."""
    literals = re.findall(r"name = '((?:[^\\']|\\[\\'])*)'", named(names).q, re.DOTALL)

    assert [re.sub(r"\\(.)", r"\1", each) for each in literals] == names


def test_what_a_query_means_is_what_it_says() -> None:
    """Both combinations, with their text."""
    query = (LIVE & inside("root") & named(["a"])) | marked("k")

    assert query.q == (
        "(((trashed = false and 'root' in parents) and (name = 'a')) or "
        "appProperties has { key='drive_upload_key' and value='k' })"
    )
    file = RemoteFile(FileId("1"), "a", parents=("R",))
    assert query.matches(file, ("R", "root"))
    assert not query.matches(file, ("R",))
    assert query.matches(RemoteFile(FileId("2"), "b", trashed=True, key="k"), ())
    assert not query.matches(RemoteFile(FileId("3"), "a", trashed=True), ("root",))
    assert FOLDERS.matches(RemoteFile(FileId("4"), "d", FOLDER_MIME_TYPE), ())
    assert not FOLDERS.matches(file, ())
