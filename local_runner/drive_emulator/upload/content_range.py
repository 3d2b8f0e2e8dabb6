"""The Content-Range header of a chunk, and what makes one unacceptable."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..content.upload_part import GRANULE_BYTES
from ..model.errors import ApiError, bad_request

_RANGE = re.compile(r"bytes\s+(?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ContentRange:
    """`bytes FIRST-LAST/TOTAL`. `total` None = unknown yet (`*`); `last` None = to the end of a body of unknown length.

    A status query (`bytes */TOTAL`) has `first` -1.
    """

    first: int
    last: int | None
    total: int | None

    def is_last(self, announced: int | None) -> bool:
        """Whether the content ends with this chunk."""
        total = self.total if self.total is not None else announced
        return self.last is None or self.last + 1 == total


def is_status_query(header: str | None) -> bool:
    """Whether the header asks where the session is: `bytes */TOTAL`."""
    return header is not None and re.match(r"bytes\s+\*/", header) is not None


def parse(header: str | None) -> ContentRange | None:
    """The header as numbers; None when absent, 400 when malformed or its first byte lies behind its last."""
    if header is None:
        return None
    found = _RANGE.fullmatch(header.strip())
    if found is None:
        raise _unparsable()
    total = None if found[3] == "*" else int(found[3])
    if found[1] is None:
        return ContentRange(-1, None, total)
    first, last = int(found[1]), int(found[2])
    if first > last or (total is not None and last >= total):
        raise _unparsable()
    return ContentRange(first, last, total)


def check(span: ContentRange, length: int | None, announced: int | None) -> None:
    """400 for a chunk that contradicts the body's length, the announced total, or the rule of 256 KiB.

    Sources: googleapis/google-api-python-client #990; more than announced: unverified, the reference says 400.
    """
    if span.last is None:
        return
    if length is not None and length != span.last - span.first + 1:
        raise bad_request("The Content-Range header doesn't match the length of the body.")
    if announced is not None and (span.last >= announced or span.total not in {None, announced}):
        raise bad_request("The Content-Range header contradicts the announced X-Upload-Content-Length.")
    if not span.is_last(announced) and (span.last + 1 - span.first) % GRANULE_BYTES:
        raise bad_request(f"The size of a chunk that isn't the last must be a multiple of {GRANULE_BYTES} bytes.")


def _unparsable() -> ApiError:
    return bad_request("Failed to parse Content-Range header.")
