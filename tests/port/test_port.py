"""What every Drive behind the port does: one suite for the in-memory one and for the adapter with the embedded one."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from function.core.errors import (
    AlreadyExists,
    DeadlineExceeded,
    DriveError,
    NotFound,
    SessionLost,
    TransientDriveError,
)
from function.core.retry import Deadline
from function.core.types import (
    FOLDER_MIME_TYPE,
    FileId,
    FileStat,
    Fingerprint,
    NewFile,
    RemoteFile,
    Usage,
)
from function.drive.move import move
from function.drive.port import Drive
from function.drive.query import FOLDERS, LIVE, inside, marked, named
from tests.port.conftest import Others
from tests.support.digests import digests_of

CONTENT = b"A memory.\n"
LARGE = bytes(range(256)) * 4096 * 2
"""2 MiB: several of the pieces in which a session keeps what it gets."""


def new(drive: Drive, folder: FileId, name: str = "note.txt", **fields: Any) -> NewFile:
    """A file to be, under an id of its own."""
    (file_id,) = drive.reserve_ids(1)
    values: dict[str, Any] = {"mime_type": "text/plain", "key": "key", "properties": {}, "description": None} | fields
    return NewFile(id=FileId(file_id), name=name, folder=folder, **values)


def make(drive: Drive, folder: FileId, name: str = "note.txt", content: bytes = CONTENT, **fields: Any) -> RemoteFile:
    """A file of ours, made in one request."""
    return drive.create(new(drive, folder, name, **fields), memoryview(content))


def in_session(drive: Drive, file: NewFile, content: bytes, *, revises: bool = False) -> RemoteFile:
    """The content, sent through a session."""
    uri = drive.start(file, len(content), revises=revises)
    sent = drive.send(uri, len(content), 0, [memoryview(content)])
    assert isinstance(sent, RemoteFile)
    return sent


def holds(file: RemoteFile, content: bytes) -> bool:
    """Whether Drive says that the file holds that content."""
    return file.holds(Fingerprint(FileStat(len(content), 0, 0), digests_of(content)))


def test_reserved_ids_are_all_different(drive: Drive) -> None:
    """As many as asked for, each time others."""
    ids = [*drive.reserve_ids(3), *drive.reserve_ids(2)]

    assert len(set(ids)) == len(ids) == 5


def test_the_user_has_one_identity(drive: Drive) -> None:
    """It stays the same."""
    assert drive.identity() == drive.identity() != ""


def test_a_created_file_is_told_whole(drive: Drive, folder: FileId) -> None:
    """By the create's own answer, and by a look at the id."""
    file = new(
        drive, folder, properties={"chat": "Design"}, description="all of it",
        nonce="claim-1", modified_time="2024-02-29T12:34:56.789Z",
    )  # fmt: skip

    made = drive.create(file, memoryview(CONTENT))

    assert drive.get(file.id) == made
    assert (made.id, made.name, made.parents, made.mime_type) == (file.id, "note.txt", (folder,), "text/plain")
    assert (made.key, made.nonce) == ("key", "claim-1")
    assert (dict(made.properties), made.description) == ({"chat": "Design"}, "all of it")
    assert made.modified_time == "2024-02-29T12:34:56.789Z"
    assert made.created_time > "2025"
    assert (made.trashed, made.explicitly_trashed) == (False, False)
    assert holds(made, CONTENT)
    assert made.version
    assert made.head_revision_id


@pytest.mark.parametrize("content", [b"", b"x", LARGE])
def test_contents_of_any_size_arrive(drive: Drive, folder: FileId, content: bytes) -> None:
    """In one request, and by a session."""
    assert holds(make(drive, folder, content=content), content)
    assert holds(in_session(drive, new(drive, folder), content), content)


def test_an_id_is_used_once(drive: Drive, folder: FileId) -> None:
    """A second create is refused, whatever it brings, and changes nothing."""
    file = new(drive, folder)
    made = drive.create(file, memoryview(CONTENT))

    with pytest.raises(AlreadyExists):
        drive.create(file, memoryview(b"other"))
    with pytest.raises(AlreadyExists):
        drive.create_folder(file.id, "other", "root", "key")
    with pytest.raises(AlreadyExists):
        in_session(drive, file, b"other")

    assert drive.get(file.id) == made


def test_names_are_not_unique(drive: Drive, folder: FileId) -> None:
    """Two files of one name stand side by side."""
    ids = {make(drive, folder).id, make(drive, folder).id}

    assert {each.id for each in drive.list(inside(folder) & named(["note.txt"]))} == ids


def test_an_unknown_id_is_nothing(drive: Drive) -> None:
    """Not an error: reserved, or never heard of."""
    (reserved,) = drive.reserve_ids(1)

    assert drive.get(reserved) is None
    assert drive.get("never-heard-of") is None
    assert drive.count_revisions("never-heard-of") == 0


def test_a_missing_parent_is_not_found(drive: Drive) -> None:
    """By a create, by a session, by a folder."""
    nowhere = FileId("never-heard-of")

    with pytest.raises(NotFound):
        make(drive, nowhere)
    with pytest.raises(NotFound):
        in_session(drive, new(drive, nowhere), CONTENT)
    with pytest.raises(NotFound):
        drive.create_folder(FileId(drive.reserve_ids(1)[0]), "a", nowhere, "key")


