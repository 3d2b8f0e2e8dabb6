"""The command `emulator`: the embedded Drive alone, until it is interrupted."""

from __future__ import annotations

import errno
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import click

from .emulator import DriveEmulator
from .faults import quota
from .http import tls
from .model.errors import ApiError
from .oauth.endpoints import CLIENT_ID
from .server import ServerOptions
from .storage import archive
from .storage.request_log import RequestRecord
from .storage.state import DEFAULT_EMAIL, DataFolderInUse

_FILE = click.Path(path_type=Path, dir_okay=False)


USAGE, TRY_LATER, SETTINGS = 64, 75, 78
"""Exit codes, as sysexits.h has them: a wrong flag, what another process holds, what has to be set right first."""

MARKS = (CLIENT_ID.encode(), b'"drive-emulator"')
"""What the files for clients have in them; a file with none of these is somebody else's."""


EXAMPLES = """\b
Examples:
  drive-upload emulator --data drive --write-token t.json
  drive-upload emulator --port 0 --error-rate 0.1 --seed 7

Exit codes: 0 it was ended, 64 wrong usage, 75 port or folder is in use, 78 something has to be set right first.
"""


class _Command(click.Command):
    """Wrong usage exits with 64."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _usage_errors():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _usage_errors():
            return super().invoke(ctx)


@contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        error.show()
        raise click.exceptions.Exit(USAGE) from error


class _Refusal(click.ClickException):
    """One line for a person, and the exit code for what called."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.code = exit_code

    @property
    def exit_code(self) -> int:  # type: ignore[override] # click declares it of the class
        return self.code


