"""The protocol in a small world, for all schedules: the job's own driver and `next_step`, on an in-memory Drive.

A schedule is a list of choices: whose turn it is, whether it dies before its step, what becomes of a request (answered,
answer lost, never arrived, arrives late, damaged on the way), and what others do meanwhile. explore.py goes through
them; of schedules that differ only in when a call did what nobody else can see, a world offers one.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import chain, count, groupby, permutations, product
from random import Random
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

from msgspec.structs import replace

from function import drive_upload
from function.core.errors import DriveError, Locked, TransientDriveError, UploadError
from function.core.naming import ownership_mark
from function.core.receipt import Create, Receipt
from function.core.types import (
    MULTIPART_MAX_BYTES,
    NEVER,
    Digests,
    FileId,
    FileStat,
    Fingerprint,
    FolderListing,
    LoggedUpload,
    NewFile,
    Outcome,
    Policy,
    RemoteFile,
)
from function.drive.port import Drive
from function.drive.query import LIVE, inside, marked, named
from function.drive_upload import Upload
from function.folders.listing import FolderView
from function.home.source import Source
from function.protocol.steps import (
    Done,
    Finish,
    Log,
    NeedDigests,
    NeedId,
    NeedListing,
    NeedLogEntry,
    Rename,
    Send,
    Skip,
    Step,
    Trash,
    WriteClaim,
    WriteDone,
)
from function.state.locks import HeldLock
from function.state.receipts import Receipts, Superseded
from function.upload.item import Destination, UploadContext
from tests.support.digests import digests_of
from tests.support.memory_drive import MemoryDrive, lost

NAME = "zones.txt"
LABEL = f"MemoryVDB/{NAME}"
KEY = ownership_mark(LABEL)
THEIRS = b"somebody else's"
EDITED = b"the owner's own"
HOUR_NS = 3600 * 10**9


class Pruned(Exception):
    """This state was seen before: what follows from it, too."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What may happen, and how often."""

    name: str
    homes: int = 1
    calls: int = 2
    """Invocations in each home; they may overlap where the lock is a lease."""
    policy: Policy = Policy.KEEP_BOTH
    is_large: bool = False
    lease: bool = False
    """The lock excludes nobody: every holder has been frozen longer than its lease."""
    is_known: bool = True
    """The folder is known: a create needs no listing before it. Otherwise a home knows it after its first look."""
    edits_source: bool = False
    """The source has another content in the second call of a home."""
    versions: tuple[int, ...] = ()
    """Which content the source has in each call of a home, where one comes back."""
    contents: int = 1
    """How many contents the homes have; with fewer than homes some have the same."""
    rounds: int = 6
    """Before a call gives up for now, as a batch does after 40: racers in step take each other's name for ever."""
    kills: int = 0
    lost: int = 0
    """Answers that are lost."""
    never: int = 0
    """Requests that don't arrive."""
    late: int = 0
    """Requests of killed invocations that arrive at any time later."""
    damaged: int = 0
    others: tuple[str, ...] = ()
    """What others do, each once at any time: edit, trash, rename, delete, foreign, trash_folder, lose_state, backup;
    copy: the first home is copied to where the second one shall be."""
    may_bin: bool = True
    """Drive lets the account put its own files into the bin: not who may only add to a shared drive."""
    hides: bool = False
    """Listings hide what is new until the end."""


UNSEEN = (NeedDigests, NeedId, NeedLogEntry, WriteClaim, WriteDone, Log, Finish, Done, Skip)
"""Steps that touch the call's own home and nothing else."""

SEEING = {"lose_state", "backup", "copy", "trash_folder"}
"""Others that touch a home, too, or are judged by when a call logged."""

PUTTING_AWAY = ("trash", "rename", "delete")
"""Others by which an owner decides about a file, with what it holds then."""

OTHERS_SHARE = 0.6
"""How often the dice choose at all."""


