"""One account: its token file, whether it can be renewed, and what it may do on Drive."""

import shlex
import stat
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
from rich.filesize import decimal

from function.core.errors import CredentialsError, NotFound, UploadError
from function.core.retry import Deadline
from function.core.types import FOLDER_MIME_TYPE, Usage
from function.credentials import token_file
from function.credentials.token_file import METADATA, TokenFile
from function.drive.errors import translate
from function.drive.google import GOOGLE
from function.drive.http import Transport, document, malformed_response, pool
from function.drive.port import Drive
from function.drive.query import LIVE, inside, named
from function.home.network import EMULATOR_HOST, is_this_machine
from function.upload.account import AccountSession
from local_runner.client.in_time import Moved
from local_runner.doctor.findings import Finding, fail, ok, warn
from local_runner.log import advice

TIME_S = 30.0

SKEW_WARN_S = 30.0
SKEW_FAIL_S = 300.0
"""Google refuses signed assertions from clocks that differ by more. Source: OAuth 2.0 for service accounts, 'iat'."""

SCOPE = "https://www.googleapis.com/auth/"
"""How a scope of Google's begins; whatever else stands among them may be a secret."""

FEW_BYTES = 100 * 1024 * 1024

MEND = advice.ADVICE | {
    "settings_invalid": "Mend the setting that the message names.",
    "locked": "Wait until the other upload has ended; if there is none, end what holds the lock.",
    "drive_unavailable": "Nothing, if it passes: Google, or something on the way to it, has a failure.",
    "volume_unavailable": "Make room on that volume, or let the user that uploads write there.",
}
"""Reason -> what to do; where else the advice is to ask the doctor, its own."""


T = TypeVar("T")


class _User(msgspec.Struct, frozen=True, rename="camel"):
    email_address: str = ""


class _Quota(msgspec.Struct, frozen=True, rename="camel"):
    """In bytes; without a limit there is none."""

    limit: int | None = None
    usage: int = 0


class _About(msgspec.Struct, frozen=True, rename="camel"):
    user: _User
    storage_quota: _Quota


class _Shortcut(msgspec.Struct, frozen=True, rename="camel"):
    target_id: str


class _Capabilities(msgspec.Struct, frozen=True, rename="camel"):
    can_add_children: bool = True


