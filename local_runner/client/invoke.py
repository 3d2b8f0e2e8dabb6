"""Calling the function with many files: in batches, until each file has its entry. over_http.py calls it elsewhere.

The payload and its answer are the same there and in this process: here the job gets them from the caller's hands, since
Flask and functions-framework, which would only carry them, take as long to import as a request to Drive.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import click
import msgspec

from function import telemetry
from function.core.errors import SettingsError, UploadError
from function.serving.app import current
from function.serving.payload import BATCH_MAX_FILES, BODY_MAX_BYTES

BODY_BYTES = BODY_MAX_BYTES - 64 * 1024
"""Bytes of a batch's files, with room for what is around them."""

FRUITLESS_MAX = 2
"""Calls for files that ran out of time without any of them getting on, before leaving them for later."""

_OPTION = re.compile(r"(?:files\[\d+\]\.)?(account|if_exists|metadata)\b")
"""How a refusal begins that is about an option."""

Progress = Callable[[str, int, int], None]
"""Told a path, the bytes of it that were sent, and its bytes in all."""

Request = dict[str, Any]
Entry = dict[str, Any]

DEPTH_MAX = 70
"""Deeper metadata are read as none: the job takes no payload that is nested more than 64 levels deep."""

_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, lt=1e12)]


class Known(msgspec.Struct):
    """The fields that are read, and what each may be."""

    time: str | None = None
    invocation_id: str | None = None
    account: str | None = None
    path: str | None = None
    destination: str | None = None
    status: str | None = None
    reason: str | None = None
    message: str | None = None
    retryable: bool | None = None
    attempt: _Count | None = None
    file_id: str | None = None
    link: str | None = None
    size: _Count | None = None
    sha256: str | None = None
    md5: str | None = None
    duration_s: _Seconds | None = None
    requests: _Count | None = None
    units: _Count | None = None
    metadata: dict[str, Any] | None = None
    if_exists: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """HTTP code and entries of an answer."""

    code: int
    results: list[Entry]
    parts: Sequence[Sequence[Entry]] | None = None
    """The entries that tell of each request; None where they come in the order of the requests, as many for each."""

    def of_each(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Sequence[Entry]]]:
        """Each request with the entries that tell of it."""
        accounts = len(self.results) // len(requests)
        parts = self.parts or [self.results[at * accounts : (at + 1) * accounts] for at in range(len(requests))]
        return zip(requests, parts, strict=True)


Call = Callable[[bytes, Progress], Reply]
"""Sends a payload to the function. Raises CallFailed."""


class CallFailed(click.ClickException):
    """The function can't be asked now."""

    exit_code = 75


class WrongSettings(CallFailed):
    """The settings are missing or wrong; the message names the file and the key."""

    exit_code = 78


class NotTheFunction(CallFailed):
    """Something else answers there."""

    exit_code = 65


def in_process() -> Call:
    """The function in this process: what its HTTP entry does with a body, by the settings as they are at each call."""
    telemetry.log_to_stderr()

    def call(body: bytes, progress: Progress) -> Reply:
        try:
            answer = current().handle(body, {}, progress)
        except SettingsError as error:
            raise WrongSettings(error.message) from error
        except UploadError as error:
            raise CallFailed(error.message) from error
        return Reply(answer.code, answer.document()["results"])

    return call


def encode(requests: Sequence[Request]) -> bytes:
    r"""The payload for one file or many. Names that aren't UTF-8 are written as the escapes \udc80 to \udcff."""
    return json.dumps(requests[0] if len(requests) == 1 else {"files": requests}).encode()


def batches(requests: Iterable[Request]) -> Iterator[list[Request]]:
    """The requests in parts that the function accepts: up to 1000 files, and no more bytes than a body may have."""
    part: list[Request] = []
    size = 0
    for request in requests:
        more = len(json.dumps(request)) + 2
        if part and (len(part) == BATCH_MAX_FILES or size + more > BODY_BYTES):
            yield part
            part, size = [], 0
        part.append(request)
        size += more
    if part:
        yield part


@dataclass(slots=True)
class _Watched:
    """Whether uploads got on, as far as the progress tells."""

    tell: Progress
    furthest: dict[str, int] = field(default_factory=dict)
    moved: bool = False

    def __call__(self, path: str, sent: int, size: int) -> None:
        if sent > self.furthest.get(path, 0):
            self.furthest[path] = sent
            self.moved = True
        self.tell(path, sent, size)


def upload_all(
    call: Call, requests: Iterable[Request], progress: Progress, is_stopped: Callable[[], bool]
) -> Iterator[Entry]:
    """Every file's entries, as they come. Files that ran out of the function's time are called again while they get on.

    Raises CallFailed.
    """
    for part in batches(requests):
        if is_stopped():
            return
        yield from _upload_part(call, part, _Watched(progress), is_stopped)


def _upload_part(
    call: Call, requests: list[Request], progress: _Watched, is_stopped: Callable[[], bool]
) -> Iterator[Entry]:
    fruitless = 0
    while True:
        progress.moved = False
        reply = call(encode(requests), progress)
        if reply.code == 400 and len(requests) > 1 and _is_about_all(reply, requests):
            yield from ({**reply.results[0], "path": each["path"]} for each in requests)
            return
        if reply.code == 400 and len(requests) > 1:  # one of them makes the whole unacceptable
            middle = len(requests) // 2
            yield from _upload_part(call, requests[:middle], progress, is_stopped)
            yield from _upload_part(call, requests[middle:], progress, is_stopped)
            return
        late = [each for each in reply.results if _is_late(each)]
        yield from (each for each in reply.results if not _is_late(each))
        uploads = _uploads(requests, reply)
        again = [request for request, is_late in uploads if is_late]
        fruitless = 0 if progress.moved or len(again) < len(uploads) else fruitless + 1
        if not again or is_stopped() or fruitless > FRUITLESS_MAX:
            yield from late
            return
        requests = again


def _is_about_all(reply: Reply, requests: Sequence[Request]) -> bool:
    """Whether a refusal of the whole names an option that all files share, so that each alone would be refused, too."""
    found = _OPTION.match(str(reply.results[0].get("message"))) if reply.results else None
    return found is not None and all(each.get(found[1]) == requests[0].get(found[1]) for each in requests)


def _is_late(entry: Entry) -> bool:
    """Whether its file ran out of time at an account; a request that was refused as a whole has none."""
    return entry.get("reason") == "deadline_exceeded" and isinstance(entry.get("account"), str)


def _uploads(requests: Sequence[Request], reply: Reply) -> list[tuple[Request, bool]]:
    """What was asked for, for each account by itself, and whether it ran out of time.

    One account's entries are one upload however many they are, so that calls which go on while some end do end.
    """
    found: dict[tuple[int, str | None], tuple[Request, bool]] = {}
    for index, (request, entries) in enumerate(reply.of_each(requests)):
        for entry in entries:
            account = entry.get("account") or request.get("account")
            _, was_late = found.get((index, account), (request, False))
            found[index, account] = {**request, "account": account}, was_late or _is_late(entry)
    return list(found.values())


def is_plain(value: Any) -> bool:
    """Whether any program can read it again: not nested too deeply, no number that JSON doesn't have."""
    left = [(value, 0)]
    while left:
        each, depth = left.pop()
        if depth > DEPTH_MAX or (isinstance(each, float) and not math.isfinite(each)):
            return False
        if isinstance(each, dict):
            left += [(inner, depth + 1) for inner in each.values()]
        elif isinstance(each, list):
            left += [(inner, depth + 1) for inner in each]
    return True