class Chooser:
    """Follows a schedule, and tells how many choices there were. What it doesn't say, the dice choose, or it is 0."""

    def __init__(self, schedule: list[int], dice: Random | None = None) -> None:
        self.schedule = schedule
        self.counts: list[int] = []
        self.dice = dice

    def one_of(self, options: int) -> int:
        """The number of the option chosen."""
        at = len(self.counts)
        self.counts.append(options)
        if at == len(self.schedule):  # 0 more often than the others: the one whose turn it is goes on, undisturbed
            throws = self.dice and self.dice.random() < OTHERS_SHARE
            self.schedule.append(self.dice.randrange(options) if self.dice and throws else 0)
        return self.schedule[at]


class Memory:
    """Receipts of one home, as `Receipts` keeps them."""

    def __init__(self) -> None:
        self.kept: dict[str, Receipt] = {}

    def read(self, name: str) -> Receipt | None:
        return self.kept.get(name)

    def version(self, name: str) -> Receipt | None:
        """A receipt is its own version."""
        return self.kept.get(name)

    def append(self, name: str, old: Receipt, new: Receipt, version: Receipt) -> tuple[Receipt, Receipt] | None:
        return self.swap(name, old, new) if self.kept.get(name) == version else None

    def swap(
        self, name: str, old: Receipt | None, new: Receipt, version: Receipt | None = None
    ) -> tuple[Receipt, Receipt]:
        if self.kept.get(name) != old:
            raise Superseded(name)
        self.kept[name] = replace(new, generation=(old.generation if old else 0) + 1)
        return self.kept[name], self.kept[name]


class StillSource:
    """A source that is read without a disk."""

    def __init__(self, content: bytes, version: int, inode: int) -> None:
        self.content = content
        """As it is sent: damaged on the way, it is another one for a moment."""
        self.sha256_by_now = digests_of(content).sha256
        self.stat = FileStat(len(content), HOUR_NS + version, inode)
        self._digests: Digests | None = None

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint(self.stat, self._digests)

    def digests(self, check: Callable[[], None], shown_by: RemoteFile | None) -> Digests:
        self._digests = digests_of(self.content)
        return self._digests

    def sha256(self, check: Callable[[], None]) -> str:
        return digests_of(self.content).sha256

    def check_unchanged(self) -> None:
        return

    def read(self, check: Callable[[], None]) -> memoryview:
        return memoryview(self.content)

    def blocks(self, offset: int, check: Callable[[], None]) -> Iterator[memoryview]:
        yield memoryview(self.content)[offset:]

    def in_use(self) -> Any:
        return nullcontext()


@dataclass
class Home:
    """One home: what outlives its invocations."""

    number: int
    receipts: Memory = field(default_factory=Memory)
    log: list[tuple[str, bytes]] = field(default_factory=list)
    """File id and content of each entry `uploaded`."""
    ids: list[str] = field(default_factory=list)
    knows_folder: bool = False
    holder: "Call | None" = None
    backup: tuple[dict[str, Receipt], list[str]] | None = None

    def copy_to(self, other: "Home") -> None:
        """Let the other one be as this one is."""
        other.receipts.kept, other.ids[:], other.log[:] = dict(self.receipts.kept), self.ids, self.log
        other.knows_folder = self.knows_folder


class Moment(float):
    """A time that shows as such."""

    def __repr__(self) -> str:
        return f"@{int(self)}"


class Clock:
    """Every look at it is later than the one before."""

    def __init__(self) -> None:
        self.now = 0

    def monotonic(self) -> float:
        self.now += 1
        return Moment(self.now)

    def time_ns(self) -> int:
        return 10 * HOUR_NS + self.now


