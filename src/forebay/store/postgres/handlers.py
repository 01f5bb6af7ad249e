"""Which function runs which command, and in which order the commands of one commit run.

Commands of concurrent submits have no order that anyone could rely on, so a commit runs them sorted by kind: all sends
in one statement, then all deletes, then the receives. Within a kind, and within one submit, order is kept.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from forebay.store.commands import (
    AppendLog,
    ChangeDelay,
    ChangeRetention,
    ChangeVisibility,
    ClaimTimers,
    Command,
    CountMessages,
    CountTimers,
    DeleteMessages,
    DeleteTimers,
    DropLog,
    ExpireLog,
    ExpireMessages,
    ExtendTimers,
    ForgetDuplicates,
    ListTimers,
    MeasureLog,
    NextTimer,
    PeekMessages,
    PurgeQueue,
    PutTimers,
    Query,
    ReadLog,
    ReceiveMessages,
    SendMessages,
    SettleTimers,
)
from forebay.store.postgres import changes, fifo, log, messages, receive, timers
from forebay.store.postgres.connection import Connection
from forebay.store.postgres.session import Session

R = TypeVar("R")

Handler = Callable[[Session, Sequence[Any]], Sequence[Any]]
Asker = Callable[[Connection, Any], Any]

QUERIES: Mapping[type[Command[Any]], Asker] = {
    PeekMessages: messages.peek,
    ReadLog: log.read,
    MeasureLog: log.measure,
    NextTimer: timers.next_due,
    CountTimers: timers.count,
    ListTimers: timers.list_timers,
}


def _asking(ask: Asker) -> Handler:
    def handle(session: Session, queries: Sequence[Any]) -> Sequence[Any]:
        session.flush()
        return [ask(session.connection, query) for query in queries]

    return handle


def _either(standard: Handler, fifo: Handler) -> Handler:
    """Return a handler that gives commands on FIFO queues to one, all others to the other."""

    def handle(session: Session, commands: Sequence[Any]) -> Sequence[Any]:
        of_fifo = [command for command in commands if command.is_fifo]
        if not of_fifo:
            return standard(session, commands)
        of_standard = [command for command in commands if not command.is_fifo]
        answers = iter(standard(session, of_standard) if of_standard else ())
        fifo_answers = iter(fifo(session, of_fifo))
        return [next(fifo_answers if command.is_fifo else answers) for command in commands]

    return handle


# In the order in which a commit runs them.
HANDLERS: Mapping[type[Command[Any]], Handler] = {
    SendMessages: _either(messages.send, fifo.send),
    AppendLog: log.append,
    ChangeVisibility: messages.change_visibility,
    DeleteMessages: _either(messages.delete, fifo.delete),
    ReceiveMessages: _either(receive.receive, fifo.receive),
    CountMessages: messages.count,
    PutTimers: timers.put,
    ExtendTimers: timers.extend,
    SettleTimers: timers.settle,
    DeleteTimers: timers.delete,
    ClaimTimers: timers.claim,
    PurgeQueue: messages.purge,
    ExpireMessages: messages.expire,
    ChangeRetention: changes.change_retention,
    ChangeDelay: changes.change_delay,
    ForgetDuplicates: fifo.forget_duplicates,
    DropLog: log.drop,
    ExpireLog: log.expire,
    **{query: _asking(ask) for query, ask in QUERIES.items()},
}

_RANKS: Mapping[type[Command[Any]], int] = {command: rank for rank, command in enumerate(HANDLERS)}

# From here on, commands run where they stand: nothing that was submitted earlier runs later, nor the reverse.
_FIRST_IN_PLACE = _RANKS[PutTimers]


class Group:
    """Commands of one type that run together, and where the result of each goes."""

    __slots__ = ("commands", "handler", "slots")

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.commands: list[Command[Any]] = []
        self.slots: list[tuple[list[object], int]] = []

    def run(self, session: Session) -> None:
        """Run the commands and hand out their results."""
        for (results, index), result in zip(self.slots, self.handler(session, self.commands), strict=True):
            results[index] = result


class Plan:
    """Sorts the commands of concurrent submits into groups, which run in the order of their places."""

    def __init__(self) -> None:
        # A place is a round and a rank within it. All that is added from now on comes at or behind `_floor`.
        self._groups: dict[tuple[int, int], Group] = {}
        self._floor = (0, 0)
        self._top = (0, 0)

    def add(self, commands: Sequence[Command[Any]]) -> list[object]:
        """Add a submit's commands; the list that is returned holds their results once the groups have run."""
        results: list[object] = [None] * len(commands)
        place = self._floor
        for index, command in enumerate(commands):
            rank = _RANKS[type(command)]
            if rank >= _FIRST_IN_PLACE:
                place = max(place, self._top)
            place = (place[0], rank) if rank >= place[1] else (place[0] + 1, rank)
            if rank >= _FIRST_IN_PLACE:
                self._floor = place
            self._top = max(self._top, place)
            group = self._groups.get(place)
            if group is None:
                group = self._groups[place] = Group(HANDLERS[type(command)])
            group.commands.append(command)
            group.slots.append((results, index))
        return results

    def groups(self) -> list[Group]:
        """Return the groups in the order in which they run."""
        return [group for _, group in sorted(self._groups.items(), key=lambda item: item[0])]

    def run(self, session: Session) -> None:
        """Lock the queues that are concerned, in the order that all batches keep, and run the groups."""
        groups = self.groups()
        commands = [command for group in groups for command in group.commands]
        lock(session, commands)
        for group in groups:
            group.run(session)


def lock(session: Session, commands: Sequence[Command[Any]]) -> None:
    """Take the locks that commands need."""
    shared: set[int] = set()
    alone: set[int] = set()
    for command in commands:
        queues = messages.queues_of(command)
        is_fifo = getattr(command, "is_fifo", None)
        if is_fifo is not None:
            session.is_fifo.update(dict.fromkeys(queues, bool(is_fifo)))
        for queue in queues:
            (alone if session.is_fifo.get(queue) else shared).add(queue)
        if isinstance(command, PurgeQueue):
            alone.add(command.queue)
    session.lock_queues(shared - alone, alone)


def ask(connection: Connection, query: Query[R]) -> R:
    """Answer a query from what a connection sees."""
    return QUERIES[type(query)](connection, query)
