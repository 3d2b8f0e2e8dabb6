"""Each request to Drive as a line of the log, with LOG_LEVEL=DEBUG: what for, how it was answered, how long it took.

Never a header, a body, an id or a query: they hold tokens, session URIs, contents and names.
"""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from function import telemetry

_log = logging.getLogger(__name__)

_COLLECTION = re.compile(r"/drive/v3/(?P<collection>[a-z]+)(/(?P<id>[^/?]+))?")

_VERBS = {"GET": "get", "POST": "create", "PATCH": "update", "DELETE": "delete"}


class Outcome:
    """The status of the answer; 0 until there is one."""

    status = 0


@contextmanager
def told(method: str, uri: str) -> Iterator[Outcome]:
    """Log the request that the block sends."""
    outcome = Outcome()
    if not (_log.isEnabledFor(logging.DEBUG) or telemetry.is_on()):
        yield outcome
        return
    started = time.perf_counter()
    what = purpose(method, uri)
    try:
        with telemetry.span("request", method=method, purpose=what):
            try:
                yield outcome
            finally:
                telemetry.note(status=outcome.status)
    finally:
        answer = str(outcome.status) if outcome.status else "no answer"
        _log.debug("Drive: %s %s %s, %.0f ms", method, what, answer, 1000 * (time.perf_counter() - started))


def purpose(method: str, uri: str) -> str:
    """The method of Drive's API that a request calls, as `files.list`; or the step of a resumable upload."""
    url = urlsplit(uri)
    query = parse_qs(url.query)
    if "upload_id" in query:
        return "upload.send" if method == "PUT" else "upload.cancel"
    found = _COLLECTION.search(url.path)
    if found is None:
        return "token" if method == "POST" else "other"
    if url.path.startswith("/upload/") and query.get("uploadType") == ["resumable"]:
        return "upload.start"
    collection, id_ = found["collection"], found["id"]
    if id_ == "generateIds":
        return "files.generateIds"
    if method == "GET" and id_ is None and collection != "about":
        return f"{collection}.list"
    return f"{collection}.{_VERBS.get(method, method.lower())}"
