"""Every decision about one source and one destination, as properties over all that Drive may show."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.core import plan
from function.core.plan import Adopt, Create, Fail, Keep, Look, Rename, Revise, Skip, Yield
from function.core.receipt import Done, Receipt
from function.core.types import Digests, FileId, FileStat, Fingerprint, Policy, RemoteFile

NAME = "note.txt"
KEY = plan.key("MemoryVDB/Meta/note.txt")
NAMES = list(islice(plan.candidates(NAME), 5))
SIZE = 3
OURS = Digests("a" * 32, "a" * 64)
OTHER = Digests("b" * 32, "b" * 64)
DOCUMENT = "application/vnd.google-apps.document"


@st.composite
def remotes(draw: st.DrawFn) -> RemoteFile:
    """A file as a listing may show it: equal or other content, edited or not, ours or theirs, or Google's own type."""
    day = draw(st.integers(1, 5))
    digests = draw(st.sampled_from([OURS, OTHER, None]))
    return RemoteFile(
        id=FileId(draw(st.text("abc", min_size=4, max_size=8))),
        name=draw(st.sampled_from([*NAMES, "NOTE.TXT"])),
        mime_type="text/plain" if digests else DOCUMENT,
        size=SIZE if digests else None,
        md5=digests.md5 if digests else None,
        sha256=digests.sha256 if digests and draw(st.booleans()) else None,
        created_time=f"2026-01-0{day}",
        modified_time=f"2026-01-0{day + draw(st.integers(0, 1))}",
        key=draw(st.sampled_from([KEY, "another", None])),
    )


several = st.lists(remotes(), max_size=6, unique_by=lambda each: each.id)
looks = st.builds(lambda files: Look(frozenset(NAMES), tuple(files)), several)
wide_looks = st.builds(
    lambda files, here: Look(None, tuple(files[:here]), tuple(files[here:])), several, st.integers(0, 6)
)
policies = st.sampled_from(list(Policy))


@given(looks, policies)
def test_a_decision_never_overwrites(look: Look, policy: Policy) -> None:
    """Each action is what its policy allows, and a create goes only to a name that is free."""
    action = plan.decide(NAME, KEY, SIZE, OURS, look, policy)

    held = look.named(NAME)
    match action:
        case Adopt(file):
            assert file.holds(SIZE, OURS)
            assert file.name == NAME or (file.key == KEY and policy is not Policy.NEW_REVISION)
        case Create(name):
            assert name is None or look.tells(name)
            assert name not in {each.name for each in look.files}
            assert not held or policy is Policy.KEEP_BOTH
        case Revise(file):
            assert policy is Policy.NEW_REVISION
            assert file in held
            assert not file.mime_type.startswith("application/vnd.google-apps")
        case Skip(file):
            assert (policy, file) == (Policy.SKIP, held[0])
        case Fail(file):
            assert policy in (Policy.FAIL, Policy.NEW_REVISION)
            assert file == held[0]


@given(looks, policies, st.randoms())
def test_the_order_of_a_listing_decides_nothing(look: Look, policy: Policy, dice: object) -> None:
    """Two observers of the same files come to the same decision."""
    turned = Look(look.names, tuple(reversed(look.files)))

    assert plan.decide(NAME, KEY, SIZE, OURS, look, policy) == plan.decide(NAME, KEY, SIZE, OURS, turned, policy)


@given(looks, policies)
def test_equal_content_is_never_sent_again(look: Look, policy: Policy) -> None:
    """Where the name holds the content already, that is adopted, whatever the policy."""
    if any(each.name == NAME and each.holds(SIZE, OURS) for each in look.files):
        assert isinstance(plan.decide(NAME, KEY, SIZE, OURS, look, policy), Adopt)


@given(st.lists(remotes(), min_size=2, max_size=6, unique_by=lambda each: each.id), policies)
def test_of_twins_exactly_one_stays(files: list[RemoteFile], policy: Policy) -> None:
    """Whoever settles, in whichever order: of our files of one name and content the same one survives."""
    ours = [each for each in files if each.key == KEY and each.name == NAME and each.holds(SIZE, OURS)]
    left = {each.id for each in ours}

    for mine in ours:
        look = Look(frozenset(NAMES), tuple(each for each in ours if each.id in left))
        if mine.id in left and isinstance(plan.settle(mine, NAME, KEY, SIZE, OURS, look, policy), Yield):
            left.discard(mine.id)
        elif mine.id in left:
            left -= {younger.id for younger, _ in plan.twins(KEY, look)}

    assert left == ({min(ours, key=lambda each: each.seniority).id} if ours else set())


