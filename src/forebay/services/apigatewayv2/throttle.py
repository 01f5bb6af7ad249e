"""Throttling of a stage's routes: a token bucket holds as many requests as may come at once, and fills at a rate."""

from forebay.api import apigatewayv2 as api

# What an account may use in a region, where a stage sets only one of the two.
_RATE_DEFAULT = 10_000.0
_BURST_DEFAULT = 5_000


class TokenBucket:
    """Lets `burst` requests pass at once and `rate` a second."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Take a token if there is one."""
        if self._at is not None and now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def bucket_of(stage: api.Stage, route_key: str) -> TokenBucket | None:
    """Return a bucket for a route that has limits of its own or gets the stage's; None where there are none."""
    for settings in ((stage.route_settings or {}).get(route_key), stage.default_route_settings):
        if settings is None:
            continue
        rate, burst = settings.throttling_rate_limit, settings.throttling_burst_limit
        if rate is not None or burst is not None:
            return TokenBucket(_RATE_DEFAULT if rate is None else rate, _BURST_DEFAULT if burst is None else burst)
    return None
