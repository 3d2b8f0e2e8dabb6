"""Google's quota: units per minute for project and user, and a slow sustained rate of writes with bursts.

Source: Drive guide "Usage limits", edition of 1 May 2026; the write rate from Google support answer 10445916.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

from ..model.clock import Clock
from ..model.errors import ApiError
from .network_conditions import Conditions

GOOGLE = {
    "units_per_minute": 1_000_000,
    "units_per_minute_per_user": 325_000,
    "writes_per_s": 3.0,
    "write_burst": 30,
}
"""Settings that make the conditions as strict as Google's."""

USER_LIMIT = (
    "User Rate Limit Exceeded. Rate of requests for user exceed configured project quota, you may consider"
    " re-evaluating expected per-user traffic to the API and adjust project quota limits accordingly."
)


@dataclass(slots=True)
class _Bucket:
    """A token bucket: `level` of what is left, refilled with time."""

    level: float
    at_s: float

    def take(self, cost: float, *, per_s: float, most: float, now_s: float) -> float:
        """Take `cost` and return 0, or take nothing and return the seconds until it would be there."""
        self.level = min(most, self.level + (now_s - self.at_s) * per_s)
        self.at_s = now_s
        if self.level >= cost or self.level >= most:
            self.level -= cost
            return 0.0
        return (cost - self.level) / per_s


class Quota:
    """Counts what every user and project spends; refuses by ApiError what is too much. Refused calls cost nothing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._lock = threading.Lock()

    def reset(self) -> None:
        """Everybody starts with full buckets: after the limits changed."""
        with self._lock:
            self._buckets.clear()

    def spend(self, conditions: Conditions, *, user: str, project: str, units: int, write: bool) -> None:
        """Charge one call; raises ApiError 403 or 429 when a limit is reached."""
        minute_limits = (
            ("project", project, units, conditions.units_per_minute),
            ("units", user + project, units, conditions.units_per_minute_per_user),
            ("requests", user + project, 1, conditions.requests_per_minute_per_user),
        )
        for kind, who, cost, per_minute in minute_limits:
            if per_minute is not None and cost:
                self._take(conditions, kind, who, cost, per_s=per_minute / 60, most=per_minute)
        if write and conditions.writes_per_s is not None:
            self._take(conditions, "writes", user, 1, per_s=conditions.writes_per_s, most=conditions.write_burst)

    def _take(self, conditions: Conditions, kind: str, who: str, cost: float, *, per_s: float, most: float) -> None:
        now_s = self._clock.now_s()
        with self._lock:
            bucket = self._buckets.setdefault((kind, who), _Bucket(most, now_s))
            wait_s = bucket.take(cost, per_s=per_s, most=most, now_s=now_s)
        if wait_s:
            raise rate_limited(conditions, wait_s, of_project=kind == "project")


def rate_limited(conditions: Conditions, wait_s: float, *, of_project: bool) -> ApiError:
    """The refusal, with `Retry-After` where the conditions say so."""
    retry_after_s = math.ceil(wait_s) if conditions.retry_after else None
    if conditions.limit_status == 429 or of_project:
        status, reason, message = conditions.limit_status, "rateLimitExceeded", "Rate Limit Exceeded"
    else:
        status, reason, message = 403, "userRateLimitExceeded", USER_LIMIT
    return ApiError(status, reason, message, domain="usageLimits", retry_after_s=retry_after_s)