@given(looks | wide_looks)
def test_only_our_own_twins_go_to_the_bin(look: Look) -> None:
    """Each carries our key and has an older one of its content that stays; of its name, too, if one was edited."""
    pairs = plan.twins(KEY, look)

    binned = {younger.id for younger, _ in pairs}
    for younger, senior in pairs:
        assert younger.key == senior.key == KEY
        assert (younger.size, younger.md5) == (senior.size, senior.md5)
        assert younger.name == senior.name or not (younger.was_edited or senior.was_edited)
        assert younger.md5 is not None
        assert senior.seniority < younger.seniority
        assert senior.id not in binned


@given(wide_looks, policies)
def test_what_we_uploaded_is_found_wherever_its_owner_put_it(look: Look, policy: Policy) -> None:
    """A file with our mark and the content counts, also in the bin; what carries no mark of ours only in its place."""
    match plan.decide(NAME, KEY, SIZE, OURS, look, policy):
        case Adopt(file):
            assert file in look.files or (file.key == KEY and file.holds(SIZE, OURS))
        case _:
            ours = [each for each in look.away if each.key == KEY and each.holds(SIZE, OURS)]
            assert not ours or policy is Policy.NEW_REVISION


@given(looks, remotes(), policies)
def test_settling_yields_only_to_the_older(look: Look, mine: RemoteFile, policy: Policy) -> None:
    """We yield only to an older file of equal content, and rename only to a name that is free."""
    match plan.settle(mine, NAME, KEY, SIZE, OURS, look, policy):
        case Yield(to):
            assert to.holds(SIZE, OURS)
            assert to.seniority < mine.seniority
        case Rename(name):
            assert policy is Policy.KEEP_BOTH
            assert name not in {each.name for each in look.files if each.id != mine.id}
        case Keep():
            equal = [each for each in look.files if each.name == NAME and each.id != mine.id and each.holds(SIZE, OURS)]
            assert all(mine.seniority <= each.seniority for each in equal)


def receipt(*contents: tuple[Digests, FileStat, int]) -> Receipt:
    """A receipt with these contents done, each at that time."""
    done = tuple(
        Done(FileId(f"id{index}"), NAME, Fingerprint(stat, digests), 1, at)
        for index, (digests, stat, at) in enumerate(contents)
    )
    return Receipt("default", "MemoryVDB/Meta/note.txt", done=done)


OLD = FileStat(SIZE, 10**18, 7)
LATER = 10**18 + 3 * 10**9


def test_a_file_stat_alone_is_believed_only_when_it_is_old_enough() -> None:
    """A file written within two seconds of being recorded may have changed under the same mtime."""
    assert plan.unchanged(receipt((OURS, OLD, LATER)), OLD, Policy.KEEP_BOTH)
    assert plan.unchanged(receipt((OURS, OLD, 10**18 + 10**9)), OLD, Policy.KEEP_BOTH) is None


@pytest.mark.parametrize(
    "stat",
    [FileStat(4, 10**18, 7), FileStat(SIZE, 10**18 + 1, 7), FileStat(SIZE, 10**18, 8), FileStat(SIZE, 10**18, 7, 1)],
)
def test_any_difference_of_the_file_stat_is_a_doubt(stat: FileStat) -> None:
    """Size, mtime, inode and ctime all count."""
    assert plan.unchanged(receipt((OURS, OLD, LATER)), stat, Policy.KEEP_BOTH) is None


def test_an_earlier_content_counts_unless_revisions_are_asked_for() -> None:
    """A, B, A: with new_revision only the last content stands at the name."""
    both = receipt((OURS, OLD, LATER), (OTHER, OLD, LATER))

    found = plan.known(both, OLD, OURS, Policy.KEEP_BOTH)

    assert found
    assert found.id == "id0"
    assert plan.known(both, OLD, OURS, Policy.NEW_REVISION) is None
    assert plan.known(both, OLD, OTHER, Policy.NEW_REVISION)
    assert not plan.may_be_known(both, FileStat(99, 0, 0), Policy.KEEP_BOTH)
    assert plan.known(None, OLD, OURS, Policy.KEEP_BOTH) is None


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("a.txt", "a (2).txt"),
        ("a", "a (2)"),
        ("a.tar.gz", "a.tar (2).gz"),
        (".hidden", ".hidden (2)"),
        (".hidden.txt", ".hidden (2).txt"),
        ("a.", "a. (2)"),
        ("...", "... (2)"),
        ("a (2).txt", "a (2) (2).txt"),
        (" ", "  (2)"),
    ],
)
def test_the_second_name(name: str, second: str) -> None:
    """The number stands before the extension."""
    assert list(islice(plan.candidates(name), 2)) == [name, second]


@given(st.binary(min_size=1, max_size=255).filter(lambda each: b"/" not in each and b"\0" not in each))
def test_every_file_name_has_a_name_on_drive(raw: bytes) -> None:
    """Text that stays as it is where the name is UTF-8."""
    name = plan.drive_name(raw.decode("utf-8", "surrogateescape"))

    name.encode()
    try:
        assert name == raw.decode()
    except UnicodeDecodeError:
        assert "%" in name
    assert len(set(islice(plan.candidates(name), 10))) == 10