def _host(context: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        value.encode("idna")  # as it will be resolved
    except UnicodeError:
        raise _Refusal(f"--host: {value!r} can't be a host's name.", USAGE) from None
    return value


@click.command(cls=_Command, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--host", default="127.0.0.1", show_default=True, callback=_host, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=9099,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Keep the state in this folder.")
@click.option("--write-token", type=_FILE, help="Write a ready token file.")
@click.option("--write-service-account", type=_FILE, help="Write a service account's key file.")
@click.option("--write-rclone-config", type=_FILE, help="Write rclone's configuration with a remote `drive:`.")
@click.option("--https", is_flag=True, help="Speak TLS, too, with an authority of its own.")
@click.option(
    "--write-ca", type=_FILE, help="Write that authority's certificate for clients to trust; implies --https."
)
@click.option("--load", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Begin with a saved state.")
@click.option(
    "--seed-from", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Fill an empty Drive from here."
)
@click.option("--public-url", metavar="URL", help="What URLs in answers begin with, behind a proxy.")
@click.option("--allow-host", multiple=True, metavar="NAME", help="Answer to this name, too (repeatable).")
@click.option("--allow-origin", multiple=True, metavar="ORIGIN", help="Let pages of this origin use the API.")
@click.option("--accept-token", multiple=True, metavar="TOKEN", help="Take this access token too (repeatable).")
@click.option("--account", multiple=True, metavar="EMAIL", help="Accounts to have; the first is the default.")
@click.option("--latency-ms", type=float, default=0, help="Time added to each answer.")
@click.option("--jitter-ms", type=float, default=0, help="Up to so much more, at random.")
@click.option("--list-lag-s", type=float, default=0, help="Listings show a new file only after so long.")
@click.option("--error-rate", type=float, default=0, help="Share of requests answered 503.")
@click.option("--requests-per-minute", type=float, help="Limit per user; more is refused.")
@click.option("--writes-per-s", type=float, help="Sustained creates and edits per account.")
@click.option("--write-burst", type=float, help="Writes above that rate before refusals begin.")
@click.option("--limit-status", type=click.Choice(["403", "429"]), default="403", help="How a limit is refused.")
@click.option("--retry-after", is_flag=True, help="Send Retry-After with refusals.")
@click.option("--google-quota", is_flag=True, help="Google's own limits: units per minute, 3 writes a second.")
@click.option("--token-life-s", type=float, help="Life of access tokens (default 3599).")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same ids and dice.")
@click.option("-v", "--verbose", is_flag=True, help="Show each request as a line.")
def emulator(
    host: str,
    port: int,
    data: Path | None,
    accept_token: tuple[str, ...],
    account: tuple[str, ...],
    seed: int,
    verbose: bool,
    **flags: Any,
) -> None:
    """Serve a Google Drive on this machine, for tests and trials. Ctrl-C ends it."""
    written = _Files(**{name: flags.pop(name) for name in _Files.__annotations__})
    saved, seed_folder = flags.pop("load"), flags.pop("seed_from")
    options: dict[str, Any] = {
        "host": host,
        "port": port,
        "seed": seed,
        "accept_tokens": accept_token,
        "emails": account or (DEFAULT_EMAIL,),
        "watcher": _show if verbose else None,
        "options": _options(flags, https=written.write_ca is not None),
        **_settings(flags),
    }
    try:
        drive = DriveEmulator(data, **options) if saved is None else _loaded(saved, data, options)
    except DataFolderInUse as error:
        raise _Refusal(f"--data: {error}", TRY_LATER) from None
    except ApiError as error:
        raise _Refusal(error.message, USAGE) from None
    except OSError as error:
        raise _cannot_start(error, host, port) from None
    try:
        if seed_folder is not None:
            drive.seed_from(seed_folder)
        written.write(drive)  # before anybody is answered: who sees the emulator ready finds the files
    except OSError as error:
        drive.stop()
        raise _Refusal(f"{error.filename}: {error.strerror}.", SETTINGS) from None
    except _Refusal:
        drive.stop()
        raise
    with drive:
        _explain(drive, data, written.write_token)
        _wait()


_NO_ADDRESS = {errno.EADDRNOTAVAIL, socket.EAI_NONAME, socket.EAI_AGAIN}
"""The second and third are how `socket.create_server` passes on that a name can't be resolved."""


def _cannot_start(error: OSError, host: str, port: int) -> _Refusal:
    """Why the emulator can't listen, or can't use its folder."""
    if error.filename is not None:
        return _Refusal(f"--data: {error.filename}: {error.strerror}.", SETTINGS)
    if error.errno == errno.EADDRINUSE:
        return _Refusal(f"Port {port} of {host} is taken: name another with --port, or 0 for a free one.", TRY_LATER)
    if isinstance(error, socket.gaierror) or error.errno in _NO_ADDRESS:
        return _Refusal(f"--host: {host} is no address of this machine.", USAGE)
    return _Refusal(f"Can't listen on port {port} of {host}: {error.strerror}.", USAGE)


def _loaded(saved: Path, data: Path | None, options: dict[str, Any]) -> DriveEmulator:
    """An emulator that begins with a saved state, kept in `data` where that is given."""
    try:
        if data is None:
            return DriveEmulator.loaded(saved, **options)
        archive.load(saved, data)
    except ValueError as error:
        raise _Refusal(f"--load: {error}", USAGE) from None
    return DriveEmulator(data, **options)


@dataclass(frozen=True, slots=True)
class _Files:
    """What is written for clients at the start, each where its flag says."""

    write_token: Path | None
    write_service_account: Path | None
    write_rclone_config: Path | None
    write_ca: Path | None

    def write(self, drive: DriveEmulator) -> None:
        """Write those that were asked for, unless that would replace what no emulator wrote."""
        files: tuple[tuple[str, Path | None, Callable[[Path], object]], ...] = (
            ("--write-token", self.write_token, drive.write_token),
            ("--write-service-account", self.write_service_account, drive.write_service_account),
            ("--write-rclone-config", self.write_rclone_config, drive.write_rclone_config),
            ("--write-ca", self.write_ca, lambda path: path.write_bytes(drive.ca_pem)),
        )
        asked = [(flag, path, write) for flag, path, write in files if path is not None]
        for flag, path, _ in asked:
            if path.exists() and not _ours(path.read_bytes()):
                told = f"{flag}: {path} holds what no Drive emulator wrote, so it is not replaced: name another file."
                raise _Refusal(told, SETTINGS)
        for flag, path, write in asked:
            try:
                write(path)
            except OSError as error:
                raise _Refusal(f"{flag}: {path}: {error.strerror}.", SETTINGS) from None


def _ours(content: bytes) -> bool:
    """Whether an emulator wrote a file, or nobody yet."""
    return not content or any(mark in content for mark in MARKS) or tls.is_own(content)


def _options(flags: dict[str, Any], *, https: bool) -> ServerOptions:
    """The flags that say how the emulator can be reached, taken out of `flags`."""
    public_url = flags.pop("public_url")
    options = ServerOptions(
        allow_hosts=flags.pop("allow_host"),
        allow_origins=flags.pop("allow_origin"),
        https=flags.pop("https") or https,
        public_url=public_url,
    )
    try:
        options.check()
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return options


def _settings(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags as network conditions."""
    chosen: dict[str, Any] = dict(quota.GOOGLE) if flags.pop("google_quota") else {}
    renamed = {"requests_per_minute": "requests_per_minute_per_user"}
    for flag, value in flags.items():
        if value is not None:
            chosen[renamed.get(flag, flag)] = int(value) if flag == "limit_status" else value
    return chosen


def _explain(drive: DriveEmulator, data: Path | None, token: Path | None) -> None:
    click.echo(f"Google Drive emulator at {drive.url}")
    click.echo(f"  export DRIVE_EMULATOR_HOST={drive.url.removeprefix('http://')}")
    click.echo(f"  state: {data or 'gone when this ends (keep it with --data DIR)'}")
    click.echo(f"  token: {token or 'write one with --write-token FILE'}")
    click.echo(f"  browse the Drive at {drive.url}/")
    sys.stdout.flush()


def _show(record: RequestRecord) -> None:
    size = f" in={record.bytes_in}" if record.bytes_in else ""
    fault = f" fault={record.fault}" if record.fault else ""
    status = record.status or "cut"
    line = (
        f"{status} {record.http_method:6} {record.method_id:20} {record.path} {record.duration_ms:.1f} ms{size}{fault}"
    )
    click.echo(line, err=True)


def _wait() -> None:
    """Until SIGINT or SIGTERM."""
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    ended.wait()
