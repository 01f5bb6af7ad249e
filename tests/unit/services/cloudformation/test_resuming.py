"""A deployment is interrupted at every single commit, before it and after it, and always comes to the same end."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from forebay.config import Config
from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.outbox import Deliveries
from forebay.delivery.trace import Trace
from forebay.node import CATALOG, _import_service
from forebay.operations.call import Caller
from forebay.operations.platform import Platform
from forebay.operations.table import OperationTable
from forebay.services.cloudformation.engine import Engine
from forebay.services.cloudformation.progress import load_progress
from forebay.services.cloudformation.stack import DEPLOYMENT
from forebay.store.memory import MemoryStore

CALLER = Caller(
    "000000000000", "us-east-1", "test", "arn:aws:iam::000000000000:root", "request", "http://localhost:4566"
)


class Crash(BaseException):
    """The process ends here."""


class CrashingStore:
    """A store whose n-th transaction is the last thing that happens: either just before it, or just after."""

    def __init__(self, inner: MemoryStore) -> None:
        self._inner = inner
        self.crash_at: int | None = None
        self.after = False
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def transact(self, work: Callable[[Any], Any]) -> Any:
        self.count += 1
        if self.crash_at is None or self.count < self.crash_at:
            return await self._inner.transact(work)
        if self.count == self.crash_at and self.after:
            await self._inner.transact(work)
        raise Crash


class Place:
    """A platform without a running node: deployments are driven by hand."""

    def __init__(self) -> None:
        self.store = CrashingStore(MemoryStore())
        clock, ids = Clock(frozen_at=1_800_000_000.0), Ids(7)
        self.table = OperationTable({name: partial(_import_service, path) for name, path in CATALOG.items()})
        trace = Trace(self.store, 0.0)

        async def nobody(_service: str) -> None:
            return None

        deliveries = Deliveries(clock, trace, nobody, nobody)
        self.platform = Platform(
            Config(),
            self.store,
            clock,
            ids,
            trace,
            deliveries,
            self.table,
            lambda _worker: None,
            lambda step: step.close(),
            lambda: "http://localhost:4566",
        )
        self.table.start(self.platform, lambda _service, _parts: None)

    async def run(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        return await self.table.run_params(CALLER, service, operation, params)

    async def drive(self, crash_at: int | None, *, after: bool) -> bool:
        """Drive what runs on the stack to its end, once; return whether the crash came."""
        found = await self.store.view(lambda view: view.records.list(DEPLOYMENT))
        for key, _ in found:
            self.store.count, self.store.crash_at, self.store.after = 0, crash_at, after
            try:
                progress = await load_progress(self.platform, key)
                assert progress is not None
                await Engine(progress).run()
            except* Crash:
                pass
            finally:
                self.store.crash_at = None
        return crash_at is not None and self.store.count >= crash_at

    async def summary(self) -> tuple[str, list[str], list[str]]:
        """Return the stack's status, its resources and the queues that exist."""
        stacks = (await self.run("cloudformation", "ListStacks"))["StackSummaries"]
        listed = await self.run("cloudformation", "ListStackResources", StackName=stacks[0]["StackId"])
        resources = [f"{r['LogicalResourceId']} {r['ResourceStatus']}" for r in listed["StackResourceSummaries"]]
        queues = (await self.run("sqs", "ListQueues")).get("QueueUrls", [])
        names = sorted(url.rpartition("/")[2].rpartition("-")[0] or url.rpartition("/")[2] for url in queues)
        return stacks[0]["StackStatus"], resources, names


def template(**resources: Any) -> str:
    return json.dumps({"Resources": resources})


def queue(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::SQS::Queue", "Properties": properties}


BAD = {
    "Type": "AWS::SQS::QueuePolicy",
    "Properties": {"PolicyDocument": {}, "Queues": ["http://localhost/000000000000/none"]},
    "DependsOn": "B",
}
FIRST = template(A=queue(DelaySeconds=1), B={**queue(QueueName="fixed-b"), "DependsOn": "A"}, C=queue())
SECOND = template(A=queue(DelaySeconds=2), B={**queue(QueueName="moved-b"), "DependsOn": "A"}, D=queue())
BROKEN = template(A=queue(DelaySeconds=2), B={**queue(QueueName="moved-b"), "DependsOn": "A"}, Bad=BAD)


async def create(place: Place) -> None:
    await place.run("cloudformation", "CreateStack", StackName="one", TemplateBody=FIRST)


async def fail_to_create(place: Place) -> None:
    broken = template(A=queue(), B={**queue(QueueName="fixed-b"), "DependsOn": "A"}, Bad=BAD)
    await place.run("cloudformation", "CreateStack", StackName="one", TemplateBody=broken)


async def update(place: Place) -> None:
    await create(place)
    await place.drive(None, after=False)
    await place.run("cloudformation", "UpdateStack", StackName="one", TemplateBody=SECOND)


async def fail_to_update(place: Place) -> None:
    await create(place)
    await place.drive(None, after=False)
    await place.run("cloudformation", "UpdateStack", StackName="one", TemplateBody=BROKEN)


async def delete(place: Place) -> None:
    await create(place)
    await place.drive(None, after=False)
    await place.run("cloudformation", "DeleteStack", StackName="one")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("begin", [create, fail_to_create, update, fail_to_update, delete])
def test_interrupted_deployment_comes_to_the_same_end(
    begin: Callable[[Place], Awaitable[None]], *, after: bool
) -> None:
    async def ending(crash_at: int | None) -> tuple[bool, tuple[str, list[str], list[str]]]:
        place = Place()
        await begin(place)
        crashed = await place.drive(crash_at, after=after)
        if crashed:
            await place.drive(None, after=False)
        return crashed, await place.summary()

    async def all_endings() -> int:
        _, expected = await ending(None)
        crash_at, crashed = 0, True
        while crashed:
            crash_at += 1
            crashed, found = await ending(crash_at)
            assert found == expected, f"after an interruption at commit {crash_at}"
        return crash_at

    assert asyncio.run(all_endings()) > 8
