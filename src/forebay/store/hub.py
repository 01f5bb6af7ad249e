"""Who wants to know: listeners to topics and watchers of records. The same for every engine; used on the loop."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from forebay.store.contract import Topic
from forebay.store.records import Kind

T = TypeVar("T")


class Hub:
    """Calls those who wait for a topic, and those who follow a kind of record."""

    def __init__(self) -> None:
        # Inner dicts as ordered sets: a wake-up is removed in constant time, and its place is kept.
        self._listeners: dict[Topic, dict[object, Callable[[], None]]] = {}
        self._watchers: dict[str, list[Callable[[str, Any], None]]] = {}

    @property
    def watched(self) -> tuple[str, ...]:
        """The names of the kinds that someone watches."""
        return tuple(self._watchers)

    def listen(self, topic: Topic, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` whenever `topic` is told, until the returned function is called."""
        ticket = object()
        self._listeners.setdefault(topic, {})[ticket] = wake

        def stop() -> None:
            wakes = self._listeners.get(topic)
            if wakes is not None:
                wakes.pop(ticket, None)
                if not wakes:
                    del self._listeners[topic]

        return stop

    def watch(self, kind: Kind[T], listener: Callable[[str, T | None], None]) -> None:
        """Call `listener` with every change of a record of `kind`."""
        self._watchers.setdefault(kind.name, []).append(listener)

    def tell_changes(self, changes: Iterable[tuple[str, str, object]]) -> None:
        """Tell watchers what was committed."""
        for kind, key, value in changes:
            for listener in self._watchers.get(kind, ()):
                listener(key, value)

    def tell_topics(self, topics: Iterable[Topic]) -> None:
        """Wake those who listen."""
        if not self._listeners:
            return
        for topic in topics:
            wakes = self._listeners.get(topic)
            if wakes:
                for wake in tuple(wakes.values()):
                    wake()

    def tell_all(self) -> None:
        """Wake everyone, because everything has changed."""
        self.tell_topics(tuple(self._listeners))
