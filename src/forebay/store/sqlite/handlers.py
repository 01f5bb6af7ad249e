"""Which function runs which command, and answers which query."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from forebay.store.commands import (
    AppendLog,
    CallNoisy,
    ChangeDelay,
    ChangeRetention,
    ChangeVisibility,
    ClaimTimers,
    Command,
    CountGroup,
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
from forebay.store.items import DropIndex, DropItems, GetItems, IndexItems, MeasureItems, ReadItems, WriteItems
from forebay.store.plan import Handler, Handlers, Plan, either
from forebay.store.sqlite import fair, fifo, item_pages, items, log, messages, receive, timers
from forebay.store.sqlite.session import Session

R = TypeVar("R")

Asker = Callable[[sqlite3.Connection, Any], Any]

QUERIES: Mapping[type[Command[Any]], Asker] = {
    PeekMessages: messages.peek,
    CountGroup: messages.count_group,
    ReadLog: log.read,
    MeasureLog: log.measure,
    NextTimer: timers.next_due,
    CountTimers: timers.count,
    ListTimers: timers.list_timers,
    GetItems: item_pages.get,
    ReadItems: item_pages.read,
    MeasureItems: item_pages.measure,
}


def _asking(ask: Asker) -> Handler[Session]:
    def handle(session: Session, queries: Sequence[Any]) -> Sequence[Any]:
        session.flush()
        return [ask(session.connection, query) for query in queries]

    return handle


def _follow(session: Session, sequences: Sequence[Sequence[Command[Any]]]) -> None:
    """Run what writes of items want in the same commit."""
    plan = Plan(HANDLERS)
    for commands in sequences:
        plan.add(commands)
    for group in plan.groups():
        group.run(session)


# In the order in which a commit runs them.
HANDLERS: Handlers[Session] = Handlers(
    {
        WriteItems: items.writing(_follow),
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
        CallNoisy: fair.call_noisy,
        ForgetDuplicates: fifo.forget_duplicates,
        DropLog: log.drop,
        ExpireLog: log.expire,
        IndexItems: items.enter,
        DropIndex: items.drop_index,
        DropItems: items.drop,
        **{query: _asking(ask) for query, ask in QUERIES.items()},
    }
)


def ask(connection: sqlite3.Connection, query: Query[R]) -> R:
    """Answer a query from what a connection sees."""
    return QUERIES[type(query)](connection, query)
