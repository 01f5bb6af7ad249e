"""API destinations that are slow, on the store in memory, with a client that answers when it is told to."""

import asyncio
from pathlib import Path

import pytest

from forebay.api import events as api
from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.contract import Deferred, Delivered, Delivery, Rejected, Retry, RetryPolicy
from forebay.operations.secret_box import SecretBox
from forebay.services.events import limits
from forebay.services.events.api_destination import API_DESTINATION, ApiDestination
from forebay.services.events.api_destination_target import ApiDestinationTarget
from forebay.services.events.authorizer import Tokens
from forebay.services.events.connection import CONNECTION, Connection
from forebay.services.events.http_client import NoAnswer
from forebay.services.events.invocation import HttpAnswer
from forebay.store.memory import MemoryStore

ACCOUNT, REGION = "111122223333", "us-east-1"


class SlowClient:
    """Answers all requests when `go` is set, and none that come while `is_dead`."""

    def __init__(self):
        self.go = asyncio.Event()
        self.asked = []
        self.is_dead = False

    async def send(self, request):
        self.asked.append(request)
        await self.go.wait()
        if self.is_dead:
            raise NoAnswer("gone")
        return HttpAnswer(200, {}, b"")


class Bench:
    def __init__(self):
        self.store, self.clock, self.client = MemoryStore(), Clock(1_000.0), SlowClient()
        box = SecretBox(self.store, Ids(seed=1), Path("never-made.key"))
        tokens = Tokens(self.clock, self.client)
        self.target = ApiDestinationTarget(self.store, self.clock, self.client, tokens, box)
        parameters = api.CreateConnectionAuthRequestParameters(
            basic_auth_parameters=api.CreateConnectionBasicAuthRequestParameters(username="u", password="p")
        )
        place = {"account": ACCOUNT, "region": REGION, "created_at": 0.0, "modified_at": 0.0}
        self.connection = Connection(
            name="c", unique="1", secret="s", type="BASIC", state="AUTHORIZED", parameters=parameters, **place
        )
        self.destination = ApiDestination(
            name="d", unique="2", connection=self.connection.arn(), endpoint="http://there/", method="POST",
            rate=1_000, **place,
        )  # fmt: skip

    async def put(self, kind, record):
        await self.store.transact(lambda transaction: transaction.records.put(kind, record.key(), record))

    async def prepare(self):
        await self.put(CONNECTION, self.connection)
        await self.put(API_DESTINATION, self.destination)

    def delivery(self, arn=None):
        source = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/r"
        return Delivery("id", source, arn or self.destination.arn(), "{}", 1_000.0, RetryPolicy(3, 60))


def run(scenario):
    return asyncio.run(scenario())


def test_slow_destination_holds_up_to_its_share_of_requests():
    async def scenario():
        bench = Bench()
        await bench.prepare()
        async with asyncio.TaskGroup() as group:
            held = [
                group.create_task(bench.target.deliver(bench.delivery()))
                for _ in range(limits.INVOCATIONS_IN_FLIGHT_MAX)
            ]
            while len(bench.client.asked) < len(held):
                await asyncio.sleep(0)
            away = await bench.target.deliver(bench.delivery())
            bench.client.go.set()
        assert isinstance(away, Retry)
        assert away.counts is False
        assert 0.0 < away.after_seconds <= limits.BUSY_SECONDS_MAX
        assert all(isinstance(task.result(), Delivered) for task in held)
        # There is room again.
        assert isinstance(await bench.target.deliver(bench.delivery()), Delivered)

    run(scenario)


def test_server_that_is_gone_is_tried_again_and_frees_its_place():
    async def scenario():
        bench = Bench()
        await bench.prepare()
        bench.client.is_dead = True
        bench.client.go.set()
        for _ in range(limits.INVOCATIONS_IN_FLIGHT_MAX + 1):
            outcome = await bench.target.deliver(bench.delivery())
            assert isinstance(outcome, Retry)
            assert outcome.counts is True
            assert outcome.message == "Unable to invoke ApiDestination endpoint: gone"

    run(scenario)


def test_destination_that_is_not_there_or_another_of_its_name_is_rejected():
    async def scenario():
        bench = Bench()
        assert isinstance(await bench.target.accept(bench.delivery()), Rejected)
        await bench.prepare()
        assert isinstance(await bench.target.accept(bench.delivery()), Deferred)
        other = bench.destination.arn()[:-1] + "3"
        assert isinstance(await bench.target.accept(bench.delivery(other)), Rejected)
        assert isinstance(await bench.target.deliver(bench.delivery(other)), Rejected)

    run(scenario)


@pytest.mark.parametrize("is_deleted", [False, True])
def test_destination_without_an_authorised_connection_is_rejected(is_deleted):
    async def scenario():
        bench = Bench()
        await bench.put(API_DESTINATION, bench.destination)
        if not is_deleted:
            await bench.put(CONNECTION, Connection(
                account=ACCOUNT, region=REGION, name="c", unique="1", secret="s", type="BASIC", parameters=None,
                state="DEAUTHORIZED", created_at=0.0, modified_at=0.0,
            ))  # fmt: skip
        outcome = await bench.target.deliver(bench.delivery())
        assert isinstance(outcome, Rejected)
        assert bench.client.asked == []

    run(scenario)