def test_the_root_has_an_alias(drive: Drive, folder: FileId) -> None:
    """It is an id of its own, which children name."""
    root = drive.get("root")

    made = drive.get(folder)

    assert root
    assert made
    assert made.parents == (root.id,)
    assert [each.id for each in drive.list(inside("root"))] == [folder]


def test_listings_find_what_is_asked_for(drive: Drive, folder: FileId, others: Others) -> None:
    """By place and name, by kind, by our mark, and by one or the other."""
    ours = make(drive, folder, "it's a \\ note.txt", key="mark")
    theirs = others.put("theirs.txt", folder)

    def found(query: Any) -> set[str]:
        assert {each.id for each in drive.first_page(query)[0]} == {each.id for each in drive.list(query)}
        return {each.id for each in drive.list(query)}

    assert found(inside(folder)) == {ours.id, theirs}
    assert found(inside(folder) & named([ours.name, "other"])) == {ours.id}
    assert found(FOLDERS & inside("root")) == {folder}
    assert found(marked("mark")) == {ours.id}
    assert found((FOLDERS & LIVE) | marked("mark")) == {folder, ours.id}
    assert found(named(["nothing"])) == set()
    assert drive.list(marked("mark")) == [ours]


def test_a_first_page_says_whether_it_is_all(drive: Drive, folder: FileId) -> None:
    """One file is."""
    made = make(drive, folder)

    assert drive.first_page(inside(folder)) == ([made], True)


def test_what_lies_in_a_binned_folder_is_binned(drive: Drive, folder: FileId, others: Others) -> None:
    """But not put there itself; and a create in it is taken without a word."""
    file = make(drive, folder)
    others.trash(folder)

    late = make(drive, folder, "late.txt")

    for each in (drive.get(file.id), drive.get(late.id)):
        assert each
        assert (each.trashed, each.explicitly_trashed) == (True, False)
    assert drive.list(LIVE & inside(folder)) == []
    assert len(drive.list(inside(folder))) == 2


def test_renames_and_moves(drive: Drive, folder: FileId) -> None:
    """Name and parent change, and nothing of the content."""
    file = make(drive, folder)
    other = drive.create_folder(FileId(drive.reserve_ids(1)[0]), "Other", folder, "key")

    moved = drive.update(drive.update(file, name="new.txt"), move_to=other.id)

    assert (moved.name, moved.parents) == ("new.txt", (other.id,))
    assert moved.head_revision_id == file.head_revision_id
    assert holds(moved, CONTENT)
    assert moved.version != file.version
    assert other.mime_type == FOLDER_MIME_TYPE


def test_a_file_that_another_moved_is_not_given_a_second_parent(drive: Drive, folder: FileId) -> None:
    """It is refused for now; `move` looks where it is."""
    file = make(drive, folder)
    one, two = (drive.create_folder(FileId(each), each, folder, "key") for each in drive.reserve_ids(2))
    drive.update(file, move_to=one.id)

    with pytest.raises(DriveError) as refused:
        drive.update(file, move_to=two.id)

    assert not isinstance(refused.value, TransientDriveError)
    assert refused.value.is_retryable
    assert move(file, two.id, drive).parents == (two.id,)


def test_marks_change_one_by_one(drive: Drive, folder: FileId) -> None:
    """None clears a property, what isn't named stays, and so does our key."""
    file = make(drive, folder, properties={"a": "1", "b": "2"}, nonce="first")

    changed = drive.update(file, properties={"a": None, "c": "3"}, description="new")

    assert dict(changed.properties) == {"b": "2", "c": "3"}
    assert (changed.description, changed.nonce, changed.key) == ("new", "first", "key")
    assert drive.get(file.id) == changed


def test_what_we_put_into_the_bin_is_found_by_our_mark_no_more(drive: Drive, folder: FileId) -> None:
    """It keeps its claim's mark, so that whoever made it knows it again."""
    file = make(drive, folder, nonce="first")

    binned = drive.trash(file)

    assert (binned.trashed, binned.explicitly_trashed) == (True, True)
    assert (binned.key, binned.nonce) == (None, "first")
    assert drive.list(marked("key")) == []
    assert drive.get(file.id) == binned


def test_an_edit_shows(drive: Drive, folder: FileId, others: Others) -> None:
    """By the head revision and the number of revisions; a rename is no edit."""
    file = make(drive, folder)
    renamed = drive.update(file, name="b.txt")
    before = drive.count_revisions(file.id)

    others.edit(file.id, b"theirs")

    edited = drive.get(file.id)
    assert edited
    assert renamed.head_revision_id == file.head_revision_id != edited.head_revision_id
    assert (before, drive.count_revisions(file.id)) == (1, 2)
    assert (edited.key, edited.nonce) == (file.key, file.nonce)


