"""Receiving, and waiting for messages to arrive: first come, first served at each queue.

Whoever finds a queue empty stands in its line. A commit that puts messages on the queue calls the first in line who
has not been called yet; whoever then gets as much as it asked for calls two more, so a large batch is handed out
quickly while nobody is called for nothing. The first in line also watches the clock, for the moment at which a hidden
or delayed message becomes visible.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from forebay.core.clock import Clock
from forebay.services.sqs import limits
from forebay.store.commands import (
    ChangeVisibility,
    Receipt,
    Received,
    ReceivedMessage,
    ReceiveMessages,
    VisibilityChange,
)
from forebay.store.contract import Store

Prepare = Callable[[], Awaitable[ReceiveMessages]]
"""Return the command of one attempt, with the queue's settings and the time as they are now; raises if it is gone."""

_NOTHING = Received(())


class _Waiter:
    """One receiver in a line."""

    __slots__ = ("awake", "is_called", "is_idle")

    def __init__(self) -> None:
        self.awake = asyncio.Event()
        # Called to look again, and not yet looking.
        self.is_called = False
        self.is_idle = False


class _Line:
    """The receivers that wait at one queue, in order of arrival."""

    def __init__(self) -> None:
        self.waiters: dict[_Waiter, None] = {}
        # Those who are not looking right now; a newcomer stands behind them.
        self.standing_count = 0
        self.next_visible_at_ms: int | None = None
        self.unlisten: Callable[[], None] = _do_nothing

    @property
    def first(self) -> _Waiter | None:
        return next(iter(self.waiters), None)

    def call(self, count: int = 1) -> None:
        """Let the first `count` who have not been called look (again)."""
        for waiter in self.waiters:
            if count <= 0:
                return
            if not waiter.is_called:
                waiter.is_called = True
                waiter.awake.set()
                count -= 1

    def call_one(self) -> None:
        self.call(1)

    def stand(self, waiter: _Waiter) -> None:
        if not waiter.is_idle:
            waiter.is_idle = True
            self.standing_count += 1

    def step_up(self, waiter: _Waiter) -> None:
        waiter.is_called = False
        if waiter.is_idle:
            waiter.is_idle = False
            self.standing_count -= 1


class WaitingRoom:
    """Receives messages, waiting for them where the caller wants to."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lines: dict[int, _Line] = {}
        self._is_draining = False

    def drain(self) -> None:
        """Answer everyone who waits, with nothing: the node is about to stop."""
        self._is_draining = True
        for line in self._lines.values():
            for waiter in line.waiters:
                waiter.awake.set()

    async def receive(self, queue: int, prepare: Prepare, wait_seconds: float) -> Received:
        """Return what a queue has, waiting up to `wait_seconds` for the first message.

        A caller that is cancelled takes nothing with it: it is never called again, and what a receive that was under
        way still got is made visible again at once.
        """
        line = self._lines.get(queue)
        if line is None or line.standing_count == 0 or wait_seconds <= 0:
            received = await self._attempt(await prepare())
            if received.messages or received.is_over_limit or wait_seconds <= 0:
                return received
        if self._is_draining:
            return _NOTHING
        return await self._wait(queue, prepare, self._clock.now() + wait_seconds)

    def waiting_count(self, queue: int) -> int:
        """Return how many receivers stand in a queue's line."""
        line = self._lines.get(queue)
        return 0 if line is None else len(line.waiters)

    async def _wait(self, queue: int, prepare: Prepare, deadline: float) -> Received:
        line = self._lines.get(queue) or self._open_line(queue)
        if len(line.waiters) >= limits.WAITERS_MAX:
            return _NOTHING
        waiter = _Waiter()
        if line.standing_count == 0:
            # Nobody is ahead: look once more, for what came between the first look and this moment.
            waiter.is_called = True
            waiter.awake.set()
        line.waiters[waiter] = None
        line.stand(waiter)
        try:
            return await self._wait_in(line, waiter, prepare, deadline)
        finally:
            self._leave(queue, line, waiter)

    async def _wait_in(self, line: _Line, waiter: _Waiter, prepare: Prepare, deadline: float) -> Received:
        while True:
            now = self._clock.now()
            look_at = self._look_at(line, waiter, now, deadline)
            await self._clock.wait(waiter.awake, look_at - now)
            waiter.awake.clear()
            now = self._clock.now()
            if self._is_draining and not waiter.is_called:
                return _NOTHING
            if not waiter.is_called and now < look_at:
                # The one ahead has left, and this one watches the clock now.
                continue
            if now >= deadline and not waiter.is_called:
                return _NOTHING
            line.step_up(waiter)
            command = await prepare()
            received = await self._attempt(command)
            if received.messages or received.is_over_limit:
                if len(received.messages) >= command.limit:
                    line.call(2)
                return received
            # A moment that is not ahead would make the first in line look without end.
            ahead_ms = received.next_visible_at_ms
            line.next_visible_at_ms = ahead_ms if ahead_ms is not None and ahead_ms > command.now_ms else None
            line.stand(waiter)

    def _look_at(self, line: _Line, waiter: _Waiter, now: float, deadline: float) -> float:
        """Return when a waiter looks without being called."""
        if line.first is not waiter:
            return deadline
        look_at = min(deadline, now + limits.LOOK_SECONDS)
        if line.next_visible_at_ms is not None:
            look_at = min(look_at, max(line.next_visible_at_ms / 1000, now))
        return look_at

    async def _attempt(self, command: ReceiveMessages) -> Received:
        # The command may commit although the caller is cancelled, so its result must stay within reach.
        submitted = asyncio.ensure_future(self._store.submit((command,)))  # noqa: TID251 it begins no work of its own
        try:
            (received,) = await asyncio.shield(submitted)
        except asyncio.CancelledError:
            await self._give_back(command, submitted)
            raise
        return cast("Received", received)

    async def _give_back(self, command: ReceiveMessages, submitted: "asyncio.Future[Sequence[object]]") -> None:
        """Make visible what was received for a caller that has gone."""
        (received,) = cast("tuple[Received]", await submitted)
        if received.messages:
            now_ms = int(self._clock.now() * 1000)
            changes = tuple(_visible_again(message, now_ms) for message in received.messages)
            await self._store.submit((ChangeVisibility(command.queue, now_ms, changes, command.is_fifo),))

    def _open_line(self, queue: int) -> _Line:
        line = self._lines[queue] = _Line()
        line.unlisten = self._store.listen(("queue", queue), line.call_one)
        return line

    def _leave(self, queue: int, line: _Line, waiter: _Waiter) -> None:
        was_first = line.first is waiter
        was_called = waiter.is_called
        line.step_up(waiter)
        del line.waiters[waiter]
        if not line.waiters:
            line.unlisten()
            del self._lines[queue]
            return
        if was_called:
            # It leaves without having looked: the call goes to the next.
            line.call(1)
        if was_first and line.first is not None:
            line.first.awake.set()


def _visible_again(message: ReceivedMessage, now_ms: int) -> VisibilityChange:
    return VisibilityChange(Receipt(message.position, message.receive_count), now_ms)


def _do_nothing() -> None:
    """Stand in for the end of a listening that has not begun."""
