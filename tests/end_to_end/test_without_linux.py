"""What only Linux has isn't needed: the whole program is imported and used without it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.home import PROJECT

LINUX_ONLY = {
    "fcntl": """F_OFD_GETLK F_OFD_SETLK F_OFD_SETLKW F_ADD_SEALS F_GET_SEALS F_SETPIPE_SZ F_GETPIPE_SZ F_SETLEASE
        F_GETLEASE F_NOTIFY F_SETSIG F_GETSIG""",
    "os": """O_DIRECT O_NOATIME O_PATH O_TMPFILE O_LARGEFILE O_RSYNC RWF_DSYNC RWF_HIPRI RWF_NOWAIT RWF_SYNC RWF_APPEND
        copy_file_range eventfd fdatasync getrandom getresgid getresuid getxattr listxattr memfd_create pidfd_open pipe2
        posix_fadvise posix_fallocate removexattr sched_getaffinity sched_getparam sched_setaffinity setresgid setresuid
        setxattr splice""",
    "select": "epoll EPOLLIN EPOLLOUT",
    "signal": "SIGPOLL SIGPWR SIGRTMAX SIGRTMIN SIGSTKFLT pidfd_send_signal sigtimedwait sigwaitinfo",
    "socket": """AF_ALG AF_NETLINK AF_PACKET AF_VSOCK MSG_ERRQUEUE MSG_MORE MSG_NOSIGNAL SOCK_CLOEXEC SOCK_NONBLOCK
        SO_BINDTODEVICE SO_MARK SO_PEERCRED TCP_CORK TCP_DEFER_ACCEPT TCP_KEEPIDLE TCP_LINGER2
        TCP_QUICKACK TCP_USER_TIMEOUT""",
    "time": "CLOCK_BOOTTIME CLOCK_TAI pthread_getcpuclockid",
}
"""Module -> what it has on Linux, and not on macOS. Source: Python's library reference, "Availability"."""

SCRIPT = """
import importlib, json, os, pkgutil, shutil, sys, types

for module, names in json.loads(sys.argv[1]).items():
    for name in names.split():
        vars(importlib.import_module(module)).pop(name, None)
sys.platform = "darwin"
sys.modules["_scproxy"] = types.SimpleNamespace(_get_proxy_settings=dict, _get_proxies=dict)  # the system's own

def is_proc(path):
    return isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith("/proc/")

def refuse_proc(event, arguments):
    if event == "open" and is_proc(arguments[0]):
        raise FileNotFoundError(2, "there is no /proc here", arguments[0])

def stat(path, *arguments, stat=os.stat, **options):
    if is_proc(path):
        raise FileNotFoundError(2, "there is no /proc here", path)
    return stat(path, *arguments, **options)

sys.addaudithook(refuse_proc)
os.stat = stat

import function, local_runner

for package in (function, local_runner):
    for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if each.name.rpartition(".")[2].strip("_") != "main":  # those are run, not imported
            importlib.import_module(each.name)

from click.testing import CliRunner
from local_runner.cli import cli

def run(*arguments):
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    return result.exit_code, json.loads(result.stdout)

told = [run("upload", "Data", "--emulator", "--json") for _ in range(2)]
told.append(run("status", "--open", "--json"))
from local_runner.client.embedded import embedded_drive
with embedded_drive() as drive:
    os.environ.update(drive.environment)
    told.append(run("doctor", "--json"))
print(json.dumps(told))
"""


def test_an_upload_needs_nothing_that_only_linux_has(tmp_path: Path) -> None:
    """Every module is imported, small and large files go up, once; `doctor` finds nothing wrong."""
    (tmp_path / "paths.json").write_text('{"drive_root": "MemoryVDB"}', encoding="utf-8")
    (tmp_path / "Data/Meta").mkdir(parents=True)
    (tmp_path / "Data/Meta/small.txt").write_text("small", encoding="utf-8")
    (tmp_path / "Data/Meta/large.bin").write_bytes(os.urandom(12_000_000))
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(PROJECT), "PYTHONUTF8": "1"}

    ended = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT, json.dumps(LINUX_ONLY)],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert ended.returncode == 0, ended.stderr
    (first, sent), (second, again), (_, still_open), (checked, found) = json.loads(ended.stdout)
    assert (first, second, checked, still_open) == (0, 0, 0, [])
    assert sent["totals"]["uploaded"] == again["totals"]["unchanged"] == 2
    assert [each for each in found["findings"] if each["level"] == "fail"] == []