class View:
    """The folder, as a `FolderView` shows it; made anew where its owner has put it into the bin."""

    def __init__(self, world: "World", home: Home) -> None:
        self.world, self.home = world, home
        self.made: set[str] = set()
        self.leaf: FileId | None = world.leaf
        self.is_known = home.knows_folder or world.scenario.is_known

    @property
    def may_create_unseen(self) -> bool:
        return self.is_known

    def ready(self) -> None:
        self.leaf = self.world.folder()

    def look(self, names: Collection[str], begun_after: float) -> FolderListing:
        began = self.world.clock.monotonic()
        self.ready()
        assert self.leaf
        shown = self.world.drive.list(inside(self.leaf) & LIVE & named(sorted(names)))
        marks, seen = self.world.drive.list(marked(KEY)), {each.id for each in shown}
        self.home.knows_folder = True
        elsewhere = [each for each in marks if each.explicitly_trashed or not (each.trashed or each.id in seen)]
        return FolderListing(frozenset(names), tuple(shown), tuple(elsewhere), began)

    def distrust(self) -> None:
        self.is_known, self.leaf = False, None

    def has_unknown_files(self) -> None:
        self.is_known = False


class Call:
    """One invocation on its way."""

    def __init__(self, world: "World", home: Home, content: bytes, version: int) -> None:
        self.world, self.home = world, home
        self.source = StillSource(content, version, inode=1 + home.number)
        self.view = View(world, home)
        context = UploadContext(
            account="default",
            open_drive=lambda: cast(Drive, world.drive),
            receipts=cast(Receipts[Receipt], home.receipts),
            lock=lambda name, deadline: cast(Any, nullcontext(LOCK)),
            take_id=self._take_id,
            discard_ids=home.ids.clear,
            log_position=lambda: len(home.log),
            logged_upload=self._logged,
            logged_uploads=lambda: [self._entry(at) for at in range(len(home.log))],
            record=self._record,
            deadline=cast(Any, SimpleNamespace(check=lambda: None, remaining_s=lambda: 300.0)),
            wait_for_bytes=lambda count: None,
        )
        self.upload = Upload(
            Destination(
                context=context,
                folder=cast(FolderView, self.view),
                path="MemoryVDB",
                local_name=NAME,
                receipt_name="receipt",
                policy=world.scenario.policy,
                metadata={},
                progress=lambda sent, size: None,
            ),
            cast(Source, self.source),
        )
        self.round_began = NEVER
        self.rounds = self.steps = 0
        self.holds = False
        self.outcome: Outcome | UploadError | None = None
        self.is_dead = False
        self.sends = 0

    @property
    def is_over(self) -> bool:
        return self.is_dead or self.outcome is not None

    @property
    def may_step(self) -> bool:
        return not self.is_over and (self.world.scenario.lease or self.home.holder in (None, self))

    def pending(self) -> Step | None:
        """The step that comes next, after the lock was taken; None where the call has ended instead."""
        if not self.holds:
            self.home.holder, self.holds = self, True
            self.rounds += 1
            if self.rounds > self.world.scenario.rounds:
                self._end(Locked("others keep taking its name"))
                return None
            self.round_began, self.steps = self.world.clock.monotonic(), 0
            self.upload.start_round()
        try:
            step = self.upload.next_step()
        except UploadError as error:
            self._end(error)
            return None
        if isinstance(step, NeedListing) and step.begun_after >= self.round_began:
            self._release()
            return self.pending()
        return step

    def peek(self) -> Step | None:
        """The step that comes next, while the call holds the lock; None where it ends in an error."""
        with suppress(UploadError):
            return self.upload.next_step()
        return None

    def take(self, step: Step) -> None:
        """Take the step."""
        self.steps += 1
        if self.steps > drive_upload.STEPS_MAX:
            self._end(Locked("it never ends"))
            return
        try:
            outcome = self.upload.take(step, cast(HeldLock, LOCK))
        except Superseded:
            self.upload.start_round()
        except UploadError as error:
            self._end(error)
        else:
            if outcome:
                self._end(outcome)

    def die(self) -> None:
        """SIGKILL: the kernel frees the lock."""
        self.is_dead = True
        self._release()

    def request(self, step: Step) -> Callable[[], object] | None:
        """The request of the step, to be made later by nobody."""
        drive, upload = self.world.drive, self.upload
        match step:
            case Send(claim) if not self.world.scenario.is_large and isinstance(claim, Create):
                new: NewFile = upload.to.new_file(claim, self.source.stat, with_metadata=True)
                return lambda: drive.create(new, memoryview(self.source.content))
            case Send(claim) if claim.session:
                uri = claim.session
                return lambda: drive.send(uri, len(self.source.content), 0, [memoryview(self.source.content)])
            case Rename(file, name):
                return lambda: drive.update(file, name=name)
            case Trash(file):
                return lambda: drive.trash(file)
        return None

    def _end(self, outcome: Outcome | UploadError) -> None:
        self.outcome = outcome
        self._release()

    def _release(self) -> None:
        self.holds = False
        if self.home.holder is self:
            self.home.holder = None

    def _take_id(self) -> FileId:
        if not self.home.ids:
            self.home.ids += [self.world.new_id() for _ in range(4)]
        return FileId(self.home.ids.pop(0))

    def _entry(self, at: int) -> LoggedUpload:
        file_id, content = self.home.log[at]
        digests = digests_of(content)
        name = self.world.drive.store.files[file_id].name if file_id in self.world.drive.store.files else NAME
        return LoggedUpload(
            "uploaded", "default", NAME, f"MemoryVDB/{name}", FileId(file_id), len(content), digests.sha256, digests.md5
        )

    def _logged(self, file_id: str, since: int) -> LoggedUpload | None:
        found = [at for at, (logged, _) in enumerate(self.home.log) if at >= since and logged == file_id]
        return self._entry(found[-1]) if found else None

    def _record(self, outcome: Outcome, digests: Digests, since: int) -> bool:
        content = next(each for each in self.world.contents if digests_of(each) == digests)
        if (outcome.file_id, content) in self.home.log[since:]:
            return False
        self.home.log.append((outcome.file_id or "", content))
        return True


