"""Reads of items by key that many callers want at the same time: one trip to the server answers them all.

While one trip is made, what is asked meanwhile is gathered for the next: no timer, and who is alone does not wait.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from forebay.core.errors import Unavailable
from forebay.store.items import GetItems, Item

Answers = Sequence[tuple[Item | None, ...]]

# Items in one trip: they are in memory together.
_KEYS_MAX = 256


class Gathering:
    """Gathers queries. `fetch` answers several, in another thread, and is called once at a time. Used on the loop."""

    def __init__(self, fetch: Callable[[Sequence[GetItems]], "asyncio.Future[Answers]"]) -> None:
        self._fetch = fetch
        self._waiting: list[tuple[GetItems, asyncio.Future[Any]]] = []
        self._is_fetching = False

    def ask(self, query: GetItems) -> Awaitable[tuple[Item | None, ...]]:
        """Answer a query with the next trip."""
        future: asyncio.Future[tuple[Item | None, ...]] = asyncio.get_running_loop().create_future()
        self._waiting.append((query, future))
        if not self._is_fetching:
            self._depart()
        return future

    def _depart(self) -> None:
        keys = count = 0
        for query, _ in self._waiting:
            keys += len(query.keys)
            if count and keys > _KEYS_MAX:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._is_fetching = bool(batch)
        if batch:
            trip = self._fetch([query for query, _ in batch])
            trip.add_done_callback(lambda done: self._arrive([future for _, future in batch], done))

    def _arrive(self, futures: Sequence["asyncio.Future[Any]"], trip: "asyncio.Future[Answers]") -> None:
        error = Unavailable("the store is closed") if trip.cancelled() else trip.exception()
        answers: Sequence[Any] = () if error is not None else trip.result()
        for number, future in enumerate(futures):
            # A caller that was cancelled no longer waits.
            if future.done():
                continue
            if error is None:
                future.set_result(answers[number])
            else:
                future.set_exception(error)
        self._depart()
