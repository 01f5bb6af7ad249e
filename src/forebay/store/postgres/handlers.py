"""Which function runs which command, and answers which query."""

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
from forebay.store.plan import Handler, Handlers, either
from forebay.store.postgres import changes, fifo, log, messages, receive, timers
from forebay.store.postgres.connection import Connection
from forebay.store.postgres.session import Session

R = TypeVar("R")

Asker = Callable[[Connection, Any], Any]

QUERIES: Mapping[type[Command[Any]], Asker] = {
    PeekMessages: messages.peek,
    ReadLog: log.read,
    MeasureLog: log.measure,
    NextTimer: timers.next_due,
    CountTimers: timers.count,
    ListTimers: timers.list_timers,
}


def _asking(ask: Asker) -> Handler[Session]:
    def handle(session: Session, queries: Sequence[Any]) -> Sequence[Any]:
        session.flush()
        return [ask(session.connection, query) for query in queries]

    return handle


# In the order in which a commit runs them.
HANDLERS: Handlers[Session] = Handlers(
    {
        SendMessages: either(messages.send, fifo.send),
        AppendLog: log.append,
        ChangeVisibility: messages.change_visibility,
        DeleteMessages: either(messages.delete, fifo.delete),
        ReceiveMessages: either(receive.receive, fifo.receive),
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
)


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
