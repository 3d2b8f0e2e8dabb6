"""The caller's metadata within Drive's limits, and the type that a name stands for."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.core import naming
from function.core.types import GOOGLE_MIME_PREFIX

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=130),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(), max_size=130), VALUES, max_size=40))
def test_metadata_fits_drives_limits(metadata: dict[str, object]) -> None:
    """30 properties of 124 bytes; the whole in the description where something was left out; always text."""
    properties, description = naming.metadata_for_drive(metadata)

    assert len(properties) <= 30
    assert all(name and len(f"{name}{value}".encode()) <= 124 for name, value in properties.items())
    assert description is not None or len(properties) == len(metadata)
    if description is not None:
        description.encode()
        assert isinstance(json.loads(description), dict)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.txt", "text/plain"),
        ("A.DOCX", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("a.yaml", "application/yaml"),
        ("a.epub", "application/epub+zip"),
        ("a.csv.gz", "application/gzip"),
        ("a.tar.gz", "application/gzip"),
        ("a.tgz", "application/gzip"),
        ("a.gdoc", None),
        ("a.ts", None),
        ("a", None),
        ("txt", None),
        (".txt", None),
        ("a.", None),
        ("", None),
    ],
)
def test_a_type_by_the_last_suffix(name: str, expected: str | None) -> None:
    """The same on every machine: what compresses is named, and what isn't known is left to Drive."""
    assert naming.mime_type(name) == expected


@given(st.text(max_size=8))
def test_no_name_makes_drive_convert(name: str) -> None:
    """A type of Google's would."""
    assert not (naming.mime_type(f"a.{name}") or "").startswith(GOOGLE_MIME_PREFIX)
