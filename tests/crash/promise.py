"""The promise, as what may not be: every way in which a world breaks it, in words."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from tests.crash.scenarios import Wanted
from tests.crash.world import FOLDER_TYPE, Home, Remote, World, digest

KEY_PROPERTY = "drive_upload_key"


def broken(
    world: World,
    wanted: Sequence[Wanted],
    *,
    earlier: Sequence[Wanted] = (),
    foreign: Iterable[Remote] = (),
    homes: Sequence[Home] = (),
) -> list[str]:
    """What is wrong: nothing, where the promise was kept.

    `wanted` and `earlier` must each stand on Drive once and be logged once; nothing else of ours may; what was there
    before (`foreign`) must be as it was.
    """
    world.settle()
    homes = homes or world.homes
    found = [each for home in homes for each in _log_of(home, [*wanted, *earlier])]
    for account in world.emails:
        files = world.files(account)
        ours = [each for each in (*wanted, *earlier) if each.account == account]
        found += _twins_and_losses(files, ours)
        found += twin_folders(files)
    for home in homes:
        found += _sources(home, wanted)
        found += receipts(home)
    return [*found, *changed(world, foreign)]


def foreign(world: World) -> list[Remote]:
    """What is on Drive now, to be left alone."""
    return [each for account in world.emails for each in world.files(account)]


def stands_at(each: Remote, wanted: Wanted) -> bool:
    """Whether the file is at the wanted path, or beside it as `Name (2).ext`."""
    path = PurePosixPath(wanted.path)
    pattern = re.escape(str(path.with_suffix(""))) + r"( \(\d+\))?" + re.escape(path.suffix)
    return re.fullmatch(pattern, each["path"]) is not None


def copies(files: Iterable[Remote], wanted: Wanted) -> list[Remote]:
    """The files that hold the wanted content at its destination."""
    md5 = hashlib.md5(wanted.content, usedforsecurity=False).hexdigest()
    return [each for each in files if each["md5Checksum"] == md5 and stands_at(each, wanted)]


def times_logged(home: Home, wanted: Wanted) -> int:
    """How many entries of the log say that the content was uploaded."""
    return sum(
        each["status"] == "uploaded"
        and each["account"] == wanted.account
        and each["path"] == f"Data/{wanted.source}"
        and each["sha256"] == digest(wanted.content)
        for each in home.log()
    )


def valid_log(home: Home) -> Iterator[str]:
    """Whether the log is valid."""
    try:
        home.log()
    except (ValueError, AssertionError) as error:
        yield f"the log is no array of entries: {error}"


def _twins_and_losses(files: Sequence[Remote], wanted: Sequence[Wanted]) -> Iterator[str]:
    live = [each for each in files if each["size"] is not None and not each["trashed"]]
    met: set[str] = set()
    for one in wanted:
        there = copies(live, one)
        met |= {each["id"] for each in there}
        if len(there) != 1:
            yield f"{one.account}: {one.path} is on Drive {len(there)} times"
    for each in live:
        if KEY_PROPERTY in each["appProperties"] and each["id"] not in met:
            yield f"{each['path']} ({each['id']}, {each['size']} bytes) is ours and was never wanted"


def twin_folders(files: Sequence[Remote]) -> Iterator[str]:
    """Folders of ours beside others of ours with their name, unless they hold what isn't ours, and so must stay."""
    live = [each for each in files if each["mimeType"] == FOLDER_TYPE and not each["trashed"]]
    held = _holding_what_is_not_ours(files)
    ours = [each for each in live if KEY_PROPERTY in each["appProperties"] and each["id"] not in held]
    counts = Counter((each["parents"][0], each["name"]) for each in ours)
    for each in ours:
        if counts[each["parents"][0], each["name"]] > 1:
            yield f"the folder {each['path']} has a twin"


def _holding_what_is_not_ours(files: Sequence[Remote]) -> set[str]:
    parents = {each["id"]: each["parents"] for each in files}
    theirs = [each for each in files if KEY_PROPERTY not in each["appProperties"] and not each["trashed"]]
    held: set[str] = set()
    pending = [parent for each in theirs for parent in each["parents"]]
    while pending:
        folder = pending.pop()
        if folder not in held:
            held.add(folder)
            pending += parents.get(folder, ())
    return held


def _log_of(home: Home, wanted: Sequence[Wanted]) -> Iterator[str]:
    wrong = list(valid_log(home))
    yield from wrong
    for one in () if wrong else wanted:
        if (count := times_logged(home, one)) != 1:
            yield f"{one.account}: {one.source} has {count} entries 'uploaded' in the log"


def _sources(home: Home, wanted: Sequence[Wanted]) -> Iterator[str]:
    for one in wanted:
        if (home.folder / "Data" / one.source).read_bytes() != one.content:
            yield f"the source {one.source} was touched"


def receipts(home: Home) -> Iterator[str]:
    """Receipts that still claim something, or that a dead writer left half replaced."""
    for file, receipt in home.receipts():
        if "claim" in receipt:
            yield f"{file.name} still claims {json.dumps(receipt['claim'])[:200]}"
        if file.with_name(f"{file.name}.{receipt['generation'] + 1}").exists():
            yield f"{file.name} has a marker of a generation to come"


def changed(world: World, before: Iterable[Remote]) -> Iterator[str]:
    """Files that others had put there before and that are not as they were."""
    now = {each["id"]: each for account in world.emails for each in world.files(account)}
    for each in before:
        if (
            each["mimeType"] != FOLDER_TYPE
            and KEY_PROPERTY not in each["appProperties"]
            and now.get(each["id"]) != each
        ):
            yield f"{each['path']} was there before and is now {now.get(each['id'])}"
