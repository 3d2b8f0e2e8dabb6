"""Totals over time -> pictures: bars as SVG, and the same in words. Pure."""

import html
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from local_runner.terminal.report.summary import Totals

BARS_MAX = 92
"""Bars in a chart: a quarter of a year, by days."""

HOURLY_UP_TO = timedelta(hours=48)
"""A log that spans no more is shown by the hour."""

Series = Sequence[tuple[str, Callable[[Totals], float]]]
"""Class of a part of a bar -> its height."""


def buckets(hours: Mapping[str, Totals]) -> dict[str, Totals]:
    """Day (or hour, where the log is young) -> its totals, without a gap, the last BARS_MAX of them."""
    times = sorted(found for each in hours if (found := _time(each)))
    if not times:
        return {}
    first, last, step, width = times[0], times[-1], timedelta(hours=1), len("2026-11-22T10")
    if last - first > HOURLY_UP_TO:
        first, last, step, width = first.replace(hour=0), last.replace(hour=0), timedelta(days=1), len("2026-11-22")
    skipped = max(0, (last - first) // step + 1 - BARS_MAX)
    numbers = range(skipped, (last - first) // step + 1)
    filled = {(first + step * number).isoformat()[:width]: Totals() for number in numbers}
    for hour, totals in hours.items():
        bucket = filled.get(hour[:width])
        if bucket is not None:
            bucket.statuses.update(totals.statuses)
            bucket.size_bytes += totals.size_bytes
    return filled


def days(hours: Mapping[str, Totals]) -> list[str]:
    """The days from the first of these hours to the last, without a gap, the last BARS_MAX of them."""
    times = sorted(found for each in hours if (found := _time(each)))
    if not times:
        return []
    last = times[-1].date()
    count = min((last - times[0].date()).days + 1, BARS_MAX)
    return [(last - timedelta(days=number)).isoformat() for number in reversed(range(count))]


def strip(over_time: Mapping[str, Totals], shown_days: Sequence[str]) -> str:
    """A small picture of those days: what was uploaded, and upon it what failed."""
    counts = [over_time[day].statuses if day in over_time else {} for day in shown_days]
    pairs = [(each.get("uploaded", 0), each.get("failed", 0)) for each in counts]
    uploaded, failed = (sum(numbers) for numbers in zip(*pairs, strict=True))
    highest = max(map(sum, pairs)) or 1
    paths = {"uploaded": "", "failed": ""}
    for index, pair in enumerate(pairs):
        base = 100.0
        for name, value in zip(paths, pair, strict=True):
            height = 100 * value / highest
            if value:
                paths[name] += f"M{index * 10 + 1} {base:.0f}h8V{base - height:.0f}h-8z"
            base -= height
    drawn = "".join(f'<path class="{name}" d="{path}"/>' for name, path in paths.items() if path)
    label = f"From {shown_days[0]} to {shown_days[-1]}: {uploaded:,} uploaded, {failed:,} failed"
    return (
        f'<svg class="strip" role="img" aria-label="{label}" preserveAspectRatio="none" '
        f'viewBox="0 0 {len(shown_days) * 10} 100"><title>{label}</title>{drawn}</svg>'
    )


def chart(
    title: str, anchor: str, over_time: Mapping[str, Totals], series: Series, told: Callable[[float], str]
) -> str:
    """A bar for each bucket, its parts on top of one another; `told` says a height in words."""
    if not over_time:
        return ""
    heights = {when: [(name, value(totals)) for name, value in series] for when, totals in over_time.items()}
    highest = max(sum(height for _, height in parts) for parts in heights.values())
    whole = sum(height for parts in heights.values() for _, height in parts)
    first, last = next(iter(over_time)), list(over_time)[-1]
    bars = "".join(_bar(index, when, parts, highest, told) for index, (when, parts) in enumerate(heights.items()))
    label = f"{title} from {_shown(first)} to {_shown(last)}: {told(whole)} in all, {told(highest)} at most"
    return (
        f'<figure id="{anchor}"><figcaption>{html.escape(title)}<small>{html.escape(told(highest))} at most</small>'
        f'</figcaption>\n<svg class="chart" role="img" aria-label="{html.escape(label)}" preserveAspectRatio="none" '
        f'viewBox="0 0 {len(heights) * 10} 100">{bars}</svg>\n'
        f'<p class="axis"><span>{_shown(first)}</span><span>{_shown(last)}</span></p></figure>'
    )


def _bar(
    index: int, when: str, parts: Sequence[tuple[str, float]], highest: float, told: Callable[[float], str]
) -> str:
    drawn, top = [], 100.0
    for name, value in parts:
        height = 100 * value / highest if highest else 0.0
        top -= height
        if height:
            drawn.append(f'<rect class="{name}" x="{index * 10 + 1}" width="8" y="{top:.2f}" height="{height:.2f}"/>')
    words = ", ".join(f"{told(value)} {name}" for name, value in parts if value) or "nothing"
    return f"<g><title>{_shown(when)}: {html.escape(words)}</title>{''.join(drawn)}</g>"


def _time(hour: str) -> datetime | None:
    try:
        return datetime.strptime(hour, "%Y-%m-%dT%H").replace(tzinfo=UTC)
    except ValueError:
        return None  # the log may hold what others wrote


def _shown(when: str) -> str:
    return f"{when.replace('T', ' ')}:00" if "T" in when else when
