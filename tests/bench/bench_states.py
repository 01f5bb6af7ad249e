"""What executions cost: state transitions a second, durable, beside single sends to a queue in the same run.

Run: `python -m tests.bench.bench_states`. One process, without the wire, SQLite on disk, 64 callers at once. `passes`
are ten Pass states an execution; `tasks` are five tasks that send to a queue, each its own commit before and after;
`express` are three Pass states by StartSyncExecution, in CPU time beside GetCallerIdentity's.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from forebay.api import sqs as sqs_api
from forebay.api import stepfunctions as api
from forebay.api import sts as sts_api
from forebay.config import Config
from forebay.node import open_node
from forebay.operations.call import Caller
from forebay.operations.table import OperationTable

ACCOUNT, REGION = "000000000000", "us-east-1"
CALLER = Caller(ACCOUNT, REGION, ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "id", "http://127.0.0.1:4566")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/states"
CALLERS = 64
PASSES, TASKS, EXPRESS = 10, 5, 3


def chain(states: list[dict[str, Any]]) -> str:
    """Return a definition of states one after the other."""
    named: dict[str, Any] = {}
    for number, state in enumerate(states):
        following = {"End": True} if number == len(states) - 1 else {"Next": f"S{number + 1}"}
        named[f"S{number}"] = {**state, **following}
    return json.dumps({"StartAt": "S0", "States": named})


async def create(table: OperationTable, name: str, definition: str, type_: api.StateMachineType = "STANDARD") -> str:
    """Make a state machine."""
    request = api.CreateStateMachineInput(name=name, definition=definition, role_arn=ROLE, type=type_)
    answer: Any = await table.run(CALLER, "stepfunctions", "CreateStateMachine", request)
    return answer.state_machine_arn


async def repeat(act: Callable[[], Awaitable[None]], count: int) -> tuple[float, float]:
    """Run something `count` times over all callers; return wall and CPU seconds."""

    async def some() -> None:
        for _ in range(count // CALLERS):
            await act()

    await act()
    started, used = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(some())
    return time.perf_counter() - started, time.process_time() - used


async def measure() -> None:
    """Measure everything and print it."""
    with tempfile.TemporaryDirectory() as folder:
        config = Config(data=Path(folder), port=0, log_level="error", trace_seconds=0)
        async with open_node(config) as node:
            await _measure(node.platform.table)


async def _measure(table: OperationTable) -> None:
    queue: Any = await table.run(CALLER, "sqs", "CreateQueue", sqs_api.CreateQueueRequest(queue_name="q"))
    url = queue.queue_url
    send = sqs_api.SendMessageRequest(queue_url=url, message_body="{}")

    async def send_one() -> None:
        await table.run(CALLER, "sqs", "SendMessage", send)

    sends = 6_400
    wall, cpu = await repeat(send_one, sends)
    _print("sends", sends, wall, cpu)
    passes = await create(table, "passes", chain([{"Type": "Pass"}] * PASSES))
    start = api.StartExecutionInput(state_machine_arn=passes, input="{}")

    async def start_one() -> None:
        await table.run(CALLER, "stepfunctions", "StartExecution", start)

    count = 1_920
    wall, cpu = await repeat(start_one, count)
    _print("passes", count * PASSES, wall, cpu)
    resource = {"Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": {"QueueUrl": url, "MessageBody": "x"}}
    tasks = await create(table, "tasks", chain([{"Type": "Task", "ResultPath": None, **resource}] * TASKS))
    wait_for = api.StartExecutionInput(state_machine_arn=tasks, input="{}")

    async def run_one() -> None:
        answer: Any = await table.run(CALLER, "stepfunctions", "StartExecution", wait_for)
        describe = api.DescribeExecutionInput(execution_arn=answer.execution_arn)
        while True:
            shown: Any = await table.run(CALLER, "stepfunctions", "DescribeExecution", describe)
            if shown.status != "RUNNING":
                assert shown.status == "SUCCEEDED", shown.cause
                return
            await asyncio.sleep(0.2)

    count = 640
    wall, cpu = await repeat(run_one, count)
    _print("tasks", count * TASKS, wall, cpu)
    express = await create(table, "express", chain([{"Type": "Pass"}] * EXPRESS), "EXPRESS")
    sync = api.StartSyncExecutionInput(state_machine_arn=express, input="{}")

    async def sync_one() -> None:
        await table.run(CALLER, "stepfunctions", "StartSyncExecution", sync)

    async def identify() -> None:
        await table.run(CALLER, "sts", "GetCallerIdentity", sts_api.GetCallerIdentityRequest())

    count = 6_400
    wall, cpu = await repeat(sync_one, count)
    _print("express executions", count, wall, cpu)
    wall, cpu = await repeat(identify, count)
    _print("identities", count, wall, cpu)


def _print(name: str, count: int, wall: float, cpu: float) -> None:
    sys.stdout.write(f"{name:<20}{count / wall:10,.0f}/s{cpu / count * 1e6:10.1f} us of CPU each\n")


if __name__ == "__main__":
    asyncio.run(measure())
