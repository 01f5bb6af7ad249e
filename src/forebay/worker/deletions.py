"""Deletes messages whose work is done; those that finish while one call runs are the next call's."""

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from forebay.worker.batch_calls import delete
from forebay.worker.message import Message

Settle = Callable[[Sequence[Message], Sequence[Message]], None]


class Deletions:
    """One thread that deletes; `settle(deleted, failed)` is called for each call's messages."""

    def __init__(self, client: Any, queue_url: str, settle: Settle) -> None:
        self._client = client
        self._queue_url = queue_url
        self._settle = settle
        self._done: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="forebay-worker-deletions", daemon=True)

    def start(self) -> None:
        """Begin to delete."""
        self._thread.start()

    def add(self, message: Message) -> None:
        """Delete a message soon."""
        self._done.put(message)

    def stop(self) -> None:
        """Return when all that was added has been deleted, or has failed."""
        self._done.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_last = False
        while not is_last:
            waiting = [self._done.get()]
            while not self._done.empty():
                waiting.append(self._done.get())
            is_last = None in waiting
            messages = [message for message in waiting if message is not None]
            if messages:
                failed = delete(self._client, self._queue_url, messages)
                self._settle([message for message in messages if message not in failed], failed)
