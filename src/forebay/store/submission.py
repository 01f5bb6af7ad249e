"""What a store's loop hands to the thread that commits, and how that thread takes it in: what SQL engines share."""

import asyncio
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from forebay.core.errors import Unavailable
from forebay.store.commands import Command
from forebay.store.contract import Topic, Transaction

# One commit takes this much at most, so that its callers do not wait for all the others.
BATCH_COUNT_MAX = 1024
BATCH_BYTES_MAX = 8 * 1024 * 1024


class Submission:
    """Commands of one submit, or a function to run in a transaction; then what became of it."""

    __slots__ = ("commands", "error", "future", "queued_at", "result", "weight", "work")

    def __init__(
        self,
        future: "asyncio.Future[Any] | None",
        commands: Sequence[Command[Any]],
        work: Callable[[Transaction], Any] | None,
        weight: int,
        queued_at: float,
    ) -> None:
        self.future = future
        self.commands = commands
        self.work = work
        self.weight = weight
        self.queued_at = queued_at
        self.result: Any = None
        self.error: BaseException | None = None

    def answer(self) -> None:
        """Tell who waits for it, on the loop."""
        future = self.future
        # A caller that was cancelled no longer waits.
        if future is not None and not future.done():
            if self.error is None:
                future.set_result(self.result)
            else:
                future.set_exception(self.error)


# Stands in an inbox for a call to look up from it.
_POKE = Submission(None, (), None, 0, 0.0)

Deliver = Callable[[Sequence[Submission], Sequence[Topic], Sequence[tuple[str, str, object]]], None]
"""Makes a batch and what it tells known, on the loop."""


class Inbox:
    """What waits for the next commit. `put` and `poke` are the loop's, the rest is the writer's thread's.

    `works_max` functions of `transact` go into one commit.
    """

    def __init__(self, works_max: int = BATCH_COUNT_MAX) -> None:
        self._works_max = works_max
        self._queue: SimpleQueue[Submission | None] = SimpleQueue()
        self.put = self._queue.put
        # Whether nothing comes any more.
        self.is_closed = False

    def poke(self) -> None:
        """Let `take` return soon, with what there is."""
        self._queue.put(_POKE)

    def close(self) -> None:
        """Let nothing be taken that is put later."""
        self._queue.put(None)

    def take(self, *, wait: bool) -> list[Submission]:
        """Return what has arrived, a commit's worth at most, after waiting for it if it shall."""
        queue = self._queue
        batch: list[Submission] = []
        try:
            submission = queue.get(block=wait)
            weight = works = 0
            while submission is not None:
                if submission is _POKE:
                    return batch
                batch.append(submission)
                weight += submission.weight
                works += submission.work is not None
                if len(batch) >= BATCH_COUNT_MAX or weight >= BATCH_BYTES_MAX or works >= self._works_max:
                    return batch
                submission = queue.get_nowait()
        except Empty:
            return batch
        self.is_closed = True
        return batch

    def refuse(self, tell: Callable[[Sequence[Submission]], bool]) -> None:
        """Answer everything that still comes, so that our own bug in a writer is an error and not a silence."""
        while (submission := self._queue.get()) is not None:
            submission.error = Unavailable("the store's writer has failed")
            if not tell((submission,)):
                break
