"""Waiting that ends when a worker is to stop."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from forebay.core.errors import ServiceError

T = TypeVar("T")


async def unless_stopped(stopping: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Return what `work` returns, or None where it had to be cut short because `stopping` was set."""
    if stopping.is_set():
        work.close()
        return None
    failure: ServiceError | None = None
    result: T | None = None
    try:
        async with asyncio.timeout(None) as scope, asyncio.TaskGroup() as group:
            watch = group.create_task(_cut_short(stopping, scope))
            try:
                result = await work
            except ServiceError as error:
                failure = error
            watch.cancel()
    except TimeoutError:
        return None
    if failure is not None:
        raise failure
    return result


async def _cut_short(stopping: asyncio.Event, scope: asyncio.Timeout) -> None:
    await stopping.wait()
    scope.reschedule(0)
