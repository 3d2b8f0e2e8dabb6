"""How the browse pages look: one stylesheet, no scripts, nothing loaded from elsewhere; light and dark.

Everything that comes from files goes through `text`, so that no name can become markup. `Html` marks what did.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NewType
from urllib.parse import urlencode, urlsplit

from ..model.clock import rfc3339
from ..model.records import FileRecord, Revision

Html = NewType("Html", str)

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--paper:#fff;--back:#f4f6f8;--edge:#d5dae0;--accent:#0b57d0;
--warm:#8a4b00;--warm-back:#fff3e0}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaed;--soft:#a8b0ba;--paper:#1b1e23;--back:#121418;--edge:#363c45;
--accent:#8ab4f8;--warm:#ffcf8b;--warm-back:#3a2b14}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
a{color:var(--accent);text-underline-offset:.15em}a:hover{text-decoration-thickness:2px}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:.25rem}
.skip{position:absolute;left:-999px}.skip:focus{left:1rem;top:1rem;background:var(--paper);padding:.5rem 1rem;z-index:1}
header,main,footer{max-width:70rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:1.25rem}.brand{font-weight:650;color:inherit;text-decoration:none;display:inline-flex;gap:.55rem;
align-items:center}
.brand svg{width:1.6rem;height:1.6rem;color:var(--accent)}
nav ol{list-style:none;display:flex;flex-wrap:wrap;gap:.15rem .5rem;padding:0;margin:1rem 0 0;font-size:.95rem}
nav li+li::before{content:"/";color:var(--soft);margin-right:.5rem}
h1{font-size:1.75rem;line-height:1.25;margin:.4rem 0 1rem;overflow-wrap:anywhere}h2{font-size:1.1rem;margin:0 0 .6rem}
section,.card{background:var(--paper);border:1px solid var(--edge);border-radius:.9rem;padding:1.1rem 1.25rem;
margin:0 0 1rem}
.cards{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));padding:0;margin:0 0 1rem;
list-style:none}
.card{margin:0}.card p{margin:.15rem 0 .7rem;color:var(--soft);overflow-wrap:anywhere}
meter{width:100%;height:.6rem}.doors{display:flex;flex-wrap:wrap;gap:.5rem 1.25rem;margin:.8rem 0 0}
main>.doors{margin:0 0 1rem;align-items:center}
main>.doors a{background:var(--paper);border:1px solid var(--edge);border-radius:.6rem;padding:.4rem .9rem;
text-decoration:none}main>.doors a:hover{border-color:var(--accent)}
section p:last-child,section pre:last-child{margin-bottom:0}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}caption{text-align:left;color:var(--soft);
padding-bottom:.5rem}
th,td{text-align:left;padding:.5rem .75rem .5rem 0;border-top:1px solid var(--edge);vertical-align:top}
thead th,thead td{border-top:0;color:var(--soft);font-weight:500;font-size:.9rem}
tbody tr:hover{background:color-mix(in srgb,var(--accent) 6%,transparent)}
td.name{min-width:14rem;overflow-wrap:anywhere}td.name a{display:inline-flex;gap:.55rem;text-decoration:none}
td.name a:hover{text-decoration:underline}
td svg{flex:none;width:1.2rem;height:1.2rem;margin-top:.15rem;color:var(--soft)}
.number{text-align:right;padding-right:1.75rem;white-space:nowrap;font-variant-numeric:tabular-nums}time{white-space:nowrap}
code{font:.875em/1.5 ui-monospace,SFMono-Regular,Menlo,monospace;overflow-wrap:anywhere}
pre{background:var(--back);border-radius:.5rem;padding:.75rem 1rem;overflow-x:auto;margin:.5rem 0}
dl{display:grid;grid-template-columns:minmax(6rem,11rem) 1fr;gap:.4rem 1rem;margin:0}dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere;white-space:pre-wrap}
.tag,.note{color:var(--warm);background:var(--warm-back);border-radius:.4rem}
.tag{font-size:.8rem;padding:.05rem .45rem;margin-left:.5rem;white-space:nowrap;vertical-align:text-bottom}
.note{padding:.6rem 1rem}
footer{color:var(--soft);font-size:.9rem;padding-bottom:2rem}
@media(max-width:36rem){dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.6rem}}
"""

