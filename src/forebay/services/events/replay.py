"""A replay as it is kept: what is put on the bus again, and how far that is."""

from typing import Final

import msgspec

from forebay.api import events as api
from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.services.events.bus import BusAddress
from forebay.services.events.errors import no_replay
from forebay.store.records import Kind, record_key

# The timers by which replays go on: one for each that has not ended.
TIMERS: Final = "events.replay"

_UNDER_WAY = frozenset({"STARTING", "RUNNING"})


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """One replay. Times are seconds since the epoch.

    `position` is that of the last entry of the archive's log that has been replayed, `replayed_until` its event's time.
    `batch` is how many events the next step takes.
    """

    account: str
    region: str
    name: str
    archive: str
    # The archive's own, by which a namesake that was made later is told from it.
    log: str
    bus: str
    from_at: float
    until_at: float
    started_at: float
    state: api.ReplayState = "STARTING"
    reason: str | None = None
    description: str | None = None
    # ARNs of the only rules that get the events; none: all of the bus's.
    rules: tuple[str, ...] = ()
    position: int = 0
    batch: int = 16
    replayed_until: float | None = None
    ended_at: float | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether it goes on replaying."""
        return self.state in _UNDER_WAY

    @property
    def has_ended(self) -> bool:
        """Whether nothing more becomes of it."""
        return not self.is_under_way and self.state != "CANCELLING"

    def key(self) -> str:
        """Return the key of the replay's record, and of its timer."""
        return record_key(self.account, self.region, self.name)

    def address(self) -> BusAddress:
        """Return where the bus is that gets the events."""
        return BusAddress(self.account, self.region, self.bus)

    def arn(self) -> str:
        """Return the replay's ARN."""
        return str(Arn.of("events", self.region, self.account, f"replay/{self.name}"))

    def source_arn(self) -> str:
        """Return the ARN of the archive."""
        return str(Arn.of("events", self.region, self.account, f"archive/{self.archive}"))


REPLAY = Kind("events.replay", Replay)


def find_replay(call: Call, name: str) -> Replay | None:
    """Return a replay of the caller's account and region inside a transaction or view."""
    return call.reader.find(REPLAY, record_key(call.account, call.region, name))


def load_replay(call: Call, name: str) -> Replay:
    """Return a replay inside a transaction or view.

    Raises:
        ResourceNotFoundException: there is no such replay.
    """
    replay = find_replay(call, name)
    if replay is None:
        raise no_replay(name)
    return replay
