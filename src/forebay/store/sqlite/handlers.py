"""Which function runs which command, and answers which query."""

import sqlite3
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
from forebay.store.sqlite import fifo, log, messages, receive, timers
from forebay.store.sqlite.session import Session

R = TypeVar("R")

Asker = Callable[[sqlite3.Connection, Any], Any]

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
        ChangeRetention: messages.change_retention,
        ChangeDelay: messages.change_delay,
        ForgetDuplicates: fifo.forget_duplicates,
        DropLog: log.drop,
        ExpireLog: log.expire,
        **{query: _asking(ask) for query, ask in QUERIES.items()},
    }
)


def ask(connection: sqlite3.Connection, query: Query[R]) -> R:
    """Answer a query from what a connection sees."""
    return QUERIES[type(query)](connection, query)