def _looked_at(call: Call) -> str | None:
    """The id that the last listing before the log's entry was made for: what happens to its folder now, nobody sees."""
    facts, claim = call.upload.facts, call.upload.receipt.current.claim
    has_looked = not call.is_dead and facts.listing and facts.listing.began > facts.answered_at
    return claim.id if claim and has_looked else None


LOCK = SimpleNamespace(check=lambda: None)


class _ForContributors(MemoryDrive, frozen=True):
    """A shared drive for who may only add files."""

    def trash(self, file: RemoteFile) -> RemoteFile:
        raise DriveError(f"{file.name}: may not be put into the bin", reason="permission_denied")


class World:
    """All that there is."""

    def __init__(self, scenario: Scenario, chooser: Chooser) -> None:
        self.scenario, self.chooser = scenario, chooser
        self.clock = Clock()
        self.drive = MemoryDrive() if scenario.may_bin else _ForContributors()
        self.ids = 0
        self.leaf: FileId = self.drive.put("MemoryVDB").id
        if scenario.hides:
            self.drive.hide_new()
        self.homes = [Home(number) for number in range(scenario.homes)]
        self.contents: list[bytes] = []
        self.calls: list[Call] = []
        self.left = {name: getattr(scenario, name) for name in ("kills", "lost", "never", "late", "damaged")}
        self.others = list(scenario.others)
        self.due = {home.number: scenario.calls for home in self.homes}
        self.late: list[Callable[[], object]] = []
        self.theirs: dict[str, bytes] = {}
        """File id -> the content that somebody else has given it."""
        self.put_away: set[str] = set()
        self.put_away_with: set[bytes] = set()
        """The contents that those files held then: their owner has decided about them, and about no other."""

    def new_id(self) -> str:
        """An id that Drive has never given before."""
        self.ids += 1
        return f"id-{self.ids}"

    def folder(self) -> FileId:
        """The folder's id, which is another one after it went into the bin."""
        if self.drive.store.files[self.leaf].explicitly_trashed:
            self.leaf = self.drive.put("MemoryVDB").id
        return self.leaf

    def content_of(self, home: Home, version: int) -> bytes:
        """What the source of the home holds then."""
        text = self._text(home, version)
        if text not in self.contents:
            self.contents.append(text)
        return text

    def _text(self, home: Home, version: int) -> bytes:
        return f"content {home.number % self.scenario.contents}, version {version}".encode()

    # --- what may happen next

    def run(self, seen: set[str] | None = None) -> None:
        """Follow the schedule to the end. Raises Pruned where a state is among those that were `seen` before."""
        while acts := list(self._acts()):
            if seen is not None and len(self.chooser.counts) >= len(self.chooser.schedule):  # before: on the way there
                state = self._state()
                if state in seen:
                    raise Pruned
                seen.add(state)
            acts[self.chooser.one_of(len(acts))]()

    def _acts(self) -> Iterator[Callable[[], None]]:
        if alone := next((each for each in self.calls if self._is_unseen(each)), None):
            yield lambda: self._go_on(alone)
            return
        for home in self.homes:
            is_free = self.scenario.lease or home.holder is None
            under_way = [each for each in self.calls if each.home is home and not each.is_over]
            if self.due[home.number] and is_free and (self.scenario.lease or not under_way):
                yield lambda home=home: self._begin(home)  # type: ignore[misc]
        for call in self.calls:
            if call.may_step:
                yield lambda call=call: self._go_on(call)  # type: ignore[misc]
        for other in self.others:
            if self._can(other):
                yield lambda other=other: self._meanwhile(other)  # type: ignore[misc]
        if self.late:
            yield self._arrive

    def _is_unseen(self, call: Call) -> bool:
        """Whether the call's next step, or its death before it, neither shows others anything nor is changed by them.

        Then it makes no difference when it happens, and the call goes on at once (an ample set, in the words of model
        checkers).
        """
        is_alone = not self.scenario.lease and not SEEING & set(self.scenario.others)
        return is_alone and call.holds and not call.is_over and isinstance(call.peek(), UNSEEN)

    def call(self, home: Home, number: int) -> "Call":
        """The home's call of that number."""
        edited = number if self.scenario.edits_source else 0
        version = self.scenario.versions[number] if self.scenario.versions else edited
        return Call(self, home, self.content_of(home, version), number if self.scenario.versions else version)

    def _begin(self, home: Home) -> None:
        done = self.scenario.calls - self.due[home.number]
        self.due[home.number] -= 1
        self.calls.append(self.call(home, done))

    def _go_on(self, call: Call) -> None:
        step = call.pending()
        if step is None:
            return
        ways = ["answered"]
        ways += ["killed"] if self.left["kills"] else []
        request = call.request(step)
        if request:
            ways += [each for each in ("lost", "never") if self.left[each]]
            ways += ["late"] if self.left["late"] else []
        if isinstance(step, Send):
            ways += ["damaged"] if self.left["damaged"] else []
        way = ways[self.chooser.one_of(len(ways))] if len(ways) > 1 else "answered"
        if way != "answered":
            self.left["kills" if way == "killed" else way] -= 1
        match way:
            case "killed":
                call.die()
            case "late":
                assert request
                self.late.append(request)
                call.upload.keep_digest()
                call.die()
            case "damaged":
                whole = call.source.content
                call.source.content = whole[:-1] + b"?"
                call.take(step)
                call.source.content = whole
            case _:
                with self._troubled(way):
                    call.take(step)

    @contextmanager
    def _troubled(self, way: str) -> Iterator[None]:
        """One write that comes to grief: the last one of the step."""
        store = self.drive.store

        def strike(method: str, number: int) -> None:
            if method in ("create", "send", "update"):
                raise lost()

        nothing = store.before
        if way == "never":
            store.before = strike
        elif way == "lost":
            store.after = strike
        yield
        store.before = store.after = nothing

    def _arrive(self) -> None:
        """A request of a dead invocation reaches Drive."""
        try:
            self.late.pop(0)()
        except UploadError:
            return  # nobody is told

    # --- what others do

    def _ours(self) -> RemoteFile | None:
        files = self.drive.store.files.values()
        ours = [
            each for each in files if each.key == KEY and not each.explicitly_trashed and each.id not in self.theirs
        ]
        return ours[0] if ours else None

    def _can(self, other: str) -> bool:
        if other == "copy":
            return self.due[1] == self.scenario.calls
        return other not in ("edit", *PUTTING_AWAY) or self._ours() is not None

    def _meanwhile(self, other: str) -> None:  # noqa: C901 a case for each of them
        self.others.remove(other)
        ours, home = self._ours(), self.homes[0]
        self._decided({ours.id} if ours and other in PUTTING_AWAY else set())
        match other:
            case "edit":
                assert ours
                self.drive.edit(ours.id, EDITED, modified_time="2001-01-01T00:00:00.000Z")
                self.theirs[ours.id] = EDITED
            case "trash":
                assert ours
                self.drive.change(ours.id, explicitly_trashed=True)
            case "rename":
                assert ours
                self.drive.change(ours.id, name="renamed by its owner.txt")
            case "delete":
                assert ours
                self.drive.delete(ours.id)
            case "foreign":
                file = self.drive.put(NAME, THEIRS, self.leaf)
                self.theirs[file.id] = THEIRS
            case "trash_folder":  # what was logged by then goes with it
                logged = {file_id for each in self.homes for file_id, _ in each.log}
                looked_at = {claim for each in self.calls if (claim := _looked_at(each))}
                files = self.drive.store.files
                gone = {each for each in logged | looked_at if each in files and self.leaf in files[each].parents}
                self._decided(gone)
                self.drive.change(self.leaf, explicitly_trashed=True)
            case "lose_state":
                home.receipts.kept.clear()
                home.ids.clear()
                home.knows_folder = self.scenario.is_known
            case "copy":
                home.copy_to(self.homes[1])
            case "backup":
                home.backup = (dict(home.receipts.kept), list(home.ids))
                self.others.append("restore")
            case "restore":
                assert home.backup
                home.receipts.kept, home.ids[:] = dict(home.backup[0]), home.backup[1]

    def _decided(self, put_away: set[str]) -> None:
        self.put_away |= put_away
        self.put_away_with |= {self.drive.store.contents[each] for each in put_away}

    # --- states

    def _state(self) -> str:
        """The state as text that doesn't tell when, or under which numbers, it came about."""
        store = self.drive.store
        files = [
            (each.id, each.name, each.parents, each.explicitly_trashed, each.md5, each.created_time,
             each.head_revision_id, each.key, each.nonce, len(store.revisions.get(each.id, ())),
             each.id in (store.hidden or ()))
            for each in store.files.values()
        ]  # fmt: skip
        sessions = [(uri, each.file.id, bytes(each.kept), each.made is None) for uri, each in store.sessions.items()]
        rest = (self.left, self.others, len(self.late), self.theirs, self.put_away, self.leaf)
        common = repr((files, sorted(store.used), sessions, rest))
        homes = [self._home_state(home) for home in self.homes]
        alike = (_named(_ranked(_TIMES, "".join([*order, common]))) for order in self._orders(homes))
        return hashlib.sha256(min(alike).encode()).hexdigest()

    def _orders(self, homes: list[str]) -> Iterable[Sequence[str]]:
        """The homes' states in an order that their numbers have no part in, or in several where some look the same."""
        if SEEING & set(self.scenario.others):  # these happen to the first one
            return [homes]
        looks = sorted((_named(_ranked(_TIMES, each)), each) for each in homes)
        same_looks = [[home for _, home in group] for _, group in groupby(looks, key=lambda each: each[0])]
        return (list(chain(*order)) for order in product(*map(permutations, same_looks)))

    def _home_state(self, home: Home) -> str:
        """What a home is, whichever number it has: two that changed places, with their contents, are the same state."""
        versions = [self._text(home, version) for version in range(self.scenario.calls)]
        contents = [(each, digests_of(each)) for each in versions]
        calls = [each for each in self.calls if each.home is home and not each.is_over]
        state = (home.receipts.kept, home.log, home.ids, home.backup, home.knows_folder, self.due[home.number])
        return repr((contents, state)) + "".join(_ranked(_MOMENTS, repr(self._call_state(each))) for each in calls)

    def _call_state(self, call: Call) -> object:
        upload, facts = call.upload, call.upload.facts
        listing = facts.listing and (
            sorted(facts.listing.names or ()), list(map(_short, facts.listing.files)),
            list(map(_short, facts.listing.elsewhere)), facts.listing.began,
        )  # fmt: skip
        looked = sorted((file_id, _short(file)) for file_id, file in facts.files.items())
        known = replace(facts, now_ns=0, listing=None, files={}, logged_before=(), log_position=0)
        return (
            call.source.stat, call.holds, call.round_began, call.view.leaf, call.view.is_known,
            upload.receipt.current, upload.receipt.is_counted, listing, looked, known, upload._failures,
            upload._sessions_lost, call.rounds, facts.log_position,
        )  # fmt: skip


