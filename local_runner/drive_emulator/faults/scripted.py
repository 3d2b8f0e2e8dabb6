"""Scripted trouble: each fault is a sentence as data, "on the 3rd files.create, lose the answer".

`on` names a method as the record of requests does ("files.create" also means the multipart create and the start of a
resumable one), or "*". `nth` counts matching requests from when the fault was added, `times` how many from there on.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from ..model.errors import ApiError, bad_request
from .network_conditions import Milliseconds

Deed = Literal[
    "status",
    "reset_before",
    "reset_in_body",
    "lose_answer",
    "truncate_answer",
    "shorten_answer",
    "edit_answer",
    "delay",
    "slow_body",
    "expire_token",
    "lose_session",
    "trash_parent",
    "full_storage",
]

REASONS: Mapping[int, tuple[str, str, str]] = {
    400: ("global", "badRequest", "Bad Request"),
    401: ("global", "authError", "Invalid Credentials"),
    403: ("usageLimits", "userRateLimitExceeded", "User rate limit exceeded."),
    404: ("global", "notFound", "File not found: ."),
    409: ("global", "fileIdInUse", "A file already exists with the provided ID."),
    429: ("usageLimits", "rateLimitExceeded", "Rate Limit Exceeded"),
    500: ("global", "internalError", "Internal Error"),
    502: ("global", "backendError", "Bad Gateway"),
    503: ("global", "backendError", "Backend Error"),
    504: ("global", "backendError", "Gateway Timeout"),
}
"""Domain, reason and message of a status that a fault names without a reason."""

MESSAGES: Mapping[str, str] = {
    "backendError": "Backend Error",
    "dailyLimitExceeded": "Daily Limit Exceeded",
    "insufficientFilePermissions": "The user does not have sufficient permissions for this file.",
    "internalError": "Internal Error",
    "rateLimitExceeded": "Rate Limit Exceeded",
    "storageQuotaExceeded": "The user's Drive storage quota has been exceeded.",
    "userRateLimitExceeded": "User rate limit exceeded.",
}
"""What Google says with a reason; a fault may say otherwise."""

LIMIT_REASONS = frozenset(
    {"rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded", "sharingRateLimitExceeded", "quotaExceeded"}
)


HeaderName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]+$")]
HeaderValue = Annotated[str, msgspec.Meta(pattern=r"^[ -~]*$")]


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to happen, and when. Fields that a deed doesn't use are ignored by it."""

    do: Deed
    on: str = "*"
    nth: Annotated[int, msgspec.Meta(ge=1)] = 1
    times: Annotated[int, msgspec.Meta(ge=1)] = 1
    path: str = ""
    """Only requests whose path contains this."""
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 503
    reason: str | None = None
    message: str | None = None
    retry_after: Annotated[float, msgspec.Meta(ge=0)] | HeaderValue | None = None
    """Seconds, or an HTTP date as text."""
    body: str | None = None
    """For status: this text (or HTML) instead of Google's JSON."""
    headers: dict[HeaderName, HeaderValue] = {}
    """For status: headers besides, such as Location or Proxy-Authenticate."""
    done_first: bool = False
    """For status: the request is served first, and only its answer is lost behind this one."""
    set: dict[str, Any] = {}
    """For edit_answer: fields of the JSON answer with their new values, such as incompleteSearch."""
    drop: list[str] = []
    """For edit_answer: fields that the JSON answer lacks: `nextPageToken`, or `files.parents` of each file."""
    content_type: HeaderValue = "application/json; charset=UTF-8"
    after_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    """For reset_in_body: bytes of the request's body received before; for truncate_answer and shorten_answer: bytes of
    the answer sent (0: half)."""
    ms: Milliseconds = 1000
    """For delay and slow_body: how long it takes altogether."""
    seen: int = 0
    """Matching requests so far."""
    done: int = 0
    """How many times it struck."""
    id: int = 0

    @property
    def spent(self) -> bool:
        return self.done >= self.times

    def error(self) -> ApiError:
        """The refusal that a `status` fault makes."""
        domain, reason, message = REASONS.get(self.status, ("global", "backendError", "Backend Error"))
        if self.reason is not None and self.reason != reason:
            domain = "usageLimits" if self.reason in LIMIT_REASONS else "global"
            reason, message = self.reason, MESSAGES.get(self.reason, self.reason)
        return ApiError(self.status, reason, self.message or message, domain=domain)


class Faults:
    """The faults in force. Each request asks once; the first unspent fault that is due strikes."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def add(self, *faults: Mapping[str, Any]) -> None:
        """Put faults in force; raises ApiError (400) for one that can't be understood."""
        try:
            parsed = [msgspec.convert(fault, Fault) for fault in faults]
        except msgspec.ValidationError as error:
            raise bad_request(f"Fault: {error}") from error
        with self._lock:
            for fault in parsed:
                fault.id = next(self._numbers)
            self._faults += parsed

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def due(self, method_id: str, starts: str | None, path: str) -> Fault | None:
        """The fault that strikes this request. Every matching fault counts the request, whichever strikes."""
        if not self._faults:
            return None
        with self._lock:
            struck = None
            for fault in self._faults:
                if fault.on not in {"*", method_id, starts} or fault.path not in path:
                    continue
                fault.seen += 1
                if struck is None and fault.seen >= fault.nth and not fault.spent:
                    fault.done += 1
                    struck = fault
            return struck

    def as_json(self) -> list[dict[str, Any]]:
        with self._lock:
            return [msgspec.structs.asdict(fault) for fault in self._faults]
