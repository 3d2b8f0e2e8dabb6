"""Tables on narrow terminals."""

import io

import pytest
from click.testing import CliRunner
from rich.console import Console

from local_runner.cli import COMMANDS, cli
from local_runner.terminal.screen import cell, size_cell, status_cell, table, time_cell

TIME = "2026-11-27 21:16:22"
PATH = "Data/Chats/2026-11/Naming the zones.md"


def drawn(width: int) -> str:
    """The table of `status` on a terminal of that width."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    rows = table("time", "path", "status", "on Drive", "size", "attempt", right=("size", "attempt"))
    rows.add_row(
        time_cell(TIME),  # without a zone it is taken as local, and so shown as it is
        cell(PATH),
        status_cell("failed", "storage_quota_exceeded"),
        cell(PATH.replace("Data", "MemoryVDB")),
        size_cell(298),
        cell(1),
    )
    console.print(rows)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_what_belongs_together_stays_on_one_line(width: int) -> None:
    """Time, status and size are whole on a line at any width, and no line is longer than the terminal."""
    lines = drawn(width).splitlines()

    for whole in (TIME, "failed: storage_quota_exceeded", "298 bytes"):
        assert any(whole in line for line in lines), "\n".join(lines)
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_nothing_is_cut(width: int) -> None:
    """Every character of a path is there, wherever it is folded."""
    if width < 120:
        assert PATH.replace(" ", "") in drawn(width).replace("\n", "").replace(" ", "")
    else:
        assert PATH in drawn(width)


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_and_has_examples_and_exit_codes(command: str, width: int) -> None:
    """No line of a command's help is longer than the terminal; each shows how it is called and how it ends."""
    shown = CliRunner().invoke(cli, [*command.split(), "--help"], terminal_width=width).output

    assert [line for line in shown.splitlines() if len(line) > width] == []
    assert "Example" in shown
    assert "Exit codes: 0" in shown