def test_a_revision_keeps_what_it_does_not_name(drive: Drive, folder: FileId, others: Others) -> None:
    """The id, the name, the owner's properties; what it names is new."""
    file_id = FileId(others.put("theirs.txt", folder))
    drive.update(RemoteFile(file_id, ""), properties={"owner": "x"})
    revision = NewFile(
        file_id, "ignored", folder, "text/plain", None, {"mine": "y"}, None, "claim", "2024-01-01T00:00:00.000Z"
    )

    revised = in_session(drive, revision, CONTENT, revises=True)

    assert (revised.id, revised.name, revised.key, revised.nonce) == (file_id, "theirs.txt", None, "claim")
    assert dict(revised.properties) == {"owner": "x", "mine": "y"}
    assert revised.modified_time == "2024-01-01T00:00:00.000Z"
    assert holds(revised, CONTENT)


def test_a_revision_of_nothing_is_not_found(drive: Drive, folder: FileId) -> None:
    """The file is gone."""
    with pytest.raises(NotFound):
        in_session(drive, new(drive, folder), CONTENT, revises=True)


class Stopped(Exception):
    """The sender is killed."""


def until(count: int) -> Iterator[memoryview]:
    """The first so many bytes, and then no more."""
    yield memoryview(LARGE)[:count]
    raise Stopped


def rest_of(drive: Drive, uri: str) -> RemoteFile | int:
    """Send what the session hasn't kept; again, where the request that was broken off got there only now."""
    for _ in range(5):
        kept = drive.session_status(uri, len(LARGE))
        assert isinstance(kept, int)
        with suppress(TransientDriveError):
            return drive.send(uri, len(LARGE), kept, [memoryview(LARGE)[kept:]])
    return kept


def test_a_session_goes_on_where_it_stopped(drive: Drive, folder: FileId) -> None:
    """It keeps no more than was sent, and the rest makes the file whole."""
    file = new(drive, folder)
    uri = drive.start(file, len(LARGE), revises=False)
    with pytest.raises(Stopped):
        drive.send(uri, len(LARGE), 0, until(1_500_000))
    assert drive.get(file.id) is None

    kept = drive.session_status(uri, len(LARGE))
    assert isinstance(kept, int)
    sent = rest_of(drive, uri)

    assert 0 <= kept <= 1_500_000
    assert isinstance(sent, RemoteFile)
    assert holds(sent, LARGE)
    assert drive.session_status(uri, len(LARGE)) == sent


def test_a_gap_is_no_end(drive: Drive, folder: FileId) -> None:
    """Bytes beyond what is kept are refused for now, and the session says where it is."""
    uri = drive.start(new(drive, folder), len(LARGE), revises=False)

    with pytest.raises(TransientDriveError):
        drive.send(uri, len(LARGE), 1_000_000, [memoryview(LARGE)[1_000_000:]])

    assert drive.session_status(uri, len(LARGE)) == 0


@pytest.mark.parametrize("damage", [lambda uri: f"{uri}x", lambda uri: "ftp://elsewhere/x", lambda uri: ""])
def test_an_unknown_session_is_lost(drive: Drive, folder: FileId, damage: Callable[[str], str]) -> None:
    """Whatever its address has become; nothing is made."""
    file = new(drive, folder)
    uri = damage(drive.start(file, len(CONTENT), revises=False))

    with pytest.raises(SessionLost):
        drive.session_status(uri, len(CONTENT))
    with pytest.raises(SessionLost):
        drive.send(uri, len(CONTENT), 0, [memoryview(CONTENT)])

    assert drive.get(file.id) is None


def test_requests_and_units_are_counted(drive: Drive, folder: FileId) -> None:
    """Into what the Drive is bound to, and nowhere else."""
    usage = Usage()
    bound = drive.bound(usage, Deadline.after(60))

    bound.get(folder)
    bound.list(inside(folder))
    made = make(bound, folder)
    bound.update(made, name="b")
    drive.get(folder)

    assert usage.drain() == (5, 5 + 100 + 5 + 50 + 50)


CALLS: dict[str, Callable[[Drive, FileId], object]] = {
    "identity": lambda drive, folder: drive.identity(),
    "reserve_ids": lambda drive, folder: drive.reserve_ids(1),
    "get": lambda drive, folder: drive.get(folder),
    "list": lambda drive, folder: drive.list(LIVE),
    "first_page": lambda drive, folder: drive.first_page(LIVE),
    "count_revisions": lambda drive, folder: drive.count_revisions(folder),
    "create": lambda drive, folder: drive.create(NewFile(folder, "a", folder, None, None, {}, None), memoryview(b"")),
    "create_folder": lambda drive, folder: drive.create_folder(folder, "a", folder, "key"),
    "start": lambda drive, folder: drive.start(NewFile(folder, "a", folder, None, None, {}, None), 1, revises=True),
    "update": lambda drive, folder: drive.update(RemoteFile(folder, "a"), name="b"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_nothing_is_sent_after_the_deadline(drive: Drive, folder: FileId, call: Callable[..., object]) -> None:
    """Whatever the call."""
    usage = Usage()

    with pytest.raises(DeadlineExceeded):
        call(drive.bound(usage, Deadline.after(0)), folder)
