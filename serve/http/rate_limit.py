"""How many pictures a key (or, without keys, an address) may ask about: moving windows, in memory."""

from __future__ import annotations

import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.requests import HTTPConnection

from serve.errors import BodyTooLarge, ConfigurationError, RateLimited
from serve.http.api_keys import ANYONE, Key

SCOPE_KEY = "ear_teacher.key"


class Rates:
    """Limits by caller. default: for callers whose key has no limit of its own; None = as often as they like."""

    def __init__(self, default: str | None) -> None:
        try:
            self._default = parse(default) if default else None
        except ValueError:
            raise ConfigurationError(f"--rate-limit is {default!r}; give a rate such as 600/minute") from None
        self._limiter: SlidingWindowCounterRateLimiter | None = None
        self._parsed: dict[str, RateLimitItem] = {}

    def count(self, request: HTTPConnection, key: Key) -> None:
        """Count a request, as one picture. Raises RateLimited with the time when it is worth asking again."""
        request.scope[SCOPE_KEY] = key
        self._hit(request, key, 1)

    def count_more(self, request: HTTPConnection, pictures: int) -> None:
        """Count further pictures of a request that was counted as one. Raises RateLimited, and BodyTooLarge for more
        than the limit ever allows at once."""
        if pictures <= 0:
            return
        key: Key = request.scope[SCOPE_KEY]
        limit = self._limit_of(key)
        if limit is not None and pictures + 1 > limit.amount:
            raise BodyTooLarge(
                f"{pictures + 1} pictures in one request; the limit of {key.name!r} is {limit}: send fewer at once"
            )
        self._hit(request, key, pictures)

    def _hit(self, request: HTTPConnection, key: Key, pictures: int) -> None:
        limit = self._limit_of(key)
        if limit is None:
            return
        if self._limiter is None:  # it starts a thread of its own: only where there is something to limit
            self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        address = request.client.host if request.client is not None else "unknown"
        caller = address if key is ANYONE else key.name
        if not self._limiter.hit(limit, caller, cost=pictures):
            again_s = self._limiter.get_window_stats(limit, caller).reset_time - time.time()
            many = f"; the {pictures + 1} pictures of this request count each" if pictures > 1 else ""
            raise RateLimited(f"more than {limit} for {caller!r}{many}", max(0.0, again_s))

    def _limit_of(self, key: Key) -> RateLimitItem | None:
        if key.rate_limit is None:
            return self._default
        if key.rate_limit not in self._parsed:
            self._parsed[key.rate_limit] = parse(key.rate_limit)
        return self._parsed[key.rate_limit]
