"""The function that runs at a URL. What answers there may be anything, so its answer is judged by the contract first.

A file is accounted for if at least one entry tells of its path (of the account that was asked for, else of any) and
nothing that names it is no entry. Each other file gets a failed entry which says that the same call can mend it; so
whoever reads on meets only entries, and one for each file.
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn
from urllib.parse import urlsplit, urlunsplit

import msgspec

from function.core.errors import HTTP_CODE, DeadlineExceeded, SettingsError, UploadError
from function.core.retry import Deadline
from function.core.types import Status
from function.drive.http import Transport, pool
from function.serving.app import refused_entry
from function.serving.payload import BODY_MAX_BYTES
from local_runner.client.invoke import (
    Call,
    CallFailed,
    Entry,
    Known,
    NotTheFunction,
    Progress,
    Reply,
    Request,
    WrongSettings,
    is_plain,
)
from local_runner.client.tally import http_code

SLACK_S = 30.0
"""Beyond the function's own deadline: it answers at most 5 s after it, and a service may have to start first."""

ANSWER_MAX_BYTES = 64 * BODY_MAX_BYTES
"""Of an answer: it repeats each file's metadata for each account."""

SAID_MAX = 300
"""Characters of what is wrong with an answer, at most: it may repeat a stranger's text."""


class _Answer(msgspec.Struct):
    status: Literal["uploaded", "unchanged", "skipped", "failed", "partial"]
    results: list[Any]


class _Told(Known, kw_only=True):
    """An entry as an answer must hold it."""

    path: str | None
    status: Status


@dataclass(frozen=True, slots=True, eq=False)
class _Result:
    """One of an answer's results: an entry, or what is wrong with it; and which file it names, as far as it does."""

    entry: Entry
    path: str | None
    account: str | None
    wrong: str | None


def over_http(url: str, headers: Mapping[str, str], home: Path, deadline_s: float = 300) -> Call:
    """The function that runs at a URL, waited for a little longer than its deadline is believed to be.

    The paths asked for start in `home`. Raises WrongSettings where the way there is misconfigured.
    """
    shown, patience_s = _without_secrets(url), deadline_s + SLACK_S
    address = urlsplit(url)
    uri = urlunsplit(address._replace(path=address.path or "/"))
    try:
        connections = pool(uri)
    except SettingsError as error:
        raise WrongSettings(error.message) from error

    def call(body: bytes, progress: Progress) -> Reply:
        transport = Transport(
            connections,
            deadline=Deadline.after(patience_s),
            where=shown,
            answer_max_bytes=ANSWER_MAX_BYTES,
            silence_max_s=patience_s,
        )
        try:
            response, content = transport.request(uri, "POST", body, {**headers, "Content-Type": "application/json"})
        except DeadlineExceeded:
            raise CallFailed(
                f"{shown}: no answer within {patience_s:g} s, {SLACK_S:g} s more than deadline_s; call again later."
            ) from None
        except UploadError as error:
            raise CallFailed(f"{error.message} Is the function running there?") from None
        asked = json.loads(body)
        return _reply(response.status, content, shown, _Asked(asked.get("files", [asked]), str(home)))

    return call


def _without_secrets(url: str) -> str:
    """The address for messages: user, password and query may be what proves who calls."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _reply(code: int, body: bytes, url: str, asked: "_Asked") -> Reply:
    """The entries that tell of what was asked for, and a failed one for each file that isn't accounted for."""
    what, results = "", []
    try:
        results = [_result(*each) for each in enumerate(msgspec.convert(_loads(body), _Answer).results)]
    except (ValueError, RecursionError) as error:
        if code >= 400:
            _refuse(code, url, error)
        what = _said(error)
    if len(results) == 1 and _is_refusal(results[0]):
        return Reply(code, [results[0].entry], [[] for _ in asked.requests])
    parts = asked.parts(results)
    named = {id(each) for part in parts for each in part}
    told = [each.entry for each in results if each.wrong is None and id(each) in named]
    stray = what or _first_wrong(each for each in results if id(each) not in named)
    failed = [
        _failed(url, _first_wrong(part) or stray or "it says nothing of this file", request)
        for request, part in zip(asked.requests, parts, strict=True)
        if not part or _first_wrong(part)
    ]
    if stray and not failed:  # who knows of which file it was to tell
        failed = [_failed(url, stray, {"path": None})]
    if not (failed or _explains(code, told)):
        what = f"its HTTP status is {code}, and none of its entries says why"
        return Reply(code, [_failed(url, what, each) for each in asked.requests], [[] for _ in asked.requests])
    return Reply(code, told + failed, [[each.entry for each in part if each.wrong is None] for part in parts])


