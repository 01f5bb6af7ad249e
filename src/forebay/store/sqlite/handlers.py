"""Which function runs which command, and answers which query."""

import sqlite3
from collections.abc import Sequence
from typing import Any, TypeVar

from forebay.store.command_table import Asker, Modules, handlers_of, queries_of
from forebay.store.commands import Query
from forebay.store.plan import Handler, Plan
from forebay.store.sqlite import fair, fifo, item_pages, items, log, messages, receive, timers
from forebay.store.sqlite.session import Session

R = TypeVar("R")

_ENGINE = Modules(
    messages=messages,
    receive=receive,
    changes=messages,
    fair=fair,
    fifo=fifo,
    fifo_receive=fifo,
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
    """Run the groups of a plan."""
    for group in plan.groups():
        group.run(session)


HANDLERS = handlers_of(_ENGINE, _asking, run_plan)


def ask(connection: sqlite3.Connection, query: Query[R]) -> R:
    """Answer a query from what a connection sees."""
    return QUERIES[type(query)](connection, query)
