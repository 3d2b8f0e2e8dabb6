"""The language of `q` against the guide's examples, and at random against a plain Python filter."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from local_runner.drive_emulator.model.errors import ApiError
from local_runner.drive_emulator.model.records import FOLDER, FileRecord, Permission, Viewer
from local_runner.drive_emulator.query import language
from local_runner.drive_emulator.schema.discovery import Version

VIEWER = Viewer("ann@example.com", "p1", "ROOT", "app-1", frozenset())
Check = Callable[[FileRecord], bool]


def a_file(name: str = "a.txt", **fields: object) -> FileRecord:
    """A text file of Ann's in her root, with some fields otherwise."""
    given: dict[str, object] = {
        "id": "F1",
        "mime_type": "text/plain",
        "owner": "ann@example.com",
        "parents": ("ROOT",),
        "created_ms": 0,
        "modified_ms": 0,
    }
    return FileRecord(name=name, **{**given, **fields})  # type: ignore[arg-type]


def matches(q: str, record: FileRecord, version: Version = 3) -> bool:
    """Whether the query selects the record for Ann."""
    return language.parse(q, version=version, viewer=VIEWER)(record)


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        ("Hello", "HelloWorld", True),
        ("World", "HelloWorld", False),
        ("wor", "hello world.txt", True),
        ("hello wo", "Hello_World", True),
        (".txt", "notes.txt", True),
        ("ello", "hello", False),
        ("", "anything", True),
        ("Ä", "ärger", True),
    ],
)
def test_contains_means_the_beginning_of_a_word(value: str, name: str, expected: bool) -> None:
    """`name contains` finds prefixes of words, whatever their case, and never the middle of one."""
    assert matches(f"name contains '{value}'", a_file(name)) is expected


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("name = 'HELLO'", True),
        ("name != 'hello'", False),
        ("name = 'it\\'s'", False),
        ("'root' in parents", True),
        ("'ROOT' in parents", True),
        ("'elsewhere' in parents", False),
        ("'me' in owners and 'ANN@example.com' in writers", True),
        ("'bob@example.com' in readers", True),
        ("'bob@example.com' in writers", False),
        ("mimeType contains 'text/'", True),
        ("mimeType != 'application/vnd.google-apps.folder'", True),
        ("modifiedTime > '2012-06-04T12:00:00'", True),
        ("modifiedTime = '2012-06-04T14:00:01+02:00'", True),
        ("modifiedTime <= '2012-06-04'", False),
        ("viewedByMeTime > '1970-01-01'", False),
        ("viewedByMeTime != '1970-01-01'", True),
        ("trashed = false and starred != false", True),
        ("sharedWithMe = true", False),
        ("properties has { key='k' and value='v' }", True),
        ("properties has { value='v' and key='private' }", False),
        ("appProperties has { key='private' and value='mine' }", True),
        ("appProperties has { key='private' and value='theirs' }", False),
        ("fullText contains 'world hello'", True),
        ("fullText contains '\"hello world\"'", True),
        ("fullText contains '\"world hello\"'", False),
        ("visibility = 'limited'", True),
        ("shortcutDetails.targetId = 'T'", True),
        ("not name contains 'x' and not (trashed = true)", True),
        ('name contains "hel"', True),
        ("   ", True),
    ],
)
def test_a_term_means_what_the_guide_says(q: str, expected: bool) -> None:
    """Every documented term and operator holds, or doesn't, for one well-known file."""
    record = a_file(
        "Hello",
        description="Hello, world!",
        modified_ms=int(datetime(2012, 6, 4, 12, 0, 1, tzinfo=UTC).timestamp() * 1000),
        starred=True,
        shortcut_target_id="T",
        properties={"k": "v"},
        app_properties={"app-1": {"private": "mine"}, "app-2": {"private": "theirs"}},
        permissions=(Permission("p2", "user", "reader", email="Bob@example.com"),),
    )

    assert matches(q, record) is expected


def test_a_file_that_somebody_else_owns_and_granted_is_shared_with_me() -> None:
    """`sharedWithMe` needs another owner and a grant."""
    granted = a_file(owner="bob@example.com", permissions=(Permission("p", "user", "reader", email=VIEWER.email),))

    assert matches("sharedWithMe = true", granted)
    assert matches("sharedWithMe = false", a_file(owner="bob@example.com"))


def test_escapes_reach_any_name() -> None:
    """A backslash and a quote, escaped in the documented order, find the name that has both."""
    name = "quinn's paper\\essay"
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")

    assert matches(f"name = '{escaped}'", a_file(name))


def test_and_and_or_are_read_from_left_to_right() -> None:
    """`a or b and c` is `(a or b) and c`, as the guide says: evaluated from left to right."""
    record = a_file("first")

    assert not matches("name = 'first' or name = 'second' and trashed = true", record)
    assert matches("name = 'first' or (name = 'second' and trashed = true)", record)


