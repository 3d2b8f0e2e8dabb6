"""Google's error envelope: one exception that carries code, reason and message, and the cases that occur often.

Source: Drive guide, "Resolve errors"; bodies as the reference's section 7 lists them.
"""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """A refusal as Drive words it; the HTTP edge renders it with `body()`.

    `domain` is global or usageLimits; `location_type`/`location` say which parameter or header is meant.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        domain: str = "global",
        location_type: str | None = None,
        location: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.domain = domain
        self.location_type = location_type
        self.location = location
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, Any]:
        """The JSON envelope: `{"error": {"errors": [...], "code": ..., "message": ...}}`."""
        entry = {"domain": self.domain, "reason": self.reason, "message": self.message}
        if self.location_type is not None and self.location is not None:
            entry |= {"locationType": self.location_type, "location": self.location}
        return {"error": {"errors": [entry], "code": self.status, "message": self.message}}


def invalid_parameter(name: str, message: str = "Invalid Value", *, reason: str = "invalid") -> ApiError:
    """400 for a query parameter: `q`, `fields`, `pageToken`, ..."""
    return ApiError(400, reason, message, location_type="parameter", location=name)


def bad_request(message: str, *, reason: str = "badRequest") -> ApiError:
    """400 for a body or header."""
    return ApiError(400, reason, message)


def file_not_found(file_id: str) -> ApiError:
    """404: missing, or not visible to who asks; Drive doesn't tell which."""
    message = f"File not found: {file_id}."
    return ApiError(404, "notFound", message, location_type="parameter", location="fileId")


def unauthorized() -> ApiError:
    """401 for a missing, unknown or expired access token."""
    return ApiError(401, "authError", "Invalid Credentials", location_type="header", location="Authorization")


def not_emulated(what: str) -> ApiError:
    """501: Drive has it, this emulator doesn't; it never guesses."""
    return ApiError(501, "notImplemented", f"The Drive emulator does not do this: {what}.")
