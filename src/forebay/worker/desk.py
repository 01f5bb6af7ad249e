"""The messages that a worker has taken and not yet settled: counted, leased, and each settled exactly once."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from forebay.worker.message import Message
from forebay.worker.settings import Report


class Desk:
    """What is at work. All threads of a worker meet here; `tell_busy` is told how many messages there are."""

    def __init__(self, tell_busy: Callable[[int], None]) -> None:
        self._tell_busy = tell_busy
        self._changed = threading.Condition()
        self._held: dict[str, Message] = {}
        self._report = Report()

    @property
    def report(self) -> Report:
        """What became of the messages so far."""
        with self._changed:
            return self._report

    def take(self, messages: Sequence[Message]) -> None:
        """Put messages that were received on the desk."""
        with self._changed:
            self._held.update((message.receipt, message) for message in messages)
            self._count("received", len(messages))

    def settle(self, outcome: str, messages: Sequence[Message]) -> list[Message]:
        """Take messages off the desk as `outcome` (a count of the report); return those that were still on it.

        What is not on it any more was settled otherwise: it was cut off, and whoever worked on it came too late.
        """
        with self._changed:
            settled = [message for message in messages if self._held.pop(message.receipt, None) is not None]
            self._count(outcome, len(settled))
            return settled

    def holds(self, message: Message) -> bool:
        """Return whether a message is on the desk."""
        with self._changed:
            return message.receipt in self._held

    def held(self) -> list[Message]:
        """Return the messages on the desk."""
        with self._changed:
            return list(self._held.values())

    def wait_below(self, count: int, seconds: float | None = None) -> bool:
        """Wait until fewer than `count` messages are on the desk; return whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._held) < count, seconds)

    def _count(self, outcome: str, count: int) -> None:
        self._report = replace(self._report, **{outcome: getattr(self._report, outcome) + count})
        self._tell_busy(len(self._held))
        self._changed.notify_all()
