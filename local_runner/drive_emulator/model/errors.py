"""Google's error envelope: one exception that carries code, reason and message, and the cases that occur often.

Source: Drive guide, "Resolve errors"; bodies as the reference's section 7 lists them.
"""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """A refusal as Drive words it; the HTTP edge renders it with `body()`.

    `domain` is global or usageLimits; `location_type`/`location` say which parameter or header is meant. `envelope`
    is what newer front ends have around the entry, beside or instead of code and message.
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
        envelope: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.domain = domain
        self.location_type = location_type
        self.location = location
        self.retry_after_s = retry_after_s
        self.envelope = envelope or {}

    def body(self) -> dict[str, Any]:
        """The JSON envelope: `{"error": {"errors": [...], "code": ..., "message": ...}}`."""
        entry = {"domain": self.domain, "reason": self.reason, "message": self.message}
        if self.location_type is not None and self.location is not None:
            entry |= {"locationType": self.location_type, "location": self.location}
        return {"error": {"errors": [entry], "code": self.status, "message": self.message} | self.envelope}


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
    """401 for an unknown or expired access token."""
    return ApiError(
        401,
        "authError",
        "Invalid Credentials",
        location_type="header",
        location="Authorization",
        envelope={"status": "UNAUTHENTICATED"},
    )


def login_required() -> ApiError:
    """401 for a request without an access token. Source: bodies recorded by DataZooDE/duckdb-gdrive, July 2026."""
    return ApiError(
        401,
        "required",
        "Login Required.",
        location_type="header",
        location="Authorization",
        envelope={
            "message": f"Request is missing required authentication credential. {_EXPECTED}",
            "status": "UNAUTHENTICATED",
            "details": [_info("CREDENTIALS_MISSING")],
        },
    )


def unregistered() -> ApiError:
    """403 for reading with neither an access token nor an API key. Source: brekkylab/backlot #223, September 2026."""
    message = (
        "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other"
        " form of API consumer identity to call this API."
    )
    return ApiError(403, "forbidden", message, envelope={"status": "PERMISSION_DENIED"})


def invalid_api_key() -> ApiError:
    """400 for a key that Google doesn't know."""
    return ApiError(
        400,
        "badRequest",
        "API key not valid. Please pass a valid API key.",
        envelope={"status": "INVALID_ARGUMENT", "details": [_info("API_KEY_INVALID")]},
    )


def insufficient_scope() -> ApiError:
    """403 for a token whose scopes don't suffice. Source: as of `login_required`."""
    return ApiError(
        403,
        "insufficientPermissions",
        "Insufficient Permission",
        envelope={
            "message": "Request had insufficient authentication scopes.",
            "status": "PERMISSION_DENIED",
            "details": [_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT")],
        },
    )


_EXPECTED = (
    "Expected OAuth 2 access token, login cookie or other valid authentication credential."
    " See https://developers.google.com/identity/sign-in/web/devconsole-project."
)


def _info(reason: str) -> dict[str, Any]:
    """The detail that newer front ends add to a refusal."""
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": "drive.googleapis.com"},
    }


def not_emulated(what: str) -> ApiError:
    """501: Drive has it, this emulator doesn't; it never guesses."""
    return ApiError(501, "notImplemented", f"The Drive emulator does not do this: {what}.")
