"""Pollers that follow records: one runs for each record that wants one, and is another when the record changes."""

from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, Protocol, TypeVar

from forebay.background.supervisor import Duty
from forebay.background.worker import Worker
from forebay.store.contract import Store
from forebay.store.records import Kind


class ReadingWorker(Worker, Protocol):
    """A worker that reads something; it is told where it learns that it is to stop."""

    def begin(self, duty: Duty) -> None:
        """Take the duty that this worker runs under."""
        ...


R = TypeVar("R")
W = TypeVar("W", bound=ReadingWorker)


class _Running(NamedTuple, Generic[W]):
    state: Hashable
    worker: W
    duty: Duty


class KeptPollers(Generic[R, W]):
    """Starts and stops pollers as records of a kind come, change and go.

    `state_of` returns what of a record its poller depends on, None where none is to run; `make` makes one.
    """

    def __init__(
        self,
        store: Store,
        kind: Kind[R],
        start_worker: Callable[[Worker], Duty],
        *,
        state_of: Callable[[R], object | None],
        make: Callable[[R], W],
    ) -> None:
        self._store = store
        self._kind = kind
        self._start_worker = start_worker
        self._state_of = state_of
        self._make = make
        self._running: dict[str, _Running[W]] = {}

    async def open(self) -> None:
        """Start the pollers of all records that want one, and follow the records from now on."""
        self._store.watch(self._kind, self._on_change)
        for key, record in await self._store.view(lambda view: view.records.list(self._kind)):
            if key not in self._running:
                self._on_change(key, record)

    def find(self, key: str) -> W | None:
        """Return the poller that runs for a record."""
        running = self._running.get(key)
        return None if running is None else running.worker

    def _on_change(self, key: str, record: R | None) -> None:
        running = self._running.get(key)
        state = None if record is None else self._state_of(record)
        if running is not None:
            if running.state == state:
                return
            running.duty.stop()
            del self._running[key]
        if record is not None and state is not None:
            worker = self._make(record)
            duty = self._start_worker(worker)
            worker.begin(duty)
            self._running[key] = _Running(state, worker, duty)