def test_version_2_has_its_own_spellings() -> None:
    """v2 says title and modifiedDate, and looks into both kinds of properties unless told which."""
    record = a_file("t", modified_ms=5000, app_properties={"app-1": {"k": "v"}}, properties={"k": "other"})

    assert matches("title = 'T' and modifiedDate > '1970-01-01T00:00:01Z'", record, version=2)
    assert matches("properties has { key='k' and value='v' }", record, version=2)
    assert matches("properties has { key='k' and value='v' and visibility='PRIVATE' }", record, version=2)
    assert not matches("properties has { key='k' and value='v' and visibility='PUBLIC' }", record, version=2)
    with pytest.raises(ApiError):
        matches("name = 't'", record, version=2)
    with pytest.raises(ApiError):
        matches("title = 't'", record, version=3)


@pytest.mark.parametrize(
    "q",
    [
        "id >= 'x'",
        "id = 'x'",
        "name",
        "name = x",
        "name = 'x",
        "name = 'a\\n'",
        "name = 'a' and",
        "(name = 'a'",
        "name = 'a')",
        "name < 'a'",
        "nosuch = 'a'",
        "trashed = 'true'",
        "trashed > true",
        "trashed = maybe",
        "modifiedTime > 'yesterday'",
        "modifiedTime > '2012-13-04T12:00:00'",
        "modifiedTime contains '2012'",
        "'x' in name",
        "'x' in",
        "in parents",
        "parents = 'x'",
        "properties has { key='k' }",
        "properties has { key='k' and value='v' and visibility='PRIVATE' }",
        "properties has key='k' and value='v'",
        "name has { key='k' and value='v' }",
        "fullText = 'x'",
        "name = 'a' name = 'b'",
        "not",
        "name == 'a'",
        "(" * 5000 + "trashed = true" + ")" * 5000,
        "not " * 5000 + "trashed = true",
    ],
)
def test_what_the_guide_does_not_have_is_refused(q: str) -> None:
    """Anything else is the one documented refusal: 400 `invalid`, "Invalid Value", at the parameter q."""
    with pytest.raises(ApiError) as refusal:
        language.parse(q, version=3, viewer=VIEWER)

    entry = {"domain": "global", "reason": "invalid", "message": "Invalid Value"}
    entry |= {"locationType": "parameter", "location": "q"}
    assert refusal.value.body() == {"error": {"errors": [entry], "code": 400, "message": "Invalid Value"}}


@pytest.mark.parametrize("q", ["name >= 'x'", "name > 'x'", "trashed = false and name > 'x'"])
def test_names_compared_by_order_are_the_documented_server_error(q: str) -> None:
    """`name > 'x'` answers 500, as the real service was seen to."""
    with pytest.raises(ApiError) as failure:
        language.parse(q, version=3, viewer=VIEWER)

    assert failure.value.status == 500


def test_what_an_index_may_use_is_read_off_the_query() -> None:
    """Lists of parents and names joined by `or` narrow a search; what is negated or optional doesn't."""
    q = "trashed=false and ('A' in parents or 'root' in parents) and (name='X' or name = 'y')"

    narrow = language.parse(q, version=3, viewer=VIEWER)
    either = language.parse("'A' in parents or name = 'x'", version=3, viewer=VIEWER)
    negated = language.parse("not 'A' in parents", version=3, viewer=VIEWER)

    assert narrow.parents == frozenset({"A", "ROOT"})
    assert narrow.names == frozenset({"x", "y"})
    assert (either.parents, either.names) == (None, None)
    assert (negated.parents, negated.names) == (None, None)


def test_a_thousand_alternatives_are_no_deeper_than_one() -> None:
    """A long list of names is evaluated without nesting a call for each."""
    q = " or ".join(f"name = 'n{number}'" for number in range(5000))

    assert matches(q, a_file("n4999"))


