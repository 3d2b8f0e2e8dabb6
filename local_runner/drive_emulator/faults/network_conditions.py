"""The settings that make an emulated Drive fast or slow, generous or strict: flags at the start, PATCH at run time."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from ..model.errors import bad_request

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=24 * 3600 * 1000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=100 * 366 * 24 * 3600)]
"""Up to a hundred years: the clock stays within what a date can say."""
Rate = Annotated[float, msgspec.Meta(gt=0, le=1e12)]
Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class Conditions(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the emulated Drive is like now. None means: not limited.

    Times are milliseconds (`_ms`) or seconds (`_s`), rates per minute or per second as named. Google's own figures are
    in `quota.GOOGLE`; by default nothing is limited, so that tests are fast.
    """

    latency_ms: Milliseconds = 0
    """Added to every answer."""
    jitter_ms: Milliseconds = 0
    """Up to so much more, at random."""
    list_lag_s: Seconds = 0
    """A file shows in listings and searches only so long after it was made; by id it is there at once."""
    units_per_minute: Rate | None = None
    """Quota units of all users of a project (OAuth client)."""
    units_per_minute_per_user: Rate | None = None
    requests_per_minute_per_user: Rate | None = None
    writes_per_s: Rate | None = None
    """Sustained creates and edits per account."""
    write_burst: Rate = 30
    """Writes above the sustained rate that are accepted before refusals begin."""
    limit_status: Literal[403, 429] = 403
    """How a rate limit is refused: 403 userRateLimitExceeded or 429 rateLimitExceeded."""
    retry_after: bool = False
    """Whether a rate limit's refusal carries Retry-After."""
    error_rate: Share = 0
    """Share of requests that fail with `error_status`, by the seeded dice."""
    error_status: Literal[500, 502, 503, 504] = 503
    token_life_s: Seconds = 3599
    session_life_s: Seconds = 7 * 24 * 3600
    overlap: Literal["skip", "refuse"] = "skip"
    """Chunk bytes that the session has already: skipped, as the upload service of Cloud Storage documents, or 400."""
    trashed_from_parent: bool = True
    """Whether a file created under a trashed folder says `trashed: true` (the field's definition; it is contested)."""
    max_children: Count = 500_000
    max_depth: Count = 100
    advance_s: Seconds = 0
    """Seconds by which the emulator's clock is ahead; set it higher to let tokens, sessions and minutes run out."""


def changed(conditions: Conditions, changes: dict[str, Any]) -> Conditions:
    """The conditions with some settings replaced; raises ApiError (400) for unknown names and wrong types."""
    try:
        return msgspec.convert({**msgspec.structs.asdict(conditions), **changes}, Conditions)
    except msgspec.ValidationError as error:
        raise bad_request(f"Conditions: {error}") from error
