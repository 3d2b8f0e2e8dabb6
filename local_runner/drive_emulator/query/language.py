"""The language of `q`: a string becomes a predicate over file records, and what an index needs to narrow the search.

    expression = ["not"] condition { ("and" | "or") ["not"] condition }          read from left to right
    condition  = "(" expression ")" | term operator value | 'value' "in" collection
               | collection "has" "{" key "=" 'value' { "and" key "=" 'value' } "}"

`and` and `or` bind equally and are read from left to right, as the guide says of them; parentheses group. Strings stand
in single or double quotes; inside, a quote or backslash is written with a backslash before it. What isn't in the guide
is refused. Source: Drive guides "Search for files and folders", "Search query terms and operators".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from ..model.records import FileRecord, Permission, Viewer
from ..schema.discovery import Version
from . import terms
from .terms import Facts, Predicate, name_key

__all__ = ["FileQuery", "name_key", "parse"]

_MAX_DEPTH = 100
"""Parentheses and `not` inside each other; more is refused rather than letting the parser's stack overflow."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>'(?:[^'\\]|\\['"\\])*' | "(?:[^"\\]|\\['"\\])*")
      | (?P<operator><=|>=|!=|=|<|>)
      | (?P<mark>[(){}])
      | (?P<word>[A-Za-z][A-Za-z0-9.]*)
    )""",
    re.VERBOSE,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Condition:
    """A predicate with what it implies: one of these parents, one of these names (None: it doesn't say)."""

    holds: Predicate
    parents: frozenset[str] | None = None
    names: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class FileQuery:
    """A parsed `q` for one viewer: call it with a record. `parents` and `names` are for the store's index.

    A record that matches has one of `parents` (the alias `root` resolved) and a name whose `name_key` is in `names`;
    None where the query doesn't say.
    """

    viewer: Viewer
    condition: _Condition
    parents: frozenset[str] | None
    names: frozenset[str] | None

    def __call__(self, record: FileRecord) -> bool:
        return self.condition.holds(record, self.viewer)


def parse(q: str, *, version: Version, viewer: Viewer, facts: Facts | None = None) -> FileQuery:
    """The query's predicate for this viewer; `facts` are what records lack (by default there are none).

    An empty query matches everything. Raises ApiError: 400 `invalid` at `q`, and 500 for `name >` and `name >=`, as
    Drive does.
    """
    condition = _parsed(q, version, facts or _RECORDS_ALONE)
    parents = condition.parents
    if parents is not None:
        parents = frozenset(viewer.resolve(parent) for parent in parents)
    return FileQuery(viewer, condition, parents, condition.names)


def searches_text(q: str) -> bool:
    """Whether a query that `parse` accepts has the term `fullText`."""
    return ("word", "fullText") in list(_tokens(q))


class _RecordsAlone:
    """Facts that a record holds itself."""

    def text_of(self, record: FileRecord) -> str:
        return f"{record.name} {record.description or ''}"

    def grants_of(self, record: FileRecord) -> Iterable[Permission]:
        return record.permissions


_RECORDS_ALONE = _RecordsAlone()


@lru_cache(maxsize=256)
def _parsed(q: str, version: Version, facts: Facts) -> _Condition:
    tokens = list(_tokens(q))
    if not tokens:
        return _Condition(lambda record, viewer: True)
    parser = _Parser(tokens, version, facts)
    condition = parser.expression(0)
    parser.expect_end()
    return condition


def _tokens(q: str) -> Iterator[tuple[str, str]]:
    """Pairs of kind (string, operator, mark, word) and text, strings without their quotes and escapes."""
    at, end = 0, len(q.rstrip())
    while at < end:
        found = _TOKEN.match(q, at)
        if found is None or found.lastgroup is None:
            raise terms.refused()
        text = found[found.lastgroup]
        yield found.lastgroup, _ESCAPED.sub(r"\1", text[1:-1]) if found.lastgroup == "string" else text
        at = found.end()


class _Parser:
    """Recursive descent over the tokens; every refusal is the same 400, for Drive doesn't say what is wrong either."""

    def __init__(self, tokens: list[tuple[str, str]], version: Version, facts: Facts) -> None:
        self._tokens = [*tokens, ("end", "")]
        self._at = 0
        self._version = version
        self._facts = facts

    def expect_end(self) -> None:
        self._take("end")

    def expression(self, depth: int) -> _Condition:
        first = self._operand(depth)
        rest: list[tuple[bool, _Condition]] = []
        while self._peek() in {("word", "and"), ("word", "or")}:
            rest.append((self._take("word") == "and", self._operand(depth)))
        return _chain(first, rest)

    def _operand(self, depth: int) -> _Condition:
        if depth > _MAX_DEPTH:
            raise terms.refused()
        if self._skip("word", "not"):
            inner = self._operand(depth + 1).holds
            return _Condition(lambda record, viewer: not inner(record, viewer))
        if self._skip("mark", "("):
            grouped = self.expression(depth + 1)
            self._take("mark", ")")
            return grouped
        return self._membership() if self._peek()[0] == "string" else self._comparison()

    def _membership(self) -> _Condition:
        value = self._take("string")
        self._take("word", "in")
        collection = self._term()
        holds = terms.membership(value, collection, self._facts)
        return _Condition(holds, parents=frozenset({value}) if collection == "parents" else None)

    def _comparison(self) -> _Condition:
        term = self._term()
        if self._skip("word", "has"):
            return _Condition(terms.possession(term, self._pairs(), self._version))
        if term == "sharedWithMe" and self._peek()[0] != "operator":  # the guide's example: sharedWithMe and name ...
            return _Condition(terms.flag_comparison(term, "=", True))
        op = "contains" if self._skip("word", "contains") else self._take("operator")
        if self._peek()[0] == "word":
            return _Condition(terms.flag_comparison(term, op, self._flag()))
        value = self._take("string")
        holds = terms.text_comparison(term, op, value, self._facts)
        return _Condition(holds, names=frozenset({name_key(value)}) if (term, op) == ("name", "=") else None)

    def _pairs(self) -> dict[str, str]:
        self._take("mark", "{")
        pairs: dict[str, str] = {}
        while True:
            key = self._take("word")
            self._take("operator", "=")
            pairs[key] = self._take("string")
            if not self._skip("word", "and"):
                self._take("mark", "}")
                return pairs

    def _term(self) -> str:
        return terms.v3_name(self._take("word"), self._version)

    def _flag(self) -> bool:
        word = self._take("word").lower()  # fs.googledrivefs, tried against the real service, sends `trashed=False`
        if word not in {"true", "false"}:
            raise terms.refused()
        return word == "true"

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at]

    def _skip(self, kind: str, text: str) -> bool:
        found = self._peek() == (kind, text)
        self._at += found
        return found

    def _take(self, kind: str, text: str | None = None) -> str:
        found_kind, found_text = self._peek()
        if found_kind != kind or text not in {None, found_text}:
            raise terms.refused()
        self._at += 1
        return found_text


def _chain(first: _Condition, rest: list[tuple[bool, _Condition]]) -> _Condition:
    """The conditions joined from left to right, by `and` where the flag is true, else by `or`."""
    if not rest:
        return first
    start, steps = first.holds, tuple((is_and, condition.holds) for is_and, condition in rest)
    parents, names = first.parents, first.names
    for is_and, condition in rest:
        join = _narrower if is_and else _union
        parents, names = join(parents, condition.parents), join(names, condition.names)

    def holds(record: FileRecord, viewer: Viewer) -> bool:
        so_far = start(record, viewer)
        for is_and, step in steps:
            if so_far is is_and:
                so_far = step(record, viewer)
        return so_far

    return _Condition(holds, parents, names)


def _narrower(one: frozenset[str] | None, two: frozenset[str] | None) -> frozenset[str] | None:
    known = [hint for hint in (one, two) if hint is not None]
    return min(known, key=len, default=None)


def _union(one: frozenset[str] | None, two: frozenset[str] | None) -> frozenset[str] | None:
    return None if one is None or two is None else one | two
