"""Running a schedule in a world of its own, and the promise held against what is left."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.schedule import LARGE_SOURCE, Call, Round, Schedule, schedule
from tests.crash import promise
from tests.crash.runs import Ended, Run
from tests.crash.scenarios import Wanted
from tests.crash.strike import Strike
from tests.crash.world import FOLDER_TYPE, Home, Remote, Station, World

LARGE_BYTES = 5_500_000

INVOCATIONS_AFTER = 2


@dataclass(slots=True)
class Course:
    """A schedule on its way."""

    plan: Schedule
    world: World
    versions: dict[str, int] = field(default_factory=dict)
    """Source -> how often it was edited."""
    foreign: list[Remote] = field(default_factory=list)
    put_away: set[tuple[str, int]] = field(default_factory=set)
    """Sources, with their version, that lay on Drive when their owner put the folder into the bin."""
    has_forgotten: bool = False
    """A state was lost: what was not logged by then is found as somebody else's would be."""
    is_blind: bool = False
    """... and listings hid something of it: a look that comes later settles what was made again."""

    def run(self) -> list[str]:
        """What is wrong in the end; empty when all is well."""
        self.world.drive.set_weather(list_lag_s=self.plan.lag_s)
        for source in self.plan.sources:
            self._write(source)
        for each in self.plan.rounds:
            self._round(each)
        self.world.drive.set_weather(list_lag_s=0)
        return self._judged(self._end())

    # --- rounds

    def _round(self, each: Round) -> None:
        if each.deed:
            self._others(*each.deed.split(" "))
        for home in self.world.homes:
            _copy(home.state, home.folder / "backup")
        self.world.drive.faults.add(*each.faults)
        self.world.at_once([self._invocation(call) for call in each.calls])
        self.world.settle()
        self.world.drive.faults.clear()

    def _invocation(self, call: Call) -> Run:
        return self.world.invocation(
            self._payload(call.sources),
            home=self.world.homes[call.home],
            strike=Strike(*call.kill) if call.kill else None,
            environ={"DRIVE_UPLOAD_DEADLINE_S": str(call.deadline_s)} if call.deadline_s else {},
            after_s=call.after_s,
            kill_after_s=call.kill_after_s,
        )

    def _payload(self, sources: Iterable[str]) -> Mapping[str, Any]:
        files = [{"path": f"Data/{source}", "if_exists": self.plan.policy} for source in sources]
        return files[0] if len(files) == 1 else {"files": files}

    def _others(self, deed: str, what: str) -> None:
        if deed == "edit":
            self.versions[what] = self.versions.get(what, 0) + 1
            self._write(what)
        elif deed == "foreign":
            made = self.world.foreign_file(f"MemoryVDB/{what}", f"Not by us: {what}".encode())
            self.foreign += [each for each in self.world.files() if each["id"] == made]
        elif deed in ("lose", "restore"):
            self._forget(self.world.homes[int(what)], restores=deed == "restore")
        else:
            self._trash(what)

    def _forget(self, home: Home, *, restores: bool) -> None:
        """The state goes; in its place may come what it was when the last round began."""
        self.has_forgotten = True
        self.is_blind |= bool(self.plan.lag_s) and not self._is_logged(home)
        shutil.rmtree(home.state, ignore_errors=True)
        if restores:
            _copy(home.folder / "backup", home.state)

    def _is_logged(self, home: Home) -> bool:
        """Whether the home's log tells of all that is on Drive; torn by a kill, it does not."""
        if any(promise.valid_log(home)):
            return False
        told = {each["file_id"] for each in home.log() if each["status"] == "uploaded"}
        files = self.world.files()
        above = {parent for each in files if each["id"] in told for parent in self._folders_above(each, files)}
        return all(each["id"] in told | above for each in files if each["parents"])

    def _folders_above(self, file: Remote, files: Sequence[Remote]) -> Iterator[str]:
        by_id = {each["id"]: each for each in files}
        while file and file["parents"]:
            yield file["parents"][0]
            file = by_id.get(file["parents"][0], {})

    def _trash(self, folder: str) -> None:
        for each in self.world.files():
            if each["mimeType"] == FOLDER_TYPE and each["path"] == f"MemoryVDB/{folder}" and not each["trashed"]:
                self.world.call("PATCH", f"files/{each['id']}", {"trashed": True})
        self.foreign = [each for each in self.foreign if not each["path"].startswith(f"MemoryVDB/{folder}/")]
        inside = [source for source in self.plan.sources if source.startswith(f"{folder}/")]
        self.put_away |= {(source, n) for source in inside for n in range(self.versions.get(source, 0) + 1)}

    def _write(self, source: str) -> None:
        for home in self.world.homes:
            home.put(source, content_of(source, self.versions.get(source, 0)))

    # --- the end

    def _end(self) -> dict[str, str]:
        """Plain invocations in every home, at last in one that knows nothing: source -> its last status."""
        if len(self.world.homes) > 1 or self.is_blind:
            self.world.new_home()
            self._write_all()
        statuses: dict[str, str] = {}
        for home in self.world.homes:
            ended = self._until_done(home)
            statuses = {each["path"]: _status(each) for each in ended.document.get("results", ())}
            if not statuses:
                return dict.fromkeys(self.plan.sources, f"{ended.document} after {ended.events[-3:]}")
        return {source: statuses[f"Data/{source}"] for source in self.plan.sources}

    def _write_all(self) -> None:
        for source in self.plan.sources:
            self._write(source)

    def _until_done(self, home: Home) -> Ended:
        for _ in range(INVOCATIONS_AFTER):
            ended = self.world.run(self._payload(self.plan.sources), home=home)
            if ended.code in (200, 409):
                break
        return ended

    def _judged(self, statuses: Mapping[str, str]) -> list[str]:
        return [
            *(f"{source} ended as {status}" for source, status in statuses.items() if status not in self._fine()),
            *self._contents(statuses),
            *promise.twin_folders(self.world.files()),
            *(wrong for home in self.world.homes for wrong in self._receipts(home)),
            *(wrong for home in self.world.homes for wrong in promise.valid_log(home)),
            *promise.changed(self.world, () if self.plan.policy == "new_revision" else self.foreign),
        ]

    def _receipts(self, home: Home) -> Iterator[str]:
        """What is wrong with them; who leaves a name to others keeps the claim of the dead, whose request may come."""
        return iter(()) if self.plan.policy in ("skip", "fail") else promise.receipts(home)

    def _fine(self) -> Sequence[str]:
        held = {"skip": ("skipped",), "fail": ("failed",)}
        return ("uploaded", "unchanged", *held.get(self.plan.policy, ()))

    def _contents(self, statuses: Mapping[str, str]) -> Iterator[str]:
        """Losses, twins, mixtures and entries in the log that are missing or too many."""
        live = [each for each in self.world.files() if each["size"] is not None and not each["trashed"]]
        met: set[str] = set()
        for source in self.plan.sources:
            last = self.versions.get(source, 0)
            for version in range(last + 1):
                wanted = Wanted(source, content_of(source, version))
                there = promise.copies(live, wanted)
                met |= {each["id"] for each in there}
                is_due = version == last and statuses[source] in ("uploaded", "unchanged")
                least = 1 if is_due and (source, version) not in self.put_away else 0
                if len(there) < least or sum(not self._is_theirs(each) for each in there) > 1:
                    yield f"{source}, version {version}, is on Drive {len(there)} times: {there}"
                yield from self._logged(wanted, least=least)
        for each in live:
            if promise.KEY_PROPERTY in each["appProperties"] and each["id"] not in met:
                yield f"{each['path']} ({each['id']}, {each['size']} bytes) is ours and was never wanted"

    def _is_theirs(self, each: Remote) -> bool:
        """A file of others that one of several homes was asked to revise: never put away, whatever a racer made."""
        is_revisable = self.plan.policy == "new_revision" and len(self.world.homes) > 1
        return is_revisable and each["id"] in {one["id"] for one in self.foreign}

    def _logged(self, wanted: Wanted, *, least: int) -> Iterator[str]:
        counts = [promise.times_logged(home, wanted) for home in self.world.homes]
        if max(counts) > 1 or (sum(counts) < least and not self.has_forgotten):
            yield f"{wanted.source} is logged as uploaded {counts} times"


def content_of(source: str, version: int) -> bytes:
    """The content of a source; a large one differs in every block."""
    if source == LARGE_SOURCE:
        return Random(version).randbytes(LARGE_BYTES)
    return f"{source}, version {version}\n".encode() * 20


def _copy(state: Path, to: Path) -> None:
    shutil.rmtree(to, ignore_errors=True)
    if state.exists():
        shutil.copytree(state, to)


def _status(entry: Mapping[str, Any]) -> str:
    return str(entry["status"] if entry["reason"] in (None, "destination_exists") else entry["message"])


def run(station: Station, plan: Schedule) -> list[str]:
    """What is wrong after a schedule; empty when all is well."""
    with station.world(lease_s=plan.lease_s, homes=plan.homes) as world:
        return Course(plan, world).run()


def campaign(seed: int, numbers: Sequence[int]) -> list[tuple[int, list[str]]]:
    """The numbers of the schedules that break the promise, with what broke."""
    with Station() as station:
        ended = [(number, run(station, schedule(seed, number))) for number in numbers]
    return [(number, found) for number, found in ended if found]