class _File(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    mime_type: str
    name: str = ""
    trashed: bool = False
    drive_id: str | None = None
    capabilities: _Capabilities = _Capabilities()
    shortcut_details: _Shortcut | None = None


def area(account: AccountSession) -> str:
    """What is found about the account is about that."""
    return f"account {account.name}"


def check_file(account: AccountSession) -> Iterator[Finding]:
    """The account's token file, which nothing but a volume is asked for; a failure where the rest can't be told."""
    try:
        yield from _check_file(area(account), account.tokens.file)
    except UploadError as error:
        yield _failure(area(account), error)
    except OSError as error:
        what = f"{error.filename}: can't be looked at ({error.strerror})"
        yield fail(area(account), what, MEND["volume_unavailable"])


def check_access(account: AccountSession, endpoint: str | None, moved: Moved) -> Iterator[Finding]:
    """Whether the account can be renewed, and what it may do; stops where the rest can't be told."""
    about = area(account)
    try:
        file = account.tokens.file
        if endpoint is None:
            yield from _check_realm(about, account.tokens.endpoint(file))
        # First, since a wrong clock makes good keys look bad.
        yield from _check_clock(account.tokens.endpoint(file))
        moved()
        token = account.tokens.access_token(Deadline.after(TIME_S))
        moved()
        yield _check_renewal(about, account, token)
        token = account.tokens.access_token(Deadline.after(TIME_S))
        moved()
        yield from _check_drive(about, account, token, endpoint or GOOGLE, moved)
    except UploadError as error:
        yield _failure(about, error)


def _failure(area: str, error: UploadError) -> Finding:
    return fail(area, f"{error.reason}: {error.message}", MEND[error.reason])


def _check_file(area: str, file: TokenFile) -> Iterator[Finding]:
    expiry = file.fields.get("expiry") or file.fields.get("token_expiry")
    is_known = token_file.parse_time(expiry) > 0  # what was mixed up with the token itself is never shown
    yield ok(area, f"{file.path}: {file.kind}{f', access token until {expiry}' if is_known else ''}")
    if file.subject:
        yield ok(area, f"acts for {file.subject}")
    if file.kind != METADATA and _others_can_read(file.path):
        yield warn(area, f"{file.path} can be read by others", f"chmod 600 {file.path}")
    recorded = [str(each) for each in token_file.recorded_scopes(file.fields)]
    scopes = [each.removeprefix(SCOPE) for each in recorded if each.startswith(SCOPE)]
    if scopes:
        yield ok(area, f"scopes: {', '.join(scopes)}")


def _check_realm(area: str, token_endpoint: str) -> Iterator[Finding]:
    """Whether a token that goes to Google is one of Google's, as far as its address tells."""
    url = urlsplit(token_endpoint)
    if is_this_machine(url.hostname or ""):
        what = f"this token is an emulator's, at {url.netloc}, and uploads go to Google Drive"
        yield warn(area, what, f"export {EMULATOR_HOST}={url.netloc}")


def _others_can_read(path: Path) -> bool:
    mode = path.stat().st_mode
    return bool(mode & (stat.S_IRWXG | stat.S_IRWXO)) and not str(path).startswith("/run/secrets")


def _check_renewal(area: str, account: AccountSession, token: str) -> Finding:
    """Renew once, as an hour from now will."""
    deadline = Deadline.after(TIME_S)
    account.tokens.refused(token, deadline)
    try:
        account.tokens.access_token(deadline)
    except CredentialsError as error:
        return fail(area, f"the access token can't be renewed: {error.message}", MEND[error.reason])
    return ok(area, "the access token can be renewed")


def _check_drive(area: str, account: AccountSession, token: str, endpoint: str, moved: Moved) -> Iterator[Finding]:
    """Raises UploadError where Drive's answer is none."""
    about = _ask(_About, endpoint, token, "about", fields="user(emailAddress),storageQuota(limit,usage)")
    yield ok(area, f"Drive answers {about.user.email_address or 'without a name'}")
    yield _check_space(area, about.storage_quota)
    yield from _check_root(area, account, token, endpoint, moved, needs_shared_drive=about.storage_quota.limit == 0)


def _ask(kind: type[T], endpoint: str, token: str, path: str, **query: str) -> T:
    """What Drive answers. Raises UploadError, as the job would, where it is no such thing."""
    url = f"{endpoint}/drive/v3/{path}?{urlencode(query)}"
    with pool(endpoint) as connections:
        transport = Transport(connections, deadline=Deadline.after(TIME_S))
        response, content = transport.request(url, headers={"Authorization": f"Bearer {token}"})
    if response.status >= 300:
        raise translate(response.status, response, content)
    try:
        return msgspec.convert(document(content), kind, strict=False)  # Drive writes numbers as text
    except (msgspec.ValidationError, UnicodeError) as error:
        raise malformed_response() from error


def _check_space(area: str, quota: _Quota) -> Finding:
    if quota.limit is None:
        return ok(area, "storage: no limit")
    limit, left = quota.limit, quota.limit - quota.usage
    shown = f"storage: {decimal(max(0, left))} of {decimal(limit)} left"
    if limit == 0:
        return ok(area, "storage: none of its own, as service accounts have")
    if left <= 0:
        return fail(area, shown, "free some space: Drive refuses uploads")
    return warn(area, shown, "free some space soon") if left < FEW_BYTES else ok(area, shown)


def _check_clock(token_endpoint: str) -> Iterator[Finding]:
    """This machine's clock against the Date of whoever judges signed requests and lifetimes."""
    url = urlsplit(token_endpoint)._replace(path="/", query="").geturl()
    with pool(url) as connections:
        transport = Transport(connections, deadline=Deadline.after(TIME_S), where=f"the token endpoint ({url})")
        response, _ = transport.request(url)
    try:
        skew_s = time.time() - parsedate_to_datetime(response["date"]).timestamp()
    except (KeyError, ValueError):
        return
    shown = f"this clock is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} the token endpoint's"
    if abs(skew_s) > SKEW_FAIL_S:
        yield fail("clock", shown, "set it: tokens are refused")
    elif abs(skew_s) > SKEW_WARN_S:
        yield warn("clock", shown, "set it: tokens are renewed too late or too early")
    else:
        yield ok("clock", "this clock agrees with the token endpoint's")


def _check_root(
    area: str, account: AccountSession, token: str, endpoint: str, moved: Moved, *, needs_shared_drive: bool
) -> Iterator[Finding]:
    root = account.account.root
    try:
        base = _ask_file(endpoint, token, root.base)
        moved()
        if base.shortcut_details:
            base = _ask_file(endpoint, token, base.shortcut_details.target_id)
        why = "is in the bin" if base.trashed else "is no folder" if base.mime_type != FOLDER_MIME_TYPE else None
    except NotFound:
        why = "can't be seen"
    if why:
        mend = "check the id, share the folder with this account, or authorize again with --scope drive"
        yield fail(area, f"drive_root: {root.base} {why}", mend)
        return
    if not base.capabilities.can_add_children:
        yield fail(area, f"drive_root: nothing may be added to {base.name}", "share it with this account to edit")
        return
    if needs_shared_drive and not (root.drive_id or base.drive_id):
        yield fail(
            area,
            "drive_root: is in no shared drive, and this account has no space of its own: Drive refuses uploads",
            "let drive_root be in a shared drive, or name a user as the account's subject",
        )
        return
    moved()
    drive = account.drive.bound(Usage(), Deadline.after(TIME_S))
    sees_all = not account.tokens.sees_only_own_files()
    yield _check_chain(area, root.folders, base.id, drive, account.name, sees_all=sees_all)


def _ask_file(endpoint: str, token: str, file_id: str) -> _File:
    fields = "id,name,mimeType,trashed,driveId,capabilities(canAddChildren),shortcutDetails(targetId)"
    return _ask(_File, endpoint, token, f"files/{file_id}", supportsAllDrives="true", fields=fields)


def _check_chain(
    area: str, names: tuple[str, ...], base: str, drive: Drive, account: str, *, sees_all: bool
) -> Finding:
    parent = base
    for depth, name in enumerate(names, 1):
        shown = "/".join(names[:depth])
        listed = drive.list(LIVE & inside(parent) & named([name]))
        folders = [each for each in listed if each.mime_type == FOLDER_MIME_TYPE and each.name == name]
        if not folders and not sees_all:
            return warn(
                area,
                f"drive_root: {shown} will be made by the first upload, beside any that another program or a person "
                "made: the token's scope (drive.file) doesn't show it",
                f"if there is one, drive-upload authorize --scope drive --account {shlex.quote(account)}",
            )
        if not folders:
            return ok(area, f"drive_root: {shown} will be made by the first upload")
        if len(folders) > 1:
            return warn(
                area, f"drive_root: there are {len(folders)} folders {shown}", "merge them; uploads go to the oldest"
            )
        parent = folders[0].id
    return ok(area, f"drive_root: {'/'.join(names) or base} is there")
