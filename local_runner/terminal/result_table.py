"""How uploads ended, as a table for people."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.filesize import decimal

from function.core.naming import drive_name, number_of
from local_runner.client.find_files import EXCLUDED, LeftOut
from local_runner.client.invoke import Entry
from local_runner.client.tally import ROWS_MAX, Tally
from local_runner.terminal.printable import printable
from local_runner.terminal.screen import Rows, cell, destination_cell, sentence, size_cell, status_cell, table

FEW = 3
"""More failures than these with one reason are one line."""


@dataclass(frozen=True, slots=True)
class How:
    """What kind of run it was, and how much of it is shown."""

    is_stopped: bool = False
    only_failures: bool = False
    dry_run: bool = False
    call_failed: bool = False
    """Whether the function couldn't be asked, which is told after this."""
    logged: Collection[object] = ()
    """The invocations that this home's log tells of: what failed in them is open there."""


def show(
    tally: Tally, left_out: Sequence[LeftOut], console: Console, duration_s: float, how: How | None = None
) -> None:
    """The table, what was left out, and the totals; where one cause failed many, that cause once."""
    how = how or How()
    rows = tally.failures if how.only_failures or tally.count > ROWS_MAX else tally.first
    if how.is_stopped:  # what was not finished in time is told in one sentence
        rows = [each for each in rows if each.get("reason") != "deadline_exceeded"]
    counts = Counter(each.get("reason") for each in tally.failures)
    many = {reason for reason, count in counts.items() if count > FEW}
    shown = [each for each in rows if each.get("status") != "failed" or each.get("reason") not in many]
    if shown:
        console.print(_entries_table(shown, dry_run=how.dry_run))
    for entry in shown:
        if entry.get("message"):
            console.print(sentence(entry), markup=False)
    for cause in _causes(rows, many, how.logged):
        console.print(printable(cause), style="bold red", markup=False)
    notes = [*_beside_others(rows, dry_run=how.dry_run), *_left_out(left_out, only_failures=how.only_failures)]
    for note in notes:
        console.print(printable(note), style="yellow", markup=False)
    if how.is_stopped:
        console.print(_interrupted(tally), style="bold yellow", markup=False)
    elif tally.count or not how.call_failed:
        _show_totals(tally, console, duration_s, how)


def _show_totals(tally: Tally, console: Console, duration_s: float, how: How) -> None:
    if how.dry_run:
        console.print(_planned(tally), markup=False)
    elif not how.only_failures:
        console.print(_totals_line(tally, duration_s), markup=False)


def _entries_table(entries: Sequence[Entry], *, dry_run: bool) -> Rows:
    columns = ["path", "status", "on Drive", "size", "requests"]
    is_one_account = len({each.get("account") for each in entries} - {None}) < 2
    made = table(*columns, *([] if is_one_account else ["account"]), right=("size", "requests"))
    for entry in entries:
        made.add_row(
            cell(entry.get("path")),
            status_cell(str(entry.get("status")), entry.get("reason"), is_planned=dry_run),
            destination_cell(entry),
            size_cell(entry.get("size")),
            cell(entry.get("requests")),
            *([] if is_one_account else [cell(entry.get("account"))]),
        )
    return made


def _causes(rows: Sequence[Entry], many: Iterable[object], logged: Collection[object]) -> Iterator[str]:
    for reason in sorted(map(str, many)):
        failed = [each for each in rows if each.get("reason") == reason]
        if failed:
            is_open = failed[0].get("path") is not None and failed[0].get("invocation_id") in logged
            advice = " All of them: drive-upload status --open." if is_open else ""
            yield f"{len(failed)} failed with {reason}, the first {sentence(failed[0])}{advice}"


def _beside_others(rows: Sequence[Entry], *, dry_run: bool) -> Iterator[str]:
    """What `keep_both` did, said where people meet it: a file that was edited is on Drive under two names."""
    uploaded = [(each, drive_name(_name(each.get("path")))) for each in rows if each.get("status") == "uploaded"]
    numbered = [each for each, name in uploaded if number_of(_name(each.get("destination")), name) > 1]
    if numbered:
        went, first = "would go" if dry_run else "went", " the first" if len(numbered) > 1 else ""
        yield (
            f"{len(numbered)} {went} up under a new name,{first} as {numbered[0]['destination']}: its name holds other "
            "content, as it does where a file was edited. --if-exists new_revision keeps one file with its revisions."
        )


def _name(path: object) -> str:
    return str(path or "").rpartition("/")[2]


def _left_out(left_out: Sequence[LeftOut], *, only_failures: bool) -> Iterator[str]:
    for each in left_out:
        if each.why != EXCLUDED and (each.is_failure or not only_failures):
            yield f"left out: {each.path}: {each.why}"
    excluded = [each.path for each in left_out if each.why == EXCLUDED]
    if excluded and not only_failures:
        more = ", …" if len(excluded) > FEW else ""
        yield f"left out: {len(excluded)} excluded ({', '.join(excluded[:FEW])}{more})"


def _interrupted(tally: Tally) -> str:
    done = tally.count - sum(each.get("reason") == "deadline_exceeded" for each in tally.failures)
    return (
        f"Interrupted: {done} of {tally.expected} done, {decimal(tally.bytes_sent)} sent; "
        "the same command goes on where this one stopped."
    )


def _planned(tally: Tally) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in sorted(tally.statuses.items())) or "nothing"
    return f"Dry run: the run would end with {counts}; {decimal(tally.bytes_uploaded)} to send. Nothing was changed."


def _totals_line(tally: Tally, duration_s: float) -> str:
    if not tally.count:
        return "Nothing to upload."
    counts = ", ".join(f"{count} {status}" for status, count in sorted(tally.statuses.items()))
    sent = tally.bytes_sent or tally.bytes_uploaded  # a function elsewhere doesn't say what it sends
    rate = f" at {decimal(int(sent / duration_s))}/s" if sent > 1_000_000 else ""
    asked = f"{tally.requests} requests ({tally.units} quota units)"
    return f"{counts}; {decimal(sent)} sent{rate}, {asked}, {duration_s:.1f} s"
