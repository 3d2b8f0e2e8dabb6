"""A summary of the log -> one HTML page: nothing loaded from elsewhere, everything escaped. Pure.

What is open, the totals and the pictures are plain HTML, readable without a script, without colours, by keyboard, by a
screen reader, in the dark, on paper and on a telephone. A small script, the only one that the page's policy lets run,
lists and searches the attempts.
"""

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.filesize import decimal

from local_runner.log.open_failures import OpenFailure
from local_runner.terminal.report import charts
from local_runner.terminal.report.rows import as_script, safe_link, shown, table
from local_runner.terminal.report.summary import Summary, Totals

TITLE: Final = "<title>Drive Upload report</title>"

STATUSES: Final = {"uploaded": "✓", "unchanged": "=", "skipped": "↷", "failed": "✗"}
"""Status -> sign, so that colour is never the only difference."""

OPEN_MAX = 500
"""Open failures listed; `status --open` has all."""

OPEN_FIRST = 20
"""Open failures shown at once; a click shows the rest, so that they don't push everything else off the screen."""

ZONES_MAX = 200

FIRST_ROWS = 50
"""Attempts that are there before, and without, the script."""

_HERE = Path(__file__).parent

_OPTION = re.compile(r"--[a-z][a-z-]*")


def text(value: object) -> str:
    """A value as HTML text or attribute: markup, controls and broken characters become harmless."""
    return html.escape(shown(value))


def prose(value: object) -> str:
    """The same for a sentence: an option of a command, such as --forget, isn't broken over two lines."""
    return _OPTION.sub(r'<span class="t">\g<0></span>', text(value))