_ICONS = {
    "folder": '<path d="M3 6.5A1.5 1.5 0 0 1 4.5 5h4.3l2 2.5h8.7A1.5 1.5 0 0 1 21 9v9a1.5 1.5 0 0 1-1.5'
    ' 1.5h-15A1.5 1.5 0 0 1 3 18z"/>',
    "file": '<path d="M6 3h8l5 5v13H6z"/><path d="M14 3v5h5"/>',
    "shortcut": '<path d="M6 3h8l5 5v13H6z"/><path d="M10 17v-3a2 2 0 0 1 2-2h3m-2-2 2 2-2 2"/>',
    "drive": '<path d="M9 4h6l6 10.5-3 5.5H6l-3-5.5z"/><path d="M9 4l6 10.5H3.2M15 4 9 14.5l-3 5.5"/>',
}


def text(value: str) -> Html:
    """Anything as text; names keep their own direction of writing."""
    return Html(f"<bdi>{escape(value)}</bdi>")


def code(value: str) -> Html:
    """An id or digest."""
    return Html(f"<code>{escape(value)}</code>")


def href(**query: str) -> str:
    """The address of a page."""
    return "/?" + urlencode(query)


def link(label: str, **query: str) -> Html:
    """A link to a page."""
    return Html(f'<a href="{escape(href(**query))}">{text(label)}</a>')


def download(label: str, file_id: str, revision_id: str | None = None) -> Html:
    """A link to the bytes of a file or of one of its revisions."""
    query = urlencode({"id": file_id} | ({"revision": revision_id} if revision_id else {}))
    return Html(f'<a href="/emulator/download?{escape(query)}" download>{text(label)}</a>')


def moment(ms: int) -> Html:
    """A time in UTC, to the second."""
    stamp = rfc3339(ms)
    return Html(f'<time datetime="{stamp}">{stamp[:10]} {stamp[11:19]}</time>')


def size(count: int) -> Html:
    """Bytes as people read them; the exact number on hovering."""
    return Html(f'<span title="{count:,} bytes">{_amount(count)}</span>')


def note(message: str) -> Html:
    """A sentence that should be seen."""
    return Html(f'<p class="note" role="note">{text(message)}</p>')


def meter(used: int, limit: int | None) -> Html:
    """How full an account's storage is."""
    if limit is None:
        return Html(f"<div>{_amount(used)} used, no limit</div>")
    label = f"{_amount(used)} of {_amount(limit)} used"
    return Html(f'<meter min="0" max="{max(limit, 1)}" value="{used}" aria-label="{label}"></meter><div>{label}</div>')


def card(title: str, about: str, inner: Html, doors: Iterable[Html]) -> Html:
    """An account or shared drive."""
    return Html(f'<li class="card"><h2>{text(title)}</h2><p>{text(about)}</p>{inner}{actions(doors)}</li>')


def cards(made: Iterable[Html]) -> Html:
    """Cards in a grid."""
    return Html(f'<ul class="cards">{"".join(made)}</ul>')


def actions(doors: Iterable[Html]) -> Html:
    """Links that lead on, in a row."""
    row = "".join(doors)
    return Html(f'<div class="doors">{row}</div>' if row else "")


def facts(pairs: Iterable[tuple[str, Html]]) -> Html:
    """What is known of a file, term by term."""
    rows = "".join(f"<dt>{escape(term)}</dt><dd>{value}</dd>" for term, value in pairs)
    return Html(f'<section aria-label="Details"><dl>{rows}</dl></section>')


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Html:
    """A table of plain texts under a heading; nothing where there are no rows."""
    return _table(title, heads, [[text(cell) for cell in row] for row in rows])


def revisions(record: FileRecord, newest_first: Sequence[Revision]) -> Html:
    """A file's contents over time, each with its download."""
    rows = [
        [
            moment(revision.modified_ms),
            size(revision.content.size),
            text(revision.modified_by),
            code(revision.content.md5),
            Html(
                ("current, " if revision.id == record.head_revision_id else "")
                + ("kept for ever, " if revision.keep_forever else "")
                + download("download", record.id, revision.id)
            ),
        ]
        for revision in newest_first
    ]
    return _table("Revisions", ("Modified (UTC)", "Size", "By", "MD5", ""), rows)


