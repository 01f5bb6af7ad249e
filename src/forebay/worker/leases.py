"""Keeps received messages hidden from others for as long as they are worked on."""

import threading
from collections.abc import Iterable
from typing import Any

from forebay.worker.batch_calls import change_visibility
from forebay.worker.message import Message

# Renewed this often within a lease: two attempts may fail before it ends.
_RENEWALS_PER_LEASE = 3


class Leases:
    """The messages at work, and the thread that extends their visibility timeout until each is let go."""

    def __init__(self, client: Any, queue_url: str, seconds: int) -> None:
        self._client = client
        self._queue_url = queue_url
        self._seconds = seconds
        self._held: dict[str, Message] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="forebay-worker-leases", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def stop(self) -> None:
        """Renew no more."""
        self._stopped.set()
        self._thread.join()

    def hold(self, messages: Iterable[Message]) -> None:
        """Renew the leases of messages from now on."""
        with self._lock:
            self._held.update((message.receipt, message) for message in messages)

    def let_go(self, messages: Iterable[Message]) -> None:
        """Renew these leases no more; a renewal that is under way is waited for, so that what follows comes last."""
        with self._lock:
            for message in messages:
                self._held.pop(message.receipt, None)

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds / _RENEWALS_PER_LEASE):
            with self._lock:
                change_visibility(self._client, self._queue_url, list(self._held.values()), self._seconds)