def page(summary: Summary, open_: Sequence[OpenFailure], log: str, drive_root: str, made_at: datetime) -> str:
    """The whole page."""
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hashed}'; "
        "base-uri 'none'; form-action 'none'"
    )
    listed = table(reversed(summary.last), summary.data_root, drive_root)
    over_time = charts.buckets(summary.hours)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
{TITLE}
<style>{style}</style>
</head>
<body>
<main>
<h1>Drive Upload</h1>
<p>{text(log)}, as of <time datetime="{made_at.isoformat()}">{made_at:%Y-%m-%d %H:%M} UTC</time></p>
{_tiles(summary, len(open_), has_pictures=bool(over_time))}
{_open(open_, made_at)}
{_pictures(over_time)}
{_zones(summary, open_)}
{_attempts(listed, summary)}
</main>
<script type="application/json" id="data">{as_script(listed)}</script>
<script>{script}</script>
</body>
</html>
"""


def _tiles(summary: Summary, open_: int, *, has_pictures: bool) -> str:
    tiles = [_tile("#open", "", str(open_), "open now", "failed" if open_ else "well")]
    for name, count in sorted(summary.all.statuses.items()):
        style = (
            name if name in STATUSES and name != "failed" else ""
        )  # many have arrived since: only what is open shouts
        label = f"{STATUSES.get(name, '')} {name}"
        tiles.append(_tile("#attempts", f"status={shown(name)}", str(count), label, style))
    tiles.append(
        _tile("#sent" if has_pictures else "#attempts", "", decimal(summary.all.size_bytes), "uploaded in all", "")
    )
    return f'<ul class="tiles">{"".join(tiles)}</ul>'


def _tile(target: str, chosen: str, value: str, label: str, style: str) -> str:
    chooses = f' data-filter="{html.escape(chosen)}"' if chosen else ""
    return f'<li><a href="{target}"{chooses}><b class="{style}">{text(value)}</b>{text(label)}</a></li>'


def _open(open_: Sequence[OpenFailure], now: datetime) -> str:
    if not open_:
        return '<h2 id="open">Open now</h2>\n<p>Nothing: whatever was called for has arrived.</p>'
    rows = [_open_row(each, now) for each in open_[:OPEN_MAX]]
    more = f", the first {OPEN_MAX}; drive-upload status --open has all" if len(open_) > OPEN_MAX else ""
    heads = ("File", "Reason", "What to do", "Next try (UTC)", "Account", "Attempts")
    first, rest = "\n".join(rows[:OPEN_FIRST]), rows[OPEN_FIRST:]
    shown_first = _table(prose(f"{len(open_)} failed, and not arrived since{more}"), heads, first, style="fixed")
    if rest:
        shown_rest = _table(f"The other {len(rest)}", heads, "\n".join(rest), style="fixed")
        shown_first += f"\n<details><summary>Show all {len(rows)}</summary>\n{shown_rest}\n</details>"
    return f'<h2 id="open">Open now</h2>\n{shown_first}'


def _open_row(each: OpenFailure, now: datetime) -> str:
    told = each.document
    due = "never by itself"
    if each.due:
        due = "due now" if each.due <= now else f"{each.due.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return (
        f'<tr><th scope="row">{text(told["path"])}<small>{prose(told["message"])}</small></th>'
        f'<td class="failed t" data-label="Reason">{text(told["reason"])}</td>'
        f'<td data-label="What to do">{prose(told["advice"])}</td>'
        f'<td class="t" data-label="Next try (UTC)">{text(due)}</td>'
        f'<td data-label="Account">{text(told["account"])}</td>'
        f'<td class="n" data-label="Attempts">{text(told["attempts"])}</td></tr>'
    )


def _pictures(over_time: dict[str, Totals]) -> str:
    def status(name: str) -> charts.Series:
        return [(name, lambda totals: totals.statuses[name])]

    def number(value: float) -> str:
        return f"{value:,.0f}"

    every = [part for name in STATUSES for part in status(name)]
    pictures = (
        charts.chart("Attempts", "attempts-over-time", over_time, every, number),
        charts.chart("Failures", "failures", over_time, status("failed"), number),
        charts.chart(
            "Bytes uploaded", "sent", over_time, [("uploaded", lambda totals: totals.size_bytes)],
            lambda value: decimal(int(value)),
        ),
    )  # fmt: skip
    return f'<h2>Over time</h2>\n<div class="charts">{"".join(pictures)}</div>' if over_time else ""


def _zones(summary: Summary, open_: Sequence[OpenFailure]) -> str:
    """A line for each zone and account: the busiest first."""
    if not summary.zones:
        return ""
    opens = summary.count_open(each.entry for each in open_)
    busiest = sorted(summary.zones.items(), key=lambda each: -each[1].statuses.total())[:ZONES_MAX]
    days = charts.days(summary.hours)
    strips = {key: charts.strip(summary.zone_days[key], days) for key, _ in busiest if days}
    rows = "\n".join(_zone_row(*key, totals, opens[key], strips.get(key, "")) for key, totals in busiest)
    caption = f"The {len(busiest)} busiest of {len(summary.zones)}" if len(summary.zones) > ZONES_MAX else "All of them"
    span = f", from {days[0]} to {days[-1]}" if days else ""
    heads = ("Zone", "Account", "Over time", *STATUSES, "Open", "Bytes uploaded", "Last attempt (UTC)")
    return "<h2>By zone and account</h2>\n" + _table(
        caption + span, heads, rows, numbers=(*STATUSES, "Open", "Bytes uploaded")
    )


def _zone_row(zone: str, account: str, totals: Totals, open_: int, strip: str) -> str:
    chosen = html.escape(f"zone={shown(zone)}\naccount={shown(account)}")
    counts = "".join(
        f'<td class="n" data-label="{name.capitalize()}">{totals.statuses[name] or ""}</td>' for name in STATUSES
    )
    last = totals.last.replace("T", " ").partition(".")[0].removesuffix("Z")
    return (
        f'<tr><th scope="row"><a href="#attempts" data-filter="{chosen}">{text(zone)}</a></th>'
        f'<td data-label="Account">{text(account)}</td><td data-label="Over time">{strip}</td>{counts}'
        f'<td class="n {"failed" if open_ else ""}" data-label="Open">{open_ or ""}</td>'
        f'<td class="n" data-label="Bytes uploaded">{text(decimal(totals.size_bytes))}</td>'
        f'<td class="t" data-label="Last attempt">{text(last)}</td></tr>'
    )


def _attempts(listed: dict[str, Any], summary: Summary) -> str:
    if not listed["rows"]:
        return '<h2 id="attempts">Attempts</h2>\n<p>No attempts yet.</p>'
    rows = "\n".join(_row(entry) for entry in list(summary.last)[-FIRST_ROWS:][::-1])
    selects = "".join(
        f'<label>{name.capitalize()}<select id="{name}"><option value="">all</option></select></label>'
        for name in ("status", "zone", "account", "reason")
    )
    total = summary.all.statuses.total()
    caption = f'<span id="count" role="status">The last {min(len(summary.last), FIRST_ROWS)} of {total} attempts</span>'
    heads = ("File", "Status", "On Drive", "Time (UTC)", "Account", "Size", "Attempt", "Requests")
    return (
        '<h2 id="attempts">Attempts</h2>\n'
        '<div class="filters" hidden><label>Search'
        '<input id="search" type="search" placeholder="file, reason, message, day"></label>'
        f"{selects}</div>\n{_table(caption, heads, rows, body='rows', numbers=heads[5:])}"
        '\n<button id="more" type="button" hidden>Show more</button>'
        + (f"<p>The last {len(summary.last)} of {total} attempts.</p>" if total > len(summary.last) else "")
    )


def _row(entry: dict[str, Any]) -> str:
    status = str(entry.get("status"))
    style = status if status in STATUSES else ""
    reason, message = (
        f"<small>{prose(entry[name])}</small>" if entry.get(name) else "" for name in ("reason", "message")
    )
    size, link, where = entry.get("size"), safe_link(entry.get("link")), entry.get("destination")
    where = "" if status == "failed" and not link else text(where)  # there it isn't
    linked = f'<a href="{text(link)}" rel="noreferrer">{where or "on Drive"}</a>' if link else where
    return (
        f'<tr><th scope="row">{text(entry.get("path") or "(request refused)")}{message}</th>'
        f'<td class="{style} t" data-label="Status">{STATUSES.get(status, "")} {text(status)}{reason}</td>'
        f'<td data-label="On Drive">{linked}</td>'
        f'<td class="t" data-label="Time (UTC)">'
        f"{text(str(entry.get('time')).replace('T', ' ').removesuffix('Z').partition('.')[0])}</td>"
        f'<td data-label="Account">{text(entry.get("account"))}</td>'
        f'<td class="n" data-label="Size">{text(decimal(size) if isinstance(size, int) else "")}</td>'
        f'<td class="n" data-label="Attempt">{text(entry.get("attempt"))}</td>'
        f'<td class="n" data-label="Requests">{text(entry.get("requests"))}</td></tr>'
    )


def _table(
    caption: str, heads: Sequence[str], rows: str, *, body: str = "", style: str = "", numbers: Sequence[str] = ()
) -> str:
    """A table; the caption is HTML."""
    cells = "".join(
        f'<th scope="col"{" class=n" if name in numbers else ""}>{name.capitalize() if name.islower() else name}</th>'
        for name in heads
    )
    named = f' id="{body}"' if body else ""
    styled = f' class="{style}"' if style else ""
    return (
        f"<table{styled}>\n<caption>{caption}</caption>\n<thead><tr>{cells}</tr></thead>\n"
        f"<tbody{named}>\n{rows}\n</tbody>\n</table>"
    )
