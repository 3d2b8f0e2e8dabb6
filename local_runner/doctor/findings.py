"""What a check found, and what mends it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's."""

    area: str
    level: Level
    what: str
    mend: str | None = None


def ok(area: str, what: str) -> Finding:
    """Nothing to mend."""
    return Finding(area, "ok", what)


def warn(area: str, what: str, mend: str) -> Finding:
    """It works, but."""
    return Finding(area, "warn", what, mend)


def fail(area: str, what: str, mend: str) -> Finding:
    """It can't work like that."""
    return Finding(area, "fail", what, mend)


def has_failed(findings: Iterable[Finding]) -> bool:
    """Whether any of them is a failure."""
    return any(each.level == "fail" for each in findings)