def _explains(code: int, entries: Iterable[Entry]) -> bool:
    """Whether the entries say why an answer has that HTTP status: for good (4xx), for later (5xx), or it is a success.

    One that says both that it failed and that all is done proves nothing of any file.
    """
    return code // 100 == 2 or code // 100 in {http_code(each) // 100 for each in entries}


def _first_wrong(results: Iterable[_Result]) -> str | None:
    return next((each.wrong for each in results if each.wrong), None)


def _refuse(code: int, url: str, error: Exception) -> NoReturn:
    hint = "; a private service wants --header 'Authorization: Bearer …'" if code in (401, 403) else ""
    failure = CallFailed if code >= 500 or code in (408, 429) else NotTheFunction
    raise failure(f"{url} answered {code} without entries: this isn't Drive Upload{hint}.") from error


def _loads(body: bytes) -> Any:
    """The JSON document, as Python reads it: names that aren't UTF-8 stand in it as lone surrogates."""
    try:
        return json.loads(body)
    except ValueError as error:
        raise ValueError("it isn't JSON") from error


def _result(index: int, result: Any) -> _Result:
    wrong = _wrong(result)
    known = result if isinstance(result, dict) else {}
    path, account = (each if isinstance(each, str) else None for each in (known.get("path"), known.get("account")))
    return _Result(known, path, account, f"results[{index}]: {wrong}" if wrong else None)


def _wrong(result: Any) -> str | None:
    """Why it is no entry; None where it is one."""
    if not is_plain(result):
        return "it is nested too deeply, or holds what is no number in JSON"
    try:
        entry = msgspec.convert(result, _Told)
    except (ValueError, RecursionError) as error:
        return _said(error)
    if entry.status is not Status.FAILED or entry.reason in HTTP_CODE:
        return None
    return None if entry.reason and entry.retryable is not None else "it failed without a reason"


def _said(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeError):
        return "it holds what is no text"
    if not isinstance(error, msgspec.ValidationError):
        return str(error)
    what, _, where = str(error).partition(" - at ")
    field = where.strip("`").removeprefix("$").removeprefix(".")
    return f"{field}: {what}"[:SAID_MAX] if field else what[:SAID_MAX]


def _is_refusal(result: _Result) -> bool:
    """Whether it says that the whole request was refused, whatever it asks for."""
    return result.wrong is None and result.path is None and result.entry["status"] == Status.FAILED


def _failed(url: str, what: str, request: Request) -> Entry:
    sentence = f"{url} answered something that is no answer of this service: {what}; call again."
    entry: Entry = msgspec.to_builtins(refused_entry("", UploadError(sentence, reason="network")))
    return entry | request


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for, to be found in an answer."""

    requests: Sequence[Request]
    home: str

    def parts(self, results: Iterable[_Result]) -> list[list[_Result]]:
        """The results that name the file of each request.

        The service tells a path relative to its home, without the links outside data_root. So the paths are compared as
        they are spelled, else by the files that they lead to here, else, if the home is elsewhere, by their ends.
        """
        named = [each for each in results if each.path is not None]
        parts: list[list[_Result]] = [[] for _ in self.requests]
        for of_result, of_request in ((self._spelled, self._spelled), (self._real, self._real), (_end, _ends)):
            if all(parts):
                break
            by_key: dict[str, list[_Result]] = defaultdict(list)
            for each in named:
                for key in of_result(each.path or ""):
                    by_key[key].append(each)
            for index, request in enumerate(self.requests):
                account = request.get("account")
                parts[index] = parts[index] or [
                    each
                    for key in of_request(request["path"])
                    for each in by_key.get(key, ())
                    if account is None or each.account in (None, account)
                ]
        return parts

    def _spelled(self, path: str) -> list[str]:
        return [os.path.normpath(os.path.join(self.home, path))]

    def _real(self, path: str) -> list[str]:
        try:
            return [os.path.realpath(os.path.join(self.home, path))]
        except (OSError, ValueError):  # NUL, lone surrogates
            return []


def _end(path: str) -> list[str]:
    """The path without the `..` that lead from a home to its data_root."""
    parts = [each for each in os.path.normpath(path).split("/") if each not in ("", ".", "..")]
    return ["/".join(parts)] if parts else []


def _ends(path: str) -> list[str]:
    """What an absolute path may be relative to a home that is elsewhere."""
    parts = _end(path)[0].split("/") if os.path.isabs(path) and _end(path) else []
    return ["/".join(parts[at:]) for at in range(len(parts))]
