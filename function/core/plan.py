"""What to do with one source at one destination: pure decisions, made of what is known and what Drive shows.

(source, receipt, look, policy) -> unchanged | adopt | create | revise | skip | fail        before a transfer
(our new file, look, policy)    -> keep | yield | rename                                   after it
"""

import hashlib
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, TypeVar

from function.core.receipt import Done, Receipt
from function.core.types import GOOGLE_MIME_PREFIX, Digests, FileStat, Fingerprint, Policy, RemoteFile

RACY_NS = 2_000_000_000
"""A file written within this time of being recorded may have changed again under the same mtime: 2 s, FAT's step."""

EXTRA_NAMES = 6
"""Names `Name (n)` asked for at once when a free one is searched."""

T = TypeVar("T")


@dataclass(frozen=True)
class Look:
    """What Drive shows of a folder: the files of the names that were asked for, or of all names (None)."""

    names: frozenset[str] | None
    files: tuple[RemoteFile, ...]
    away: tuple[RemoteFile, ...] = ()
    """Files with our mark that are elsewhere, or that somebody put into the bin: asked for where state may be lost."""
    began: float = float("-inf")
    """On the monotonic clock: it shows what was there by then."""

    def tells(self, name: str) -> bool:
        """Whether the look says if there is a file of that name."""
        return self.names is None or name in self.names

    def about(self, names: Collection[str], key: str) -> "Look":
        """What it shows of those names and of the files with that mark: of a folder's many files, a destination's."""
        found = {each.id: each for name in names for each in self._by_name.get(name, ())}
        found |= {each.id: each for each in self._by_key.get(key, ())}
        away = tuple(each for each in self.away if each.key == key)
        return Look(frozenset(filter(self.tells, names)), tuple(found.values()), away)

    @cached_property
    def _by_name(self) -> Mapping[str, Sequence[RemoteFile]]:
        return _grouped(self.files, lambda each: each.name)

    @cached_property
    def _by_key(self) -> Mapping[str | None, Sequence[RemoteFile]]:
        return _grouped(self.files, lambda each: each.key)

    def without(self, file_id: str, *, instead: RemoteFile | None = None) -> "Look":
        """The look at everything but that file, or with what has become of it since."""
        files = (*(each for each in self.files if each.id != file_id), *filter(None, [instead]))
        return Look(self.names, files, tuple(each for each in self.away if each.id != file_id))

    def named(self, name: str) -> list[RemoteFile]:
        """The files of exactly that name, oldest first."""
        return sorted((each for each in self.files if each.name == name), key=lambda each: each.seniority)


def _grouped(files: Iterable[RemoteFile], by: Callable[[RemoteFile], T]) -> Mapping[T, Sequence[RemoteFile]]:
    groups: dict[T, list[RemoteFile]] = {}
    for each in files:
        groups.setdefault(by(each), []).append(each)
    return groups


@dataclass(frozen=True, slots=True)
class Adopt:
    """The content is there already."""

    file: RemoteFile


@dataclass(frozen=True, slots=True)
class Create:
    """Upload as a new file; `name` None when every name that was looked at is taken."""

    name: str | None


@dataclass(frozen=True, slots=True)
class Revise:
    """Upload as a new revision of that file."""

    file: RemoteFile


@dataclass(frozen=True, slots=True)
class Skip:
    """Leave Drive as it is: the name holds that file."""

    file: RemoteFile


@dataclass(frozen=True, slots=True)
class Fail:
    """Refuse: the name holds that file."""

    file: RemoteFile


Action: TypeAlias = Adopt | Create | Revise | Skip | Fail


@dataclass(frozen=True, slots=True)
class Keep:
    """Our new file stays as it is."""


@dataclass(frozen=True, slots=True)
class Yield:
    """Another file of equal content was first: ours goes to the bin."""

    to: RemoteFile


@dataclass(frozen=True, slots=True)
class Rename:
    """The name was taken by other content first; `name` None when every name that was looked at is taken."""

    name: str | None


def unchanged(receipt: Receipt | None, stat: FileStat, policy: Policy) -> Done | None:
    """The content that is done and that a stat alone shows to be the source's."""
    return next(
        (
            each
            for each in _valid(receipt, policy)
            if each.content.stat == stat and stat.mtime_ns + RACY_NS < each.at_ns
        ),
        None,
    )


def known(receipt: Receipt | None, stat: FileStat, digests: Digests, policy: Policy) -> Done | None:
    """The content that is done and has the source's digests."""
    return next(
        (each for each in _valid(receipt, policy) if each.content.same_content(Fingerprint(stat, digests))), None
    )


def may_be_known(receipt: Receipt | None, stat: FileStat, policy: Policy) -> bool:
    """Whether the digests are worth computing: something of that size is done."""
    return any(each.content.stat.size == stat.size for each in _valid(receipt, policy))


