"""The records that `find` keeps in memory: least recently used ones go first, absent ones are remembered too."""

from collections import OrderedDict
from collections.abc import Iterable

Name = tuple[str, str]


class RecordCache:
    """Values by kind and key. Used on the loop only."""

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._entries: OrderedDict[Name, object] = OrderedDict()
        # Reads under way, and whether a commit has overtaken them.
        self._reads: dict[Name, set[object]] = {}

    def get(self, name: Name, default: object) -> object:
        """Return a value (None where the record is known to be absent), or `default` when nothing is known."""
        value = self._entries.get(name, default)
        if value is not default:
            self._entries.move_to_end(name)
        return value

    def begin(self, name: Name) -> object:
        """Begin to read a record from the database; the ticket goes to `end`."""
        ticket = object()
        self._reads.setdefault(name, set()).add(ticket)
        return ticket

    def end(self, name: Name, ticket: object, value: object) -> None:
        """Keep what was read, unless a commit has changed the record meanwhile."""
        tickets = self._reads.get(name)
        if tickets is None or ticket not in tickets:
            return
        tickets.discard(ticket)
        if not tickets:
            del self._reads[name]
        self._keep(name, value)

    def abandon(self, name: Name, ticket: object) -> None:
        """End a read that failed."""
        tickets = self._reads.get(name)
        if tickets is not None:
            tickets.discard(ticket)
            if not tickets:
                del self._reads[name]

    def update(self, changes: Iterable[tuple[str, str, object]]) -> None:
        """Take over what a commit has changed."""
        for kind, key, value in changes:
            name = (kind, key)
            self._reads.pop(name, None)
            self._keep(name, value)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._reads.clear()

    def _keep(self, name: Name, value: object) -> None:
        self._entries[name] = value
        self._entries.move_to_end(name)
        if len(self._entries) > self._entries_max:
            self._entries.popitem(last=False)