def files(records: Sequence[FileRecord], *, twins: frozenset[str], caption: str) -> Html:
    """The content of a folder or bin; names that occur more than once are marked."""
    if not records:
        return Html("<section><p>Nothing here.</p></section>")
    body = "".join(_row(record, is_twin=record.name in twins) for record in records)
    heads = '<th scope="col">Name</th><th scope="col" class="number">Size</th><th scope="col">Modified (UTC)</th>'
    return Html(
        f'<section><div class="scroll"><table class="files"><caption>{caption}</caption>'
        f'<thead><tr>{heads}<th scope="col">Type</th></tr></thead><tbody>{body}</tbody></table></div></section>'
    )


def pager(number: int, last: int, **query: str) -> Html:
    """Links to the pages before and after; nothing where all fits on one."""
    if last < 2:
        return Html("")
    doors = [link("Previous page", **query, page=str(number - 1))] if number > 1 else []
    doors.append(Html(f"<span>Page {number} of {last}</span>"))
    doors += [link("Next page", **query, page=str(number + 1))] if number < last else []
    return actions(doors)


def connect(origin: str) -> Html:
    """How a program reaches this emulator."""
    host = escape(urlsplit(origin).netloc)
    shown = escape(origin)
    return Html(
        '<section aria-labelledby="connect"><h2 id="connect">Connect a program</h2>'
        f"<pre><code>export DRIVE_EMULATOR_HOST={host}</code></pre>"
        f"<p>Drive is at <code>{shown}/drive/v3</code>, tokens at <code>{shown}/token</code>. "
        '<a href="/emulator/requests">Requests so far</a>, <a href="/emulator/weather">weather</a> and '
        '<a href="/emulator/faults">faults</a> as JSON; '
        '<a href="/discovery/v1/apis/drive/v3/rest">discovery document</a>.'
        "</p></section>"
    )


def document(title: str, crumbs: Sequence[tuple[str, str]], *parts: Html) -> str:
    """A whole page: brand, the way here, heading, parts."""
    steps = "".join(f'<li><a href="{escape(to)}">{text(label)}</a></li>' for label, to in crumbs)
    here = f'<li aria-current="page">{text(title)}</li>'
    way = f'<nav aria-label="Where you are"><ol>{steps}{here}</ol></nav>' if crumbs else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{escape(title)} - Drive emulator</title><style>{_STYLE}</style></head><body>"
        '<a class="skip" href="#main">Skip to content</a>'
        f'<header><a class="brand" href="/">{_icon("drive")}Drive emulator</a>{way}</header>'
        f'<main id="main"><h1>{text(title)}</h1>{"".join(parts)}</main>'
        "<footer>An emulator of Google Drive: nothing here is at Google, and nothing leaves this machine.</footer>"
        "</body></html>"
    )


def _row(record: FileRecord, *, is_twin: bool) -> str:
    kind = "folder" if record.is_folder else "shortcut" if record.is_shortcut else "file"
    label = f"{_icon(kind)}<span>{text(record.name or '(no name)')}</span>"
    tag = '<span class="tag">same name</span>' if is_twin else ""
    amount = size(record.content.size) if record.content else ""
    return (
        f'<tr><td class="name"><a href="{escape(href(id=record.id))}">{label}</a>{tag}</td>'
        f'<td class="number">{amount}</td><td>{moment(record.modified_ms)}</td>'
        f"<td>{'Folder' if record.is_folder else text(record.mime_type)}</td></tr>"
    )


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[Html]]) -> Html:
    if not rows:
        return Html("")
    head = "".join(f'<th scope="col">{escape(name)}</th>' if name else "<td></td>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return Html(
        f'<section><h2>{escape(title)}</h2><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></section>"
    )


def _icon(kind: str) -> str:
    return (
        '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linejoin="round"'
        f' stroke-linecap="round" aria-hidden="true">{_ICONS[kind]}</svg>'
    )


def _amount(count: int) -> str:
    amount = float(count)
    for unit in ("bytes", "KB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"
