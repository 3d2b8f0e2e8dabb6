"""What a log comes to: counted in one pass, whatever its length. Pure."""

import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from local_runner.client.invoke import Entry

_HOUR = re.compile(r"\d{4}-\d\d-\d\dT\d\d")

TOP = "(top)"
"""The zone of files that lie in the data root itself."""


@dataclass(slots=True)
class Totals:
    """Counts of one zone and account, or of an hour."""

    statuses: Counter[str] = field(default_factory=Counter)
    size_bytes: int = 0
    """Uploaded."""
    last: str = ""
    """Time of the last attempt, as logged."""

    def add(self, entry: Entry) -> None:
        """Count an entry."""
        status = str(entry.get("status"))
        self.statuses[status] += 1
        size = entry.get("size")
        if status == "uploaded" and isinstance(size, int) and size > 0:
            self.size_bytes += size
        self.last = max(self.last, str(entry.get("time")))


@dataclass(slots=True)
class Summary:
    """Totals of a log, and its last entries."""

    data_root: str
    """Relative to the home, as in the entries' paths."""
    last: deque[Entry]
    """Oldest first; as many as it was made for."""
    all: Totals = field(default_factory=Totals)
    hours: dict[str, Totals] = field(default_factory=lambda: defaultdict(Totals))
    """`2026-11-22T10` -> its totals."""
    zones: dict[tuple[str, str], Totals] = field(default_factory=lambda: defaultdict(Totals))
    """Zone and account -> their totals."""
    zone_days: dict[tuple[str, str], dict[str, Totals]] = field(default_factory=lambda: defaultdict(dict))
    """Zone and account -> `2026-11-22` -> the totals of that day."""

    def counting(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The same entries, counted as they pass."""
        for entry in entries:
            self.all.add(entry)
            self.last.append(entry)
            hour = _HOUR.match(str(entry.get("time")))
            if hour:
                self.hours[hour[0]].add(entry)
            if isinstance(entry.get("path"), str):
                key = zone_of(entry["path"], self.data_root), str(entry.get("account"))
                self.zones[key].add(entry)
                if hour:
                    self.zone_days[key].setdefault(hour[0][: len("2026-11-22")], Totals()).add(entry)
            yield entry

    def count_open(self, entries: Iterable[Entry]) -> Counter[tuple[str, str]]:
        """How many of the entries each zone and account has."""
        return Counter((zone_of(each["path"], self.data_root), str(each.get("account"))) for each in entries)


def zone_of(path: str, data_root: str) -> str:
    """The folder of the data root that a path lies in."""
    below = path.removeprefix(f"{data_root}/")
    zone, slash, _ = below.partition("/")
    return zone if slash else TOP
