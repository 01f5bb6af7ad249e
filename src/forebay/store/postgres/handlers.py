"""Which function runs which command, and answers which query; and the locks that commands take."""

from collections.abc import Sequence
from typing import Any, TypeVar

from forebay.store.command_table import Asker, Modules, handlers_of, queries_of
from forebay.store.commands import Command, PurgeQueue, Query
from forebay.store.items import WriteItems
from forebay.store.plan import Handler, Plan
from forebay.store.postgres import (
    changes,
    fair,
    fifo,
    fifo_receive,
    item_pages,
    items,
    log,
    messages,
    receive,
    timers,
)
from forebay.store.postgres.connection import Fetching
from forebay.store.postgres.session import Session

R = TypeVar("R")

_ENGINE = Modules(
    messages=messages,
    receive=receive,
    changes=changes,
    fair=fair,
    fifo=fifo,
    fifo_receive=fifo_receive,
    log=log,
    timers=timers,
    items=items,
    item_pages=item_pages,
)

QUERIES = queries_of(_ENGINE)


def _asking(ask: Asker) -> Handler[Session]:
    def handle(session: Session, queries: Sequence[Any]) -> Sequence[Any]:
        session.flush()
        return [ask(session.connection, query) for query in queries]

    return handle


def run_plan(session: Session, plan: Plan[Session]) -> None:
    """Lock the queues that are concerned, in the order that all batches keep, and run the groups."""
    groups = plan.groups()
    lock(session, [command for group in groups for command in group.commands])
    for group in groups:
        group.run(session)


HANDLERS = handlers_of(_ENGINE, _asking, run_plan)


def lock(session: Session, commands: Sequence[Command[Any]]) -> None:
    """Take the locks that commands need."""
    shared: set[int] = set()
    alone: set[int] = set()
    # What decisions want to follow is not known yet; it is locked when it is (`run_plan`).
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


def ask(connection: Fetching, query: Query[R]) -> R:
    """Answer a query from what a connection sees."""
    return QUERIES[type(query)](connection, query)
