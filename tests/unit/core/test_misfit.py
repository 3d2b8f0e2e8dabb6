"""`misfit`: one sentence about whatever a type doesn't take, and never an error of its own."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.core.misfit import misfit
from function.core.request import FileRequest
from function.home.settings import PathsJson

KINDS = [list[FileRequest], *(each.type for each in msgspec.structs.fields(PathsJson))]

TEXTS = st.text(max_size=3) | st.sampled_from(["path", "token", "metadata", "if_exists", "skip", "\udcff", "folder_id"])

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(document=DOCUMENTS)
def test_whatever_is_refused_has_its_sentence(kind: Any, document: object) -> None:
    """It begins with the place, ends with a full stop, and holds nothing that can't be printed."""
    try:
        msgspec.convert(document, kind)
    except (msgspec.ValidationError, UnicodeError):
        told = misfit(document, kind, "here")
    else:
        return

    assert told.startswith("here")
    assert told.endswith(".")
    assert told.isprintable()
    assert len(told) < 500
