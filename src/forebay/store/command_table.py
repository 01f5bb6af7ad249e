"""Which function of a SQL engine runs which command, and in which order a commit runs them: the same for all engines.

An engine is a package of modules by kind of data (`messages`, `fifo`, `log` ...) whose functions have these names.
"""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from forebay.store import commands as c
from forebay.store import items as i
from forebay.store.plan import Handler, Handlers, Plan, either

S = TypeVar("S")

Asker = Callable[[Any, Any], Any]
"""Answers a query from what a connection sees."""


class Modules(NamedTuple):
    """An engine's modules, by what their functions are about."""

    messages: ModuleType
    receive: ModuleType
    changes: ModuleType
    fair: ModuleType
    fifo: ModuleType
    fifo_receive: ModuleType
    log: ModuleType
    timers: ModuleType
    items: ModuleType
    item_pages: ModuleType


def queries_of(engine: Modules) -> Mapping[type[c.Command[Any]], Asker]:
    """Return which function answers which query."""
    return {
        c.PeekMessages: engine.messages.peek,
        c.CountGroup: engine.messages.count_group,
        c.ReadLog: engine.log.read,
        c.ReadLogByTime: engine.log.read_by_time,
        c.MeasureLog: engine.log.measure,
        c.NextTimer: engine.timers.next_due,
        c.CountTimers: engine.timers.count,
        c.ListTimers: engine.timers.list_timers,
        i.GetItems: engine.item_pages.get,
        i.ReadItems: engine.item_pages.read,
        i.JoinItems: engine.item_pages.join,
        i.MeasureItems: engine.item_pages.measure,
    }


def handlers_of(
    engine: Modules, asking: Callable[[Asker], Handler[S]], run: Callable[[S, Plan[S]], None]
) -> Handlers[S]:
    """Return which function runs which command, in the order in which a commit runs them.

    `asking` makes a handler of a query's function; `run` runs a plan in a transaction that has begun.
    """

    def follow(session: S, sequences: Sequence[Sequence[c.Command[Any]]]) -> None:
        """Run what writes of items want in the same commit."""
        plan = Plan(handlers)
        for commands in sequences:
            plan.add(commands)
        run(session, plan)

    handlers: Handlers[S] = Handlers(
        {
            i.WriteItems: engine.items.writing(follow),
            c.SendMessages: either(engine.messages.send, engine.fifo.send),
            c.AppendLog: engine.log.append,
            c.ChangeVisibility: engine.messages.change_visibility,
            c.DeleteMessages: either(engine.messages.delete, engine.fifo.delete),
            c.ReceiveMessages: either(engine.receive.receive, engine.fifo_receive.receive),
            c.CountMessages: engine.messages.count,
            c.PutTimers: engine.timers.put,
            c.ExtendTimers: engine.timers.extend,
            c.SettleTimers: engine.timers.settle,
            c.DeleteTimers: engine.timers.delete,
            c.ClaimTimers: engine.timers.claim,
            c.PurgeQueue: engine.messages.purge,
            c.ExpireMessages: engine.messages.expire,
            c.ChangeRetention: engine.changes.change_retention,
            c.ChangeDelay: engine.changes.change_delay,
            c.CallNoisy: engine.fair.call_noisy,
            c.ForgetDuplicates: engine.fifo.forget_duplicates,
            c.DropLog: engine.log.drop,
            c.ExpireLog: engine.log.expire,
            i.IndexItems: engine.items.enter,
            i.DropIndex: engine.items.drop_index,
            i.DropItems: engine.items.drop,
            **{query: asking(ask) for query, ask in queries_of(engine).items()},
        }
    )
    return handlers
