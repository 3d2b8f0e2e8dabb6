"""What kind of volume the state lies on, and whether the lock mode suits it. Source: proc(5), nfs(5)."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from local_runner.doctor.findings import Finding, fail, ok, warn

AREA = "volume"


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of /proc/self/mountinfo."""

    point: str
    kind: str
    source: str
    options: frozenset[str]
    """Of the mount and of its file system together."""


def mounts(lines: Iterable[str]) -> Iterator[Mount]:
    """The mounts of a mountinfo file."""
    for line in lines:
        before, separator, after = line.rstrip("\n").partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if separator and len(left) >= 6 and len(right) >= 3:
            yield Mount(_plain(left[4]), right[0], _plain(right[1]), frozenset(f"{left[5]},{right[2]}".split(",")))


def _plain(text: str) -> str:
    r"""Spaces and the like are written as \040."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def mount_of(path: Path, known: Iterable[Mount]) -> Mount | None:
    """The mount that a path lies on: of those above it the deepest, and of several there the last."""
    real = os.path.realpath(path)
    found: Mount | None = None
    for each in known:
        is_above = real == each.point or real.startswith(each.point.rstrip("/") + "/")
        if is_above and (found is None or len(each.point) >= len(found.point)):
            found = each
    return found


def judge(mount: Mount, lock: str) -> list[Finding]:
    """Whether state may lie there, with that lock mode."""
    where = f"{mount.point} ({mount.kind})"
    found = []
    if "ro" in mount.options:
        found.append(fail(AREA, f"{where} is mounted read-only", "mount it writable, or set state_root to one that is"))
    return [*found, _of_kind(mount, where, lock)]


def _of_kind(mount: Mount, where: str, lock: str) -> Finding:
    if "gcsfuse" in mount.kind or "gcsfuse" in mount.source:
        return fail(
            AREA,
            f"{where} is Cloud Storage: it has no locks, and of two writers the last wins",
            "set state_root to NFS or a disk; sources may be read from there",
        )
    if mount.kind in ("nfs", "nfs4"):
        return _of_nfs(mount, where, lock)
    if mount.kind in ("cifs", "smb3", "smbfs") and lock == "native":
        return warn(AREA, f"{where} is shared by SMB, where kernel locks are uncertain", 'set lock to "lease"')
    if mount.kind in ("9p", "virtiofs", "fuse", "fuseblk", "vboxsf") or mount.kind.startswith("fuse."):
        return warn(
            AREA,
            f"{where} is passed on by another system, whose processes our locks may not exclude",
            "run all uploads on one side, or use a local disk or NFS",
        )
    if mount.kind in ("tmpfs", "ramfs"):
        return warn(AREA, f"{where} is memory: receipts and log go with the machine", "put state_root on a disk")
    if mount.kind == "overlay":
        return warn(
            AREA, f"{where} is the container's own layer: receipts and log go with it", "mount a volume for the home"
        )
    return ok(AREA, f"{where} keeps what is written and has kernel locks")


def _of_nfs(mount: Mount, where: str, lock: str) -> Finding:
    local = {each for each in mount.options if each == "nolock" or each.startswith("local_lock=")} - {"local_lock=none"}
    if lock == "lease":
        return ok(AREA, f"{where} is shared; leases suit it")
    if local:
        return fail(
            AREA,
            f"{where} is mounted {', '.join(sorted(local))}: kernel locks exclude nobody on other machines",
            'set lock to "lease"',
        )
    return warn(AREA, f"{where}: kernel locks over NFS depend on the server and have overlapped", 'set lock to "lease"')
