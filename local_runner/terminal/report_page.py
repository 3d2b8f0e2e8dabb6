"""Entries -> one HTML page: no script, nothing loaded from elsewhere, everything escaped. Pure.

Readable without colours, by keyboard, by a screen reader, in the dark, on paper and on a telephone.
"""

import html
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rich.filesize import decimal

from local_runner.client.invoke import Entry
from local_runner.terminal.printable import printable

STATUSES: Final = {"uploaded": "✓", "unchanged": "=", "skipped": "↷", "failed": "✗"}
"""Status -> sign, so that colour is never the only difference."""

DAYS_MAX = 60
"""Days in the chart."""

CSS = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--page:#fff;--card:#f6f8fa;
--uploaded:#1a7f37;--unchanged:#0a5bb5;--skipped:#8a5a00;--failed:#c0182b}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9da7b3;--line:#3d444d;--page:#0d1117;--card:#161b22;
--uploaded:#56d364;--unchanged:#79b8ff;--skipped:#e3b341;--failed:#ff8a80}}
*{box-sizing:border-box}body{margin:0;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page)}
main{max-width:80rem;margin:auto;padding:2rem 1rem}h1{margin:0;font-size:1.8rem}p{margin:.3rem 0;color:var(--soft)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.75rem;margin:1.5rem 0;padding:0;
list-style:none}.tiles li{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.8rem 1rem}
.tiles b{display:block;font-size:1.6rem;font-variant-numeric:tabular-nums}
.chart{width:100%;height:9rem}.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:.6rem}
.scroll:focus-visible,a:focus-visible{outline:3px solid var(--unchanged);outline-offset:2px}
table{border-collapse:collapse;width:100%;font-size:.9rem}caption{text-align:left;padding:.8rem 1rem;font-weight:600}
th,td{text-align:left;vertical-align:top;padding:.45rem .7rem;border-top:1px solid var(--line)}
thead th{background:var(--card);white-space:nowrap}td.n{text-align:right;white-space:nowrap;
font-variant-numeric:tabular-nums}td.t{white-space:nowrap}td.w,th[scope=row]{overflow-wrap:anywhere;min-width:12rem}
th[scope=row]{font-weight:500}small{display:block;color:var(--soft)}a{color:var(--unchanged)}
.uploaded{color:var(--uploaded);fill:var(--uploaded)}.unchanged{color:var(--unchanged);fill:var(--unchanged)}
.skipped{color:var(--skipped);fill:var(--skipped)}.failed{color:var(--failed);fill:var(--failed);font-weight:600}
@media print{.scroll{overflow:visible;border:0}}
"""


@dataclass(frozen=True, slots=True)
class Summary:
    """Totals of a log."""

    log: str
    statuses: Mapping[str, int]
    by_day: Mapping[str, Mapping[str, int]]
    """Day (YYYY-MM-DD) -> status -> attempts."""
    size_bytes: int
    """Uploaded in all."""
    open: int
    """Paths whose last attempt failed."""

    @property
    def attempts(self) -> int:
        """Entries in all."""
        return sum(self.statuses.values())


def text(value: object) -> str:
    """A value as HTML text or attribute: markup, controls and broken characters become harmless."""
    return html.escape(printable("" if value is None else str(value)))


def page(summary: Summary, entries: Iterable[Entry], made_at: datetime) -> str:
    """The whole page; entries newest first."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<title>Drive Upload report</title>
<style>{CSS}</style>
</head>
<body>
<main>
<h1>Drive Upload</h1>
<p>{text(summary.log)}, as of <time datetime="{made_at.isoformat()}">{made_at:%Y-%m-%d %H:%M} UTC</time></p>
{_tiles(summary)}
{_chart(summary.by_day)}
{_table(entries, summary)}
</main>
</body>
</html>
"""


def _tiles(summary: Summary) -> str:
    counts = [
        (f"{STATUSES.get(name, '')} {name}", str(count), name) for name, count in sorted(summary.statuses.items())
    ]
    others = [("still open", str(summary.open), "failed" if summary.open else "uploaded")]
    others += [("sent in all", decimal(summary.size_bytes), "")]
    items = [
        f'<li><b class="{style if style in STATUSES else ""}">{text(value)}</b>{text(label)}</li>'
        for label, value, style in counts + others
    ]
    return f'<ul class="tiles">{"".join(items)}</ul>'


def _chart(by_day: Mapping[str, Mapping[str, int]]) -> str:
    """Attempts a day as stacked bars; the same in words for those who can't see it."""
    days = sorted(by_day)[-DAYS_MAX:]
    if len(days) < 2:
        return ""
    highest = max(sum(by_day[day].values()) for day in days)
    bars = "".join(_bar(index, day, by_day[day], highest) for index, day in enumerate(days))
    label = f"Attempts a day from {days[0]} to {days[-1]}, {highest} at most"
    return (
        f'<h2>Attempts a day</h2>\n<svg class="chart" role="img" aria-label="{text(label)}" preserveAspectRatio="none"'
        f' viewBox="0 0 {len(days) * 10} 100">{bars}</svg>\n<p>{text(label)}.</p>'
    )


def _bar(index: int, day: str, counts: Mapping[str, int], highest: int) -> str:
    parts, top = [], 100.0
    for status in STATUSES:
        height = 100 * counts.get(status, 0) / highest
        top -= height
        if height:
            parts.append(f'<rect class="{status}" x="{index * 10 + 1}" width="8" y="{top:.2f}" height="{height:.2f}"/>')
    told = ", ".join(f"{count} {status}" for status, count in Counter(counts).most_common())
    return f"<g><title>{text(f'{day}: {told}')}</title>{''.join(parts)}</g>"


def _table(entries: Iterable[Entry], summary: Summary) -> str:
    rows = [_row(each) for each in entries]
    if not rows:
        return "<p>No attempts yet.</p>"
    heads = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("File", "Status", "On Drive", "Time (UTC)", "Account", "Size", "Attempt", "Requests")
    )
    caption = f"The last {len(rows)} of {summary.attempts} attempts, newest first"
    return (
        '<div class="scroll" role="region" aria-label="Attempts" tabindex="0">\n'
        f"<table>\n<caption>{caption}</caption>\n"
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{chr(10).join(rows)}\n</tbody>\n</table>\n</div>"
    )


def _row(entry: Entry) -> str:
    status = str(entry.get("status"))
    style = status if status in STATUSES else ""
    reason = f"<small>{text(entry['reason'])}</small>" if entry.get("reason") else ""
    message = f"<small>{text(entry['message'])}</small>" if entry.get("message") else ""
    size = entry.get("size")
    return (
        f'<tr><th scope="row">{text(entry.get("path") or "(request refused)")}{message}</th>'
        f'<td class="{style} t">{STATUSES.get(status, "")} {text(status)}{reason}</td>'
        f'<td class="w">{_linked(entry)}</td>'
        f'<td class="t">{text(str(entry.get("time")).replace("T", " ").removesuffix("Z"))}</td>'
        f"<td>{text(entry.get('account'))}</td>"
        f'<td class="n">{text(decimal(size) if isinstance(size, int) else "")}</td>'
        f'<td class="n">{text(entry.get("attempt"))}</td>'
        f'<td class="n">{text(entry.get("requests"))}</td></tr>'
    )


def _linked(entry: Entry) -> str:
    """The destination, as a link where the log has one that a browser may safely follow."""
    link, shown = entry.get("link"), text(entry.get("destination"))
    if isinstance(link, str) and link.startswith("https://"):
        return f'<a href="{text(link)}" rel="noreferrer">{shown or "on Drive"}</a>'
    return shown
