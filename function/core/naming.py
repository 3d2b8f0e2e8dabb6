"""Names on Drive: those that a file may get, and our marks. Pure."""

import hashlib
import itertools
import unicodedata
from collections.abc import Iterator


def candidates(name: str) -> Iterator[str]:
    """`Name.ext`, `Name (2).ext`, `Name (3).ext`, … without end."""
    yield name
    for number in itertools.count(2):
        yield numbered(name, number)


def numbered(name: str, number: int) -> str:
    """`Name (number).ext`."""
    stem, suffix = _parts(name)
    return f"{stem} ({number}){suffix}"


def number_of(candidate: str, name: str) -> int:
    """2 for `Name (2).ext`; 1 for the name itself and for what is none of its candidates."""
    stem, suffix = _parts(name)
    inside = candidate.removeprefix(f"{stem} (").removesuffix(f"){suffix}")
    return int(inside) if inside.isdecimal() and candidate == f"{stem} ({inside}){suffix}" else 1


def _parts(name: str) -> tuple[str, str]:
    dot = name.rfind(".")
    at = dot if 0 < dot < len(name) - 1 else len(name)
    return name[:at], name[at:]


def drive_name(name: str) -> str:
    """The name on Drive of a local one; bytes that aren't UTF-8 are written as %XX, since Drive's names are text."""
    return "".join(f"%{ord(each) - 0xDC00:02X}" if "\udc80" <= each <= "\udcff" else each for each in name)


def same(name: str) -> str:
    """The one form of all spellings of a name or path that look alike: macOS writes `é` as two characters, others as
    one. Drive keeps what it is given, so that is not how things are named there, but how names are compared.
    """
    return unicodedata.normalize("NFC", name)


def spellings(name: str) -> frozenset[str]:
    """The name, and how others may have spelled it: what Drive is asked for."""
    return frozenset((name, same(name), unicodedata.normalize("NFD", name)))


def ownership_mark(destination: str) -> str:
    """Our mark in the appProperties of what is made for that destination: the same from every home."""
    return state_key(destination)


def state_key(text: str) -> str:
    """32 hex digits that name a receipt or a lock."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
