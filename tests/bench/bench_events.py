"""What PutEvents costs: one entry, matched by one of five rules whose target is a queue.

Run: `python -m tests.bench.bench_events`. Prints microseconds an event, in one process, without the wire, for stores in
memory and on disk (SQLite, 64 callers at once, so that a commit is shared), with and without the trace.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from forebay.api import events as api
from forebay.api import sqs as sqs_api
from forebay.config import Config
from forebay.node import open_node
from forebay.operations.call import Caller
from forebay.operations.table import OperationTable

ACCOUNT, REGION = "000000000000", "us-east-1"
CALLER = Caller(ACCOUNT, REGION, ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "id", "http://127.0.0.1:4566")
KINDS = ("auto", "home", "boat", "life", "pets")
DETAIL = (
    '{"kind": "auto", "claim": "c-1", "amount": 1200.5, "customer": {"id": "c-1", "name": "Ada", "tags": ["gold"]}}'
)
ENTRY = api.PutEventsRequestEntry(source="insurance", detail_type="Claim Filed", detail=DETAIL, event_bus_name="claims")
REQUEST = api.PutEventsRequest(entries=[ENTRY])

CALLERS = 64
ROUNDS = 5_000


@asynccontextmanager
async def open_table(store: str, trace_seconds: float) -> AsyncIterator[OperationTable]:
    with tempfile.TemporaryDirectory() as folder:
        config = Config(
            data=Path(folder), store=store.format(folder), port=0, trace_seconds=trace_seconds, log_level="error"
        )
        async with open_node(config) as node:
            table = node.platform.table
            await set_up(table)
            yield table


async def set_up(table: OperationTable) -> None:
    await table.run(CALLER, "sqs", "CreateQueue", sqs_api.CreateQueueRequest(queue_name="auto"))
    await table.run(CALLER, "events", "CreateEventBus", api.CreateEventBusRequest(name="claims"))
    for kind in KINDS:
        pattern = f'{{"source": ["insurance"], "detail": {{"kind": ["{kind}"]}}}}'
        rule = api.PutRuleRequest(name=kind, event_bus_name="claims", event_pattern=pattern)
        await table.run(CALLER, "events", "PutRule", rule)
    target = api.Target(id="queue", arn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:auto")
    put = api.PutTargetsRequest(rule="auto", event_bus_name="claims", targets=[target])
    await table.run(CALLER, "events", "PutTargets", put)


async def measure(
    store: str, trace_seconds: float, rounds: int = ROUNDS, callers: int = CALLERS
) -> tuple[float, float]:
    """Return the microseconds of one event, and how many of them are CPU time of this process, writer included."""
    async with open_table(store, trace_seconds) as table:
        await _put(table, 100)
        started, used = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(_put(table, rounds // callers))
        count = rounds // callers * callers
        return (time.perf_counter() - started) / count * 1e6, (time.process_time() - used) / count * 1e6


async def _put(table: OperationTable, count: int) -> None:
    for _ in range(count):
        answer: Any = await table.run(CALLER, "events", "PutEvents", REQUEST)
        assert answer.failed_entry_count == 0


def main() -> None:
    for name, store in (("memory", "memory:"), ("sqlite", "sqlite:{}")):
        for trace_seconds in (0.0, 3600.0):
            microseconds, cpu = asyncio.run(measure(store, trace_seconds))
            kind = "traced" if trace_seconds else "untraced"
            sys.stdout.write(f"{name:<8}{kind:<10}{microseconds:8.1f} us{cpu:8.1f} us of CPU\n")


if __name__ == "__main__":
    main()
