"""Which function runs which command, and answers which query."""

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
from forebay.store.postgres import changes, fair, fifo, item_pages, items, log, messages, receive, timers
from forebay.store.postgres.connection import Connection
from forebay.store.postgres.session import Session

R = TypeVar("R")

Asker = Callable[[Connection, Any], Any]

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
    groups = plan.groups()
    lock(session, [command for group in groups for command in group.commands])
    for group in groups:
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
        ChangeRetention: changes.change_retention,
        ChangeDelay: changes.change_delay,
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


def lock(session: Session, commands: Sequence[Command[Any]]) -> None:
    """Take the locks that commands need."""
    shared: set[int] = set()
    alone: set[int] = set()
    # What decisions want to follow is not known yet; it is locked when it is (`_follow`).
    following = [each for command in commands if isinstance(command, WriteItems) for each in command.then]
    for command in (*commands, *following):
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
