"""Who waits how long for a place: at a rate, or because all places are taken. Pure: the time is handed in."""


class Rate:
    """How many requests may start: a second's worth at once, then one after another."""

    def __init__(self) -> None:
        # The moment at which a destination that takes one request after another would be done with all that started,
        # and with all that were sent away as well.
        self._busy_until = 0.0
        self._queued_until = 0.0

    def wait_seconds(self, per_second: int, now: float) -> float:
        """Take a place now and return 0, or return the seconds until there is one; those who wait get one each."""
        self._busy_until = max(self._busy_until, now - 1.0)
        if self._busy_until + 1.0 / per_second <= now:
            self._busy_until += 1.0 / per_second
            return 0.0
        return self.turn_seconds(per_second, now)

    def turn_seconds(self, per_second: float, now: float) -> float:
        """Return the seconds to wait for whoever is sent away now, so that they come back one after another."""
        self._queued_until = max(self._queued_until, now) + 1.0 / per_second
        return self._queued_until - now


class Places:
    """So many at once for each of several resources: a slow one holds up its own deliveries only."""

    def __init__(self, most: int, seconds_each: float, wait_seconds_max: float) -> None:
        self._most = most
        self._wait_seconds_max = wait_seconds_max
        # How many a second get through where all of them take as long as they may.
        self._slowest = most / seconds_each
        self._taken: dict[str, int] = {}
        self._turns: dict[str, Rate] = {}

    def take(self, resource: str, now: float) -> float:
        """Take a place and return 0, or return the seconds after which to ask again."""
        taken = self._taken.get(resource, 0)
        if taken < self._most:
            self._taken[resource] = taken + 1
            return 0.0
        return min(self._turns.setdefault(resource, Rate()).turn_seconds(self._slowest, now), self._wait_seconds_max)

    def leave(self, resource: str) -> None:
        """Give a place back."""
        self._taken[resource] -= 1
        if not self._taken[resource]:
            del self._taken[resource]
            self._turns.pop(resource, None)
