"""Instances that share one host name and can't see each other's processes, as on Cloud Run: leases must hold."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from function.core.errors import Locked
from function.core.retry import Deadline
from function.state.locks import Locks

NAME = "ab" + "0" * 30

PROJECT = Path(__file__).resolve().parents[2]

HOLDER = """
import sys
from pathlib import Path
from function.core.retry import Deadline
from function.state.locks import Locks
folder = Path(sys.argv[1])
with Locks(folder, folder / "locks", "lease").of(sys.argv[2], Deadline.after(5)):
    print("held", flush=True)
    sys.stdin.readline()
"""

APART = [
    "unshare",
    "--pid",
    "--uts",
    "--mount",
    "--fork",
    "--mount-proc",
    "sh",
    "-c",
    'hostname localhost; exec "$@"',
    "sh",
]

can_unshare = (
    os.geteuid() == 0
    and shutil.which("unshare")
    and not subprocess.run([*APART, "true"], capture_output=True, check=False).returncode
)


@contextmanager
def holding(folder: Path, *prefix: str) -> Iterator[None]:
    """A process that holds the lease, under its own name server of processes where `prefix` says so."""
    process = subprocess.Popen(
        [*prefix, sys.executable, "-c", HOLDER, str(folder), NAME],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield
    finally:
        process.communicate("\n", timeout=20)


def contend(folder: Path, seconds: float) -> None:
    """Take the lease here, or raise Locked."""
    with Locks(folder, folder / "locks", "lease").of(NAME, Deadline.after(seconds)):
        pass


@pytest.mark.skipif(not can_unshare, reason="needs root and unshare to make namespaces")
def test_a_live_holder_in_another_pid_and_uts_namespace_is_not_robbed(tmp_path: Path) -> None:
    """Its process isn't in our table and its host name may be ours: only time would end its lease."""
    with holding(tmp_path, *APART), pytest.raises(Locked):
        contend(tmp_path, 1.0)

    contend(tmp_path, 5.0)  # released by its holder, it is free at once


@pytest.mark.skipif(not can_unshare, reason="needs root and unshare to make namespaces")
def test_two_instances_called_localhost_exclude_each_other(tmp_path: Path) -> None:
    """Holder and contender each in namespaces of their own, both called localhost."""
    contender = HOLDER.replace("Deadline.after(5)", "Deadline.after(1)")

    with holding(tmp_path, *APART):
        ended = subprocess.run(
            [*APART, sys.executable, "-c", contender, str(tmp_path), NAME],
            cwd=PROJECT,
            input="\n",
            capture_output=True,
            text=True,
            check=False,
        )

    assert "Locked" in ended.stderr
    assert ended.stdout == ""


INSTANCE = """
import os, sys
own = os.getpid()
os.getpid = lambda: int(sys.argv[3])
"""


@pytest.mark.parametrize("pid", ["1", "4194303"], ids=["another's process here", "no process here"])
def test_a_holder_on_another_machine_of_this_name_is_not_robbed(tmp_path: Path, pid: str) -> None:
    """Two machines called `localhost`, each in its first PID namespace: filelock would look for the holder's PID here.

    Not found, or found as another process, it would take the live lease at once.
    """
    holder = subprocess.Popen(
        [sys.executable, "-c", INSTANCE + HOLDER, str(tmp_path), NAME, pid],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"

    try:
        with pytest.raises(Locked):
            contend(tmp_path, 1.0)
    finally:
        holder.communicate("\n", timeout=20)
