"""Runs steps in the order of a dependency graph, independent ones at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

# CloudFormation too works on many resources at once; more would only wait for the same store.
PARALLEL_MAX = 8


async def run_graph(graph: Mapping[str, frozenset[str]], step: Callable[[str], Awaitable[bool]]) -> list[str]:
    """Run a step for each name, after those it needs; return the names that failed.

    After a failure nothing further is begun; what runs already is waited for.
    """
    done = {name: asyncio.Event() for name in graph}
    failed: list[str] = []
    room = asyncio.Semaphore(PARALLEL_MAX)

    async def run(name: str) -> None:
        for needed in graph[name]:
            await done[needed].wait()
        async with room:
            if not failed and not await step(name):
                failed.append(name)
        done[name].set()

    async with asyncio.TaskGroup() as group:
        for name in graph:
            group.create_task(run(name), name=f"cloudformation.{name}")
    return failed


async def run_all(graph: Mapping[str, frozenset[str]], step: Callable[[str], Awaitable[bool]]) -> list[str]:
    """Run a step for each name, after those it needs, whose failure leaves out only those that need it.

    Returns the names that failed or were left out.
    """
    done = {name: asyncio.Event() for name in graph}
    failed: set[str] = set()
    room = asyncio.Semaphore(PARALLEL_MAX)

    async def run(name: str) -> None:
        for needed in graph[name]:
            await done[needed].wait()
        if graph[name] & failed:
            failed.add(name)
        else:
            async with room:
                if not await step(name):
                    failed.add(name)
        done[name].set()

    async with asyncio.TaskGroup() as group:
        for name in graph:
            group.create_task(run(name), name=f"cloudformation.{name}")
    return sorted(failed)
