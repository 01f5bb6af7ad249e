"""How much may wait for a commit: what engines share. Used on the loop.

What is past the bounds waits before it is queued, in the order in which it came.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from forebay.core.errors import Unavailable
from forebay.store.commands import AppendLog, Command, PutTimers, SendMessages
from forebay.store.items import WriteItems

PENDING_COUNT_MAX = 8192
PENDING_BYTES_MAX = 64 * 1024 * 1024


class Admission:
    """Counts the submissions that wait for a commit, and about how many bytes they keep in memory."""

    def __init__(self) -> None:
        self._count = 0
        self._bytes = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.is_closed = False

    @property
    def is_open(self) -> bool:
        """Whether a submission can be queued at once."""
        return not self._waiting and self._has_room() and not self.is_closed

    async def wait(self) -> None:
        """Wait until a submission can be queued.

        Raises:
            Unavailable: the store is closed.
        """
        while not self.is_closed and not self._has_room():
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        if self.is_closed:
            raise Unavailable("the store is closed")

    def enter(self, weight: int) -> None:
        """Count a submission that is queued."""
        self._count += 1
        self._bytes += weight

    def leave(self, count: int, weight: int) -> None:
        """Count submissions that are committed, and admit as many of those that wait."""
        self._count -= count
        self._bytes -= weight
        if self._waiting:
            self._admit()

    def _has_room(self) -> bool:
        return self._count < PENDING_COUNT_MAX and self._bytes < PENDING_BYTES_MAX

    def _admit(self) -> None:
        room = PENDING_COUNT_MAX - self._count if self._has_room() else 0
        while self._waiting and room > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                room -= 1


def weigh(commands: Sequence[Command[Any]]) -> int:
    """Return about how many bytes commands keep in memory while they wait."""
    weight = 0
    for command in commands:
        weigher = _WEIGHERS.get(type(command))
        if weigher is not None:
            weight += weigher(command)
    return weight


def _weigh_messages(command: SendMessages) -> int:
    weight = 0
    for message in command.messages:
        weight += len(message.body) + len(message.attributes)
    return weight


def _weigh_entries(command: AppendLog) -> int:
    return sum([len(entry.data) for entry in command.entries])


def _weigh_timers(command: PutTimers) -> int:
    return sum([len(timer.data) for timer in command.timers])


def _weigh_items(command: WriteItems) -> int:
    return command.weight


# All others are small.
_WEIGHERS: Mapping[type[Command[Any]], Callable[[Any], int]] = {
    SendMessages: _weigh_messages,
    AppendLog: _weigh_entries,
    PutTimers: _weigh_timers,
    WriteItems: _weigh_items,
}
