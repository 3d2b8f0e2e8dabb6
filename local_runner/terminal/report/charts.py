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
    step, form = timedelta(days=1), "%Y-%m-%d"
    if times[-1] - times[0] <= HOURLY_UP_TO:
        step, form = timedelta(hours=1), "%Y-%m-%dT%H"
    begin = max(times[0], times[-1] - step * (BARS_MAX - 1))
    count = int((times[-1].replace(hour=0) - begin.replace(hour=0)) / step) + 1 if step.days else 0
    count = count or int((times[-1] - begin) / step) + 1
    filled = {(begin + step * index).strftime(form): Totals() for index in range(count)}
    for hour, totals in hours.items():
        bucket = filled.get(hour[:13] if step.seconds else hour[:10])
        if bucket is not None:
            bucket.statuses.update(totals.statuses)
            bucket.size_bytes += totals.size_bytes
    return filled


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
