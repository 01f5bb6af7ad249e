"""What an event costs on a bus with 10, 1,000 and 10,000 rules, one of which matches and sends it to a queue.

    .venv/bin/python -m tests.bench.bench_rules [--rounds 3]

In one process, without the wire, on SQLite, 64 callers at once; traces are kept as by default. Rounds alternate between
the numbers of rules and the best of each counts, because other work on the machine only slows.
"""

import argparse
import asyncio
import sys
import time
from contextlib import AsyncExitStack

from forebay.api import events as api
from forebay.operations.table import OperationTable
from tests.bench.bench_events import ACCOUNT, CALLER, CALLERS, REGION, _put, open_table

COUNTS = (10, 1_000, 10_000)
EVENTS = 6_400


async def add_rules(table: OperationTable, count: int) -> None:
    """Add rules that name the same source and each another kind."""
    for number in range(count):
        pattern = (
            f'{{"source": ["insurance"], "detail": {{"kind": ["kind-{number}"], "amount": [{{"exists": true}}]}}}}'
        )
        rule = api.PutRuleRequest(name=f"rule-{number}", event_bus_name="claims", event_pattern=pattern)
        await table.run(CALLER, "events", "PutRule", rule)
        target = api.Target(id="queue", arn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:auto")
        put = api.PutTargetsRequest(rule=f"rule-{number}", event_bus_name="claims", targets=[target])
        await table.run(CALLER, "events", "PutTargets", put)


async def cost(table: OperationTable) -> float:
    """Return the microseconds of CPU of one event, the writer's included."""
    used = time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(_put(table, EVENTS // CALLERS))
    return (time.process_time() - used) / EVENTS * 1e6


async def measure(rounds: int) -> dict[int, float]:
    """Return the best cost of an event for each number of rules."""
    best: dict[int, float] = {}
    async with AsyncExitStack() as stack:
        tables: dict[int, OperationTable] = {}
        for count in COUNTS:
            table = tables[count] = await stack.enter_async_context(open_table("sqlite:{}", 3_600.0))
            began = time.perf_counter()
            await add_rules(table, count)
            each = (time.perf_counter() - began) / count * 1e3
            sys.stdout.write(f"{count:>7} rules put with their targets in {each:.2f} ms each\n")
            await _put(table, 100)
        for _ in range(rounds):
            for count, table in tables.items():
                best[count] = min(best.get(count, float("inf")), await cost(table))
    return best


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    best = asyncio.run(measure(parser.parse_args().rounds))
    first = best[COUNTS[0]]
    for count, microseconds in best.items():
        sys.stdout.write(
            f"{count:>7} rules {microseconds:8.1f} us of CPU an event  ({microseconds / first:.2f} times)\n"
        )


if __name__ == "__main__":
    main()