def _valid(receipt: Receipt | None, policy: Policy) -> Sequence[Done]:
    """The contents that still count: with new_revision only what was put there last."""
    if receipt is None:
        return ()
    return receipt.done[-1:] if policy is Policy.NEW_REVISION else receipt.done


def decide(name: str, key: str, size: int, digests: Digests | None, look: Look, policy: Policy) -> Action:
    """What to do about a source that no receipt knows, in a folder that shows `look`.

    `digests` may be None where nothing of that size is shown: a large file isn't read for nothing.
    """
    same = equal(name, key, size, digests, look)
    if policy is Policy.NEW_REVISION:  # only what the name itself holds now counts
        same = [each for each in same if each.name == name]
    elsewhere = _away(key, size, digests, look) if policy is not Policy.NEW_REVISION else []
    if same or elsewhere:
        return Adopt((same or elsewhere)[0])
    held = look.named(name)
    if not held:
        return Create(name)
    if policy is Policy.SKIP:
        return Skip(held[0])
    if policy is Policy.KEEP_BOTH:
        return Create(free_name(name, look))
    revisable = [each for each in held if not each.mime_type.startswith(GOOGLE_MIME_PREFIX)]
    if policy is Policy.FAIL or not revisable:
        return Fail(held[0])
    ours = [each for each in revisable if each.key == key]
    return Revise((ours or revisable)[0])


def settle(
    mine: RemoteFile, name: str, key: str, size: int, digests: Digests, look: Look, policy: Policy
) -> Keep | Yield | Rename:
    """What to do about our new file once a look has shown what else has its name."""
    others = look.without(mine.id)
    away = [each for each in _away(key, size, digests, others) if not each.trashed]
    same = sorted([*equal(name, key, size, digests, others), *away], key=lambda each: each.seniority)
    if same and same[0].seniority < mine.seniority:
        return Yield(same[0])
    older = [each for each in others.named(mine.name) if each.seniority < mine.seniority]
    if policy is Policy.KEEP_BOTH and older and not older[0].holds(size, digests):
        return Rename(free_name(name, others))
    return Keep()


def twins(key: str, look: Look) -> list[tuple[RemoteFile, RemoteFile]]:
    """Files of ours that racers made of one content: who belongs in the bin, and who stays."""
    staying: list[RemoteFile] = []
    younger: list[tuple[RemoteFile, RemoteFile]] = []
    live = (each for each in (*look.files, *look.away) if each.key == key and each.md5 and not each.trashed)
    for each in sorted(live, key=lambda each: each.seniority):
        senior = next((one for one in staying if _are_twins(one, each)), None)
        if senior:
            younger.append((each, senior))
        else:
            staying.append(each)
    return younger


def _are_twins(one: RemoteFile, two: RemoteFile) -> bool:
    """Of one content, and made so: under another name or elsewhere, a revision may have come to equal another file."""
    is_one_place = (one.name, one.parents) == (two.name, two.parents)
    return (one.size, one.md5) == (two.size, two.md5) and (is_one_place or not (one.was_edited or two.was_edited))


def _away(key: str, size: int, digests: Digests | None, look: Look) -> list[RemoteFile]:
    """The files away that hold the content, those in the bin last."""
    return sorted(
        (each for each in look.away if each.key == key and digests and each.holds(size, digests)),
        key=lambda each: (each.trashed, each.seniority),
    )


def equal(name: str, key: str, size: int, digests: Digests | None, look: Look) -> list[RemoteFile]:
    """The files shown that hold the content under the name or with our mark, oldest first."""
    return sorted(
        (
            each
            for each in look.files
            if digests and each.holds(size, digests) and (each.name == name or each.key == key)
        ),
        key=lambda each: each.seniority,
    )


def candidates(name: str) -> Iterator[str]:
    """`Name.ext`, `Name (2).ext`, `Name (3).ext`, … without end."""
    dot = name.rfind(".")
    at = dot if 0 < dot < len(name) - 1 else len(name)
    stem, suffix = name[:at], name[at:]
    yield name
    for number in itertools.count(2):
        yield f"{stem} ({number}){suffix}"


def names_due(done: int, policy: Policy) -> int:
    """How many of the candidates to look for at first, where so many contents are done."""
    return done + EXTRA_NAMES if done and policy is Policy.KEEP_BOTH else 1


def free_name(name: str, look: Look) -> str | None:
    """The first candidate that was looked for and not found."""
    taken = {each.name for each in look.files}
    asked = itertools.takewhile(look.tells, candidates(name))
    return next((each for each in asked if each not in taken), None)


def drive_name(name: str) -> str:
    """The name on Drive of a local one; bytes that aren't UTF-8 are written as %XX, since Drive's names are text."""
    return "".join(f"%{ord(each) - 0xDC00:02X}" if "\udc80" <= each <= "\udcff" else each for each in name)


def key(destination: str) -> str:
    """Our mark for files of that destination: the same from every home."""
    return hashlib.sha256(destination.encode("utf-8", "surrogatepass")).hexdigest()[:32]
