"""Cloud Tasks: one HTTP task for each file, named by what it uploads, so that nothing is queued twice.

A task's name can't be taken again while the task waits, nor for some hours after it ran.
Source: Cloud Tasks REST reference v2, `projects.locations.queues.tasks.create`, `HttpRequest`, `OidcToken`.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
import urllib3

from function.drive.http import Connections
from local_runner.client.invoke import Request

GOOGLE = "https://cloudtasks.googleapis.com"

SCOPE = "https://www.googleapis.com/auth/cloud-platform"

QUEUE = re.compile(r"projects/(?P<project>[^/]+)/locations/[^/]+/queues/[^/]+")

TIMEOUT_S = 30.0

AT_ONCE = 8
"""Requests under way; the API takes hundreds a second."""

RETRIES = urllib3.Retry(
    total=6,
    connect=2,
    allowed_methods=None,
    status_forcelist=(429, 500, 502, 503, 504),
    backoff_factor=0.5,
    backoff_max=20,
    raise_on_status=False,
)
"""A create may be sent again, for its task has a name."""

Outcome = Literal["queued", "already_queued", "failed"]

Authorize = Callable[[], dict[str, str]]
"""Gives the headers that prove who asks."""


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


class CannotEnqueue(click.ClickException):
    """No task can be made; the message says why."""

    exit_code = 75


def task_id(request: Request, file: Path) -> str:
    """The name of a file's task: the digest of its content and of all that the request says. Raises OSError."""
    with open(file, "rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return hashlib.sha256(json.dumps([digest, request], sort_keys=True).encode()).hexdigest()


def task(queue: Queue, request: Request, name: str) -> dict[str, Any]:
    """The task as the API takes it."""
    return {
        "name": f"{queue.name}/tasks/{name}",
        "dispatchDeadline": f"{queue.dispatch_deadline_s}s",
        "httpRequest": {
            "url": queue.url,
            "httpMethod": "POST",
            "headers": {"Content-Type": "application/json"},
            "body": base64.b64encode(json.dumps(request).encode()).decode(),
            "oidcToken": {"serviceAccountEmail": queue.service_account, "audience": queue.url},
        },
    }


def default_credentials() -> Authorize:
    """Application Default Credentials, renewed when they are due. Raises CannotEnqueue."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import Request as Transport

    try:
        credentials, _ = google.auth.default(scopes=[SCOPE])
        transport = Transport()
        credentials.refresh(transport)  # type: ignore[no-untyped-call]
    except GoogleAuthError as error:
        raise CannotEnqueue(
            f"Google doesn't know who asks ({error}); run `gcloud auth application-default login`, or set "
            "GOOGLE_APPLICATION_CREDENTIALS."
        ) from error

    def headers() -> dict[str, str]:
        found: dict[str, str] = {}
        credentials.before_request(transport, "POST", GOOGLE, found)  # type: ignore[no-untyped-call]
        return found

    return headers


def nobody() -> dict[str, str]:
    """No credentials: an emulator wants none, and is not to get any."""
    return {}


def enqueue(
    queue: Queue, files: list[tuple[Request, Path]], endpoint: str, authorize: Authorize, done: Callable[[], object]
) -> list[Enqueued]:
    """A task for each file; `done` is called after each. Raises CannotEnqueue where none could be made at all."""
    connections = Connections()

    def one(request: Request, file: Path) -> Enqueued:
        try:
            return _create(connections, endpoint, authorize, queue, request, task_id(request, file))
        except OSError as error:
            return Enqueued(request["path"], "", "failed", f"can't be read ({error.strerror})")
        finally:
            done()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(one, *zip(*files, strict=True))) if files else []


def _create(
    connections: Connections, endpoint: str, authorize: Authorize, queue: Queue, request: Request, name: str
) -> Enqueued:
    path = request["path"]
    try:
        answer = connections.request(
            "POST",
            f"{endpoint}/v2/{queue.name}/tasks",
            json={"task": task(queue, request, name)},
            headers=authorize(),
            retries=RETRIES,
            timeout=TIMEOUT_S,
        )
    except urllib3.exceptions.HTTPError as error:
        return Enqueued(path, name, "failed", f"Cloud Tasks can't be reached ({type(error).__name__}); try again")
    if answer.status == 200:
        return Enqueued(path, name, "queued")
    if answer.status == 409:
        return Enqueued(path, name, "already_queued")
    return Enqueued(path, name, "failed", f"Cloud Tasks answered {answer.status}: {_said(answer.data)}")


def _said(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "no explanation"
