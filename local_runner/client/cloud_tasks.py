"""Cloud Tasks: one HTTP task for each file, named by what it uploads, so that nothing is queued twice.

A task's name can't be taken again while the task waits, nor for some hours after it ran.
Source: Cloud Tasks REST reference v2, `projects.locations.queues.tasks.create`, `HttpRequest`, `OidcToken`.
"""

import base64
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from function.core import retry
from function.core.errors import (
    RETRYABLE_REASONS,
    DeadlineExceeded,
    DriveError,
    SettingsError,
    TransientDriveError,
    UploadError,
)
from function.core.retry import Deadline
from function.credentials.account_credentials import Credentials
from function.credentials.token_answer import parsed
from function.credentials.token_checks import is_word
from function.drive.errors import quotable, retry_after_s
from function.drive.http import Connections, Transport, pool
from function.home.settings import APPLICATION_DEFAULT
from local_runner.client.invoke import Request

GOOGLE = "https://cloudtasks.googleapis.com"

SCOPE = "https://www.googleapis.com/auth/cloud-platform"

QUEUE = re.compile(r"projects/(?P<project>[^/]+)/locations/[^/]+/queues/[^/]+")

TIMEOUT_S = 30.0
"""For one try."""

PATIENCE_S, ATTEMPTS = 60.0, 6
"""For one task. A create may be sent again, for its task has a name."""

AT_ONCE = 8
"""Requests under way; the API takes hundreds a second."""

Outcome = Literal["queued", "already_queued", "failed"]

Authorize = Callable[[], dict[str, str]]
"""Gives the headers that prove who asks. Raises UploadError."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue, and how its tasks call the function."""

    name: str
    """projects/P/locations/L/queues/Q"""
    url: str
    service_account: str
    """Whose OIDC token the tasks carry; the function's URL is its audience."""
    dispatch_deadline_s: int
    """Cloud Tasks waits so long for an answer: longer than the function's own deadline."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What became of one file's task."""

    path: str
    task: str
    outcome: Outcome
    message: str | None = None
    retryable: bool = False


Digest = Callable[[str], str]
"""Gives the SHA-256 of the content of a request's path. Raises UploadError."""


def task_id(task: Mapping[str, Any], digest: str) -> str:
    """The name of a file's task: the digest of its content's and of all that the task is, such as whom it calls."""
    return hashlib.sha256(json.dumps([digest, task], sort_keys=True).encode()).hexdigest()


def nameless_task(queue: Queue, request: Request) -> dict[str, Any]:
    """The task as the API takes it, but for its name."""
    return {
        "dispatchDeadline": f"{queue.dispatch_deadline_s}s",
        "httpRequest": {
            "url": queue.url,
            "httpMethod": "POST",
            "headers": {"Content-Type": "application/json"},
            "body": base64.b64encode(json.dumps(request, sort_keys=True).encode()).decode(),
            "oidcToken": {"serviceAccountEmail": queue.service_account, "audience": queue.url},
        },
    }


def default_credentials() -> Authorize:
    """Application Default Credentials, renewed when they are due, as an account's are. Raises UploadError."""
    credentials = Credentials(
        Path(APPLICATION_DEFAULT),
        refresh_lock=lambda deadline: nullcontext(),
        token_uri_override=None,
        cache_path=None,
        scope=SCOPE,
    )

    def headers() -> dict[str, str]:
        found = {"Authorization": f"Bearer {credentials.access_token(Deadline.after(TIMEOUT_S))}"}
        # Whose quota counts where a person asks. Source: AIP-4110, quota project.
        project = os.environ.get("GOOGLE_CLOUD_QUOTA_PROJECT") or credentials.file.fields.get("quota_project_id")
        return found | ({"X-Goog-User-Project": project} if project and is_word(project) else {})

    headers()
    return headers


def nobody() -> dict[str, str]:
    """No credentials: an emulator wants none, and is not to get any."""
    return {}


def enqueue(
    queue: Queue,
    requests: Sequence[Request],
    endpoint: str,
    authorize: Authorize,
    digest: Digest,
    done: Callable[[], object],
) -> list[Enqueued]:
    """A task for each file; `done` is called after each. Raises SettingsError where the way there is misconfigured."""

    def one(request: Request) -> Enqueued:
        path, name = request["path"], ""
        try:
            task = nameless_task(queue, request)
            name = task_id(task, digest(path))
            task["name"] = f"{queue.name}/tasks/{name}"
            return Enqueued(path, name, _create(connections, f"{endpoint}/v2/{queue.name}/tasks", authorize, task))
        except SettingsError:
            raise
        except UploadError as error:
            # Whatever is wrong with the queue, it is not the file.
            return Enqueued(path, name, "failed", error.message, bool(name) or error.reason in RETRYABLE_REASONS)
        finally:
            done()

    with pool(endpoint) as connections, ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(one, requests))


def _create(connections: Connections, uri: str, authorize: Authorize, task: Mapping[str, Any]) -> Outcome:
    """Make the task. Raises UploadError."""
    body = json.dumps({"task": task})

    def ask() -> Outcome:
        transport = Transport(connections, deadline=Deadline.after(TIMEOUT_S), where="Cloud Tasks")
        try:
            headers = authorize() | {"Content-Type": "application/json"}
            response, content = transport.request(uri, "POST", body, headers)
        except DeadlineExceeded:
            raise TransientDriveError("Cloud Tasks doesn't answer; call again later.", reason="network") from None
        return _outcome(task["name"].rpartition("/")[2], response.status, content, response)

    return retry.call(ask, deadline=Deadline.after(PATIENCE_S), attempts=ATTEMPTS)


def _outcome(name: str, status: int, content: bytes, headers: Mapping[str, str]) -> Outcome:
    """What an answer says of the task. Only Google's own JSON is believed, whatever the status.

    Raises TransientDriveError where the same request can go well, DriveError.
    """
    document = parsed(content)
    error = document.get("error")
    code = error.get("status") if isinstance(error, dict) else None
    if status == 200 and error is None and str(document.get("name")).endswith(f"/tasks/{name}"):
        return "queued"
    if status == 409 and code == "ALREADY_EXISTS":
        return "already_queued"
    if status in (408, 429) or status >= 500:
        raise TransientDriveError(
            f"Cloud Tasks answers {status}; call again later.",
            reason="rate_limited" if status == 429 else "drive_unavailable",
            retry_after_s=retry_after_s(headers),
        )
    if status < 400 or not isinstance(error, dict) or not isinstance(code, str):
        raise DriveError(
            f"Cloud Tasks answers {status} with something that isn't Google's: a proxy or a sign-in page may be on the "
            "way; call again later.",
            reason="network",
        )
    raise DriveError(f"Cloud Tasks answered {status}: {quotable(str(error.get('message') or ''))}.")