_MOMENTS = re.compile(r"@\d+")
"""Of one call: no other call's clock is compared with them."""

_TIMES = re.compile(r"2026-[-\d:.T]+Z")
"""When files were made: the order tells which one is older."""

_NAMES = re.compile(
    r"inode=\d|id-\d+|nonce-\d+|revision-\d+|sessions/\d+|content \d, version \d|[0-9a-f]{64}|[0-9a-f]{32}"
)
"""Which one is which counts, and not its number."""

_RECORDED = re.compile(r"at_ns=\d+")
"""All within the hour that a listing may lag."""


def _ranked(moments: re.Pattern[str], text: str) -> str:
    """The text with moments by their order, since only that counts."""
    order = sorted(set(moments.findall(text)), key=lambda each: (len(each), each))
    ranks = {each: f"#{rank}" for rank, each in enumerate(order)}
    return moments.sub(lambda found: ranks[found[0]], text)


def _named(text: str) -> str:
    """The text with names in the order in which they appear."""
    names: dict[str, str] = {}
    return _RECORDED.sub("", _NAMES.sub(lambda found: names.setdefault(found[0], f"~{len(names)}"), text))


def _short(file: RemoteFile | None) -> object:
    """What the protocol looks at."""
    return file and (
        file.id, file.name, file.parents, file.trashed, file.explicitly_trashed, file.md5, file.created_time,
        file.head_revision_id, file.key, file.nonce,
    )  # fmt: skip