class RandomQueries:
    """Draws a query and, independently of the parser, the Python function that it should agree with."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def text(self) -> str:
        return "".join(self.dice.choices("aAbÄ'\\ _.1", k=self.dice.randrange(4)))

    def record(self) -> FileRecord:
        dice = self.dice
        return a_file(
            self.text(),
            mime_type=dice.choice(["text/plain", "image/png", FOLDER]),
            parents=dice.choice([(), ("ROOT",), ("P1",), ("P2",)]),
            owner=dice.choice(["ann@example.com", "bob@example.com"]),
            modified_ms=dice.randrange(4) * 86_400_000,
            trashed=dice.random() < 0.5,
            starred=dice.random() < 0.5,
            properties={"k": dice.choice("xy")},
            app_properties={"app-1": {"k": dice.choice("xy")}},
        )

    def space(self, *parts: str) -> str:
        return self.dice.choice([" ", "  ", "\t"]).join(parts)

    def term(self) -> tuple[str, Check]:
        dice, value = self.dice, self.text()
        quoted = "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        equal, sign = dice.choice([(True, "="), (False, "!=")])
        day, flag, pick = dice.randrange(4), dice.choice(["true", "false"]), dice.choice("xy")
        order = dice.choice(["<", "<=", ">", ">=", "=", "!="])
        compare: dict[str, Callable[[int, int], bool]] = {
            "<": int.__lt__, "<=": int.__le__, ">": int.__gt__, ">=": int.__ge__, "=": int.__eq__, "!=": int.__ne__,
        }  # fmt: skip
        folder = dice.choice(["root", "ROOT", "P1", "P9"])
        options: list[tuple[str, Check]] = [
            (self.space("name", sign, quoted), lambda r: (r.name.casefold() == value.casefold()) is equal),
            (self.space("name", "contains", quoted), lambda r: starts_a_word(value, r.name)),
            (self.space("mimeType", sign, "'image/png'"), lambda r: (r.mime_type == "image/png") is equal),
            (f"mimeType contains '{pick}t'", lambda r: f"{pick}t" in r.mime_type),
            (f"trashed{sign}{flag}", lambda r: (r.trashed is (flag == "true")) is equal),
            (f"starred {sign} {flag}", lambda r: (r.starred is (flag == "true")) is equal),
            (f"'{folder}' in parents", lambda r: (VIEWER.root_id if folder == "root" else folder) in r.parents),
            ("'me' in owners", lambda r: r.owner == VIEWER.email),
            (f"modifiedTime {order} '1970-01-0{day + 1}'", lambda r: compare[order](r.modified_ms // 86_400_000, day)),
            (f"properties has {{ key='k' and value='{pick}' }}", lambda r: r.properties["k"] == pick),
            (f"appProperties has {{key='k' and value='{pick}'}}", lambda r: r.app_properties["app-1"]["k"] == pick),
        ]
        return dice.choice(options)

    def expression(self, depth: int = 0) -> tuple[str, Check]:
        q, check = self.operand(depth)
        for _ in range(self.dice.choice([0, 0, 1, 2])):
            more, other = self.operand(depth)
            joint = self.dice.choice(["and", "or"])
            q = f"{q} {joint} {more}"
            check = joined(check, other, joint)
        return q, check

    def operand(self, depth: int) -> tuple[str, Check]:
        roll = self.dice.random()
        if depth < 3 and roll < 0.2:
            q, check = self.expression(depth + 1)
            return f"({q})", check
        if depth < 3 and roll < 0.35:
            q, check = self.operand(depth + 1)
            return f"not {q}", lambda record: not check(record)
        return self.term()

    def damaged(self, q: str) -> str:
        dice, at = self.dice, self.dice.randrange(len(q))
        junk = "".join(dice.choices(string.printable + "'\\(){}<>=é\x00\ud800", k=dice.randrange(1, 4)))
        return dice.choice([q[:at], q[:at] + q[at + 1 :], q[:at] + junk + q[at:], q[at:] + q[:at], junk + q[at:]])


def starts_a_word(value: str, name: str) -> bool:
    """Whether the words of the value are consecutive words of the name, the last one perhaps cut short."""
    wanted = re.findall(r"[^\W_]+", value.casefold())
    found = re.findall(r"[^\W_]+", name.casefold())
    if not wanted:
        return value in name
    whole, last = wanted[:-1], wanted[-1]
    size = len(wanted)
    windows = [found[at : at + size] for at in range(len(found) - size + 1)]
    return any(window[:-1] == whole and window[-1].startswith(last) for window in windows)


def joined(one: Check, two: Check, joint: str) -> Check:
    """Both checks, or either."""
    return (lambda r: one(r) and two(r)) if joint == "and" else (lambda r: one(r) or two(r))


def test_ten_thousand_random_queries_agree_with_a_plain_filter() -> None:
    """Whatever the grammar can say selects the files that a Python filter selects, and the hints never lose one."""
    random_queries = RandomQueries(seed=1)
    records = [random_queries.record() for _ in range(25)]

    for _ in range(10_000):
        q, check = random_queries.expression()
        found = language.parse(q, version=3, viewer=VIEWER)
        selected = [record for record in records if check(record)]
        assert [record for record in records if found(record)] == selected, q
        assert all(found.parents is None or found.parents & set(record.parents) for record in selected), q
        assert all(found.names is None or language.name_key(record.name) in found.names for record in selected), q


def outcome(q: str, record: FileRecord) -> int:
    """The HTTP status that the query leads to; whatever else it raises is a failure of the test."""
    try:
        matches(q, record)
    except ApiError as refusal:
        return refusal.status
    return 200


def test_ten_thousand_damaged_queries_are_refused_or_read() -> None:
    """Damage never raises anything but the refusal, and what still parses can be evaluated."""
    random_queries = RandomQueries(seed=2)
    record = random_queries.record()

    damaged = [random_queries.damaged(random_queries.expression()[0]) for _ in range(10_000)]
    statuses = [outcome(q, record) for q in damaged]

    assert statuses.count(400) > 5_000
    assert all(status in {200, 400} or "name" in q for status, q in zip(statuses, damaged, strict=True))
