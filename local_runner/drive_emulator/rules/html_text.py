"""The words of a web page, in time that grows with its length: `html.parser` takes hours for some pages of a megabyte.

What is never closed (a comment, a tag, a script) reaches to the end, as in a browser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

_BLOCKS = frozenset("address article blockquote br div h1 h2 h3 h4 h5 h6 hr li p pre section table tr ul ol".split())
_SILENT = frozenset({"script", "style", "head", "title"})
_TAG = re.compile(r"</?([a-zA-Z][^\s/>]*)")
_QUOTE_OR_END = re.compile(r"[\"'>]")


def words(page: str) -> str:
    """A line for each block, spaces drawn together."""
    lines: list[list[str]] = [[]]
    for text, tag in _parts(page):
        lines[-1].append(text)
        if tag in _BLOCKS:
            lines.append([])
    drawn = (re.sub(r"\s+", " ", unescape("".join(line))).strip() for line in lines)
    return "\n".join(line for line in drawn if line)


def _parts(page: str) -> Iterator[tuple[str, str]]:
    """Pieces of text, each with the name of the tag behind it (empty: of none)."""
    at = 0
    while (opens := page.find("<", at)) >= 0:
        tag = _TAG.match(page, opens)
        if page.startswith("<!--", opens):
            yield page[at:opens], ""
            at = _behind(page, "-->", opens)
        elif tag is not None:
            name = tag[1].lower()
            yield page[at:opens], name
            at = _end_of_tag(page, tag.end())
            if name in _SILENT and page[opens + 1] != "/":
                closes = re.compile(rf"</{name}", re.IGNORECASE).search(page, at)
                at = closes.start() if closes else len(page)
        elif page.startswith(("<!", "<?"), opens):
            yield page[at:opens], ""
            at = _behind(page, ">", opens)
        else:
            yield page[at : opens + 1], ""
            at = opens + 1
    yield page[at:], ""


def _behind(page: str, mark: str, start: int) -> int:
    found = page.find(mark, start)
    return found + len(mark) if found >= 0 else len(page)


def _end_of_tag(page: str, at: int) -> int:
    """Behind the `>` of a tag; one inside quotes doesn't count."""
    while (found := _QUOTE_OR_END.search(page, at)) is not None:
        if found[0] == ">":
            return found.end()
        at = _behind(page, found[0], found.end())
    return len(page)