@contextmanager
def small_world(scenario: Scenario) -> Iterator[Clock]:
    """Time passes by looking at it; nobody waits; contents of a large scenario go in sessions."""
    clock, nonces = Clock(), count()

    def pause(attempt: int, error: TransientDriveError, deadline: object) -> None:
        if attempt >= 4:
            raise error

    with (
        mock.patch.object(drive_upload, "time", clock),
        mock.patch.object(drive_upload, "MULTIPART_MAX_BYTES", 0 if scenario.is_large else MULTIPART_MAX_BYTES),
        mock.patch.object(drive_upload, "uuid4", lambda: SimpleNamespace(hex=f"nonce-{next(nonces)}")),  # noqa: PT008
        mock.patch("function.core.retry.pause", pause),
        mock.patch("threading.Thread", mock.MagicMock()),
    ):
        yield clock


def finish(world: World) -> list[Call]:
    """Late requests arrive, listings show everything, and each home is called until nothing is left to do."""
    while world.late:
        world._arrive()
    world.drive.show_all()
    last = []
    for _ in range(3):
        for home in world.homes:
            home.holder = None
            call = world.call(home, world.scenario.calls - 1)
            world.calls.append(call)
            while not call.is_over:
                step = call.pending()
                if step is not None:
                    call.take(step)
            last.append(call)
    return last[-len(world.homes) :]
