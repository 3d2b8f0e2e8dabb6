"""What tests of durable files share."""

import os
from collections.abc import Callable

import pytest


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The system calls that change the disk, in order, each with the base name of what it changes."""
    seen: list[str] = []

    def by_path(name: str) -> Callable[..., None]:
        real = getattr(os, name)

        def call(path: str, *rest: str) -> None:
            seen.append(f"{name} {os.path.basename(rest[-1] if name in ('link', 'replace', 'rename') else path)}")
            real(path, *rest)

        return call

    def fsync(fd: int, real: Callable[[int], None] = os.fsync) -> None:
        seen.append(f"fsync {os.path.basename(os.readlink(f'/proc/self/fd/{fd}'))}")
        real(fd)

    for name in ("link", "replace", "rename", "unlink"):
        monkeypatch.setattr(os, name, by_path(name))
    monkeypatch.setattr(os, "fsync", fsync)
    real_mkdir = os.mkdir

    def mkdir(path: str, mode: int) -> None:
        real_mkdir(path, mode)
        seen.append(f"mkdir {os.path.basename(path)}")

    monkeypatch.setattr(os, "mkdir", mkdir)
    return seen


def without_temporaries(calls: list[str]) -> list[str]:
    """The calls, with one name for every temporary file."""
    return [f"{each.split()[0]} temporary" if each.endswith(".tmp") else each for each in calls]
