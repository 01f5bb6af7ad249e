"""Two nodes on one database: they share work without sharing a message, and learn what the other changes."""

import asyncio
import sys

import psycopg
import pytest

from forebay.core.errors import ConfigError
from forebay.store.commands import (
    ClaimTimers,
    CountTimers,
    DeleteMessages,
    ExtendTimers,
    PeekMessages,
    PurgeQueue,
    PutTimers,
    SendMessages,
    Settlement,
    SettleTimers,
    Timer,
)
from forebay.store.postgres import open_postgres
from forebay.store.postgres.connection import Statement
from tests import postgres as servers
from tests.contract.store.samples import counts, message, receipt, receive, receive_ids, run, send
from tests.fault.store_writer import THINGS, Thing

pytestmark = pytest.mark.skipif(servers.binaries() is None, reason="no PostgreSQL server: apt-get install postgresql")


@pytest.fixture(scope="module")
def server():
    one = servers.PostgresServer(max_prepared_transactions=2)
    try:
        one.start()
        yield one
    finally:
        one.remove()


@pytest.fixture
def execute(server):
    """Return a function that runs SQL beside the nodes, and drop the schema in the end."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        yield connection.execute
        connection.execute("DROP SCHEMA IF EXISTS forebay CASCADE")


def with_nodes(server, test, count=2):
    async def main():
        async with asyncio.TaskGroup() as group:
            opening = [group.create_task(open_postgres(server.url)) for _ in range(count)]
        nodes = [task.result() for task in opening]
        try:
            await test(*nodes)
        finally:
            for node in nodes:
                await node.close()

    asyncio.run(main())


def of_group(name):
    return message(name, group=name[0], deduplication_key=name, deduplication_until_ms=1000)


def put(key, value):
    return lambda transaction: transaction.records.put(THINGS, key, value)


async def until(node, topic_or_kind, is_reached):
    """Wait until something is so, looking again whenever the node tells of a change."""
    changed = asyncio.Event()
    if isinstance(topic_or_kind, tuple):
        node.listen(topic_or_kind, changed.set)
    else:
        node.watch(topic_or_kind, lambda *_: changed.set())
    async with asyncio.timeout(10):
        while not await is_reached():
            await changed.wait()
            changed.clear()


def test_schema_is_made_once_by_nodes_that_start_together(server, execute):
    async def test(*nodes):
        for number, node in enumerate(nodes):
            await send(node, 1, f"m{number}")
        assert await counts(nodes[0], 1) == (5, 0, 0)

    with_nodes(server, test, count=5)


def test_claims_of_two_nodes_are_disjoint(server, execute):
    names = [f"m{number}" for number in range(600)]

    async def test(a, b):
        await send(a, 1, *names)
        taken = []

        async def consume(node):
            # One look may find everything left locked by the other node.
            while (await counts(node, 1))[0]:
                taken.extend(await receive_ids(node, 1, limit=3))

        async with asyncio.TaskGroup() as group:
            for node in (a, b) * 8:
                group.create_task(consume(node))
        assert sorted(taken) == sorted(names)
        assert await counts(a, 1) == await counts(b, 1) == (0, 600, 0)

    with_nodes(server, test)


def test_messages_hidden_by_one_node_return_on_the_other(server, execute):
    async def test(a, b):
        await send(a, 1, "a", "b")
        assert await receive_ids(a, 1, hidden=100, limit=1) == ["a"]
        assert await receive_ids(b, 1) == ["b"]
        await send(a, 1, "c")
        # Node b has seen the queue without `a`, whose place is before all that it has seen.
        assert await receive_ids(b, 1) == ["c"]
        assert await receive_ids(b, 1, now=100) == ["a"]

    with_nodes(server, test)


def test_fifo_order_and_deduplication_hold_across_nodes(server, execute):
    names = [f"{group}{number:02}" for number in range(15) for group in "abcd"]

    async def test(a, b):
        served, sent = [], []

        async def produce(node):
            # Both nodes send everything, in the same order; the first of two is the one.
            for name in names:
                sent.extend(await run(node, SendMessages(1, (of_group(name),), is_fifo=True)))

        async def consume(node):
            while len(served) < len(names):
                found = (await receive(node, 1, limit=3, is_fifo=True)).messages
                served.extend(one.message_id for one in found)
                receipts = tuple(receipt(one) for one in found)
                assert await run(node, DeleteMessages(1, receipts, is_fifo=True)) == (True,) * len(found)

        async with asyncio.TaskGroup() as group:
            for node in (a, b):
                group.create_task(produce(node))
                for _ in range(3):
                    group.create_task(consume(node))
        assert sorted(one.message_id for one in sent if not one.is_duplicate) == sorted(names)
        # Sorted by group only: the order within each is as it was.
        assert sorted(served, key=lambda name: name[0]) == sorted(names)
        assert await counts(b, 1) == (0, 0, 0)

    with_nodes(server, test)


def test_noisy_tenant_of_one_node_is_noisy_on_the_other(server, execute):
    def of(tenant, *numbers):
        return tuple(message(f"{tenant}{number}", group=tenant) for number in numbers)

    async def test(a, b):
        await run(a, SendMessages(1, of("n", *range(60))))
        await receive(a, 1, limit=20)
        await receive(b, 1, limit=20)
        await run(a, SendMessages(1, of("q", 1, 2)))
        assert await receive_ids(b, 1, limit=3) == ["q1", "q2", "n40"]

    with_nodes(server, test)


def test_purge_of_one_node_takes_exactly_what_the_other_has_sent(server, execute):
    async def test(a, b):
        sent, purged = 0, 0

        async def produce():
            nonlocal sent
            for number in range(200):
                await send(b, 1, f"m{number}")
                sent += 1

        async def purge():
            nonlocal purged
            while sent < 200:
                purged += await run(a, PurgeQueue(1))

        async with asyncio.TaskGroup() as group:
            group.create_task(purge())
            group.create_task(produce())
        left = await run(b, PeekMessages(1, 0, 1000))
        assert len(left) + purged == 200
        assert await counts(a, 1) == (len(left), 0, 0)

    with_nodes(server, test)


def test_transactions_of_two_nodes_are_serial(server, execute):
    def increment(transaction):
        number = int((transaction.records.find(THINGS, "n") or Thing("0")).name) + 1
        transaction.records.put(THINGS, "n", Thing(str(number)))
        # The place of each in the order of all.
        return number, transaction.records.next_number("numbers")

    async def test(a, b):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(node.transact(increment)) for node in (a, b) for _ in range(60)]
        found = [task.result() for task in tasks]
        assert sorted(found) == [(number, number) for number in range(1, 121)]

    with_nodes(server, test)


def test_changed_record_is_found_and_told_on_the_other_node(server, execute):
    async def test(a, b):
        seen = []
        b.watch(THINGS, lambda key, value: seen.append((key, value)))
        assert await b.find(THINGS, "a") is None
        for value in (Thing("1"), Thing("2")):
            await a.transact(put("a", value))
            await until(b, THINGS, lambda value=value: _is_found(b, "a", value))
        await a.transact(lambda transaction: transaction.records.delete(THINGS, "a"))
        await until(b, THINGS, lambda: _is_found(b, "a", None))
        assert seen == [("a", Thing("1")), ("a", Thing("2")), ("a", None)]

    with_nodes(server, test)


def test_wiped_records_go_on_the_other_node(server, execute):
    async def test(a, b):
        await a.transact(put("a", Thing("1")))
        await until(b, THINGS, lambda: _is_found(b, "a", Thing("1")))
        await a.wipe()
        await until(b, THINGS, lambda: _is_found(b, "a", None))

    with_nodes(server, test)


async def _is_found(node, key, value):
    return await node.find(THINGS, key) == value


def test_listener_is_woken_by_the_other_node(server, execute):
    async def test(a, b):
        woken = asyncio.Event()
        b.listen(("queue", 1), woken.set)
        await send(a, 1, "a")
        async with asyncio.timeout(10):
            await woken.wait()
        assert await receive_ids(b, 1) == ["a"]

    with_nodes(server, test)


def test_lost_notification_costs_time_only(server, execute):
    async def test(a, b):
        assert await b.find(THINGS, "a") is None
        # Notifications of node a are lost from here on.
        a._notifier.tell = lambda *_, **__: None
        await a.transact(put("a", Thing("1")))
        await until(b, THINGS, lambda: _is_found(b, "a", Thing("1")))

    with_nodes(server, test)


def test_more_topics_than_a_notification_holds_wake_everyone(server, execute):
    async def test(a, b):
        woken = asyncio.Event()
        b.listen(("queue", 1_000_000), woken.set)
        await a.submit([SendMessages(queue, (message("m"),)) for queue in range(2000)])
        async with asyncio.timeout(10):
            await woken.wait()

    with_nodes(server, test)


def test_node_that_missed_deletions_forgets_what_it_knew(server, execute):
    async def test(a, b):
        await a.transact(put("a", Thing("1")))
        await until(b, THINGS, lambda: _is_found(b, "a", Thing("1")))
        # As if the deletion had come and been forgotten while b was away.
        execute("DELETE FROM forebay.record")
        execute("UPDATE forebay.control SET version = version + 1, forgotten_version = version + 1")
        await a.transact(put("b", Thing("2")))
        await until(b, THINGS, lambda: _is_found(b, "a", None))

    with_nodes(server, test)


def test_lease_of_one_node_holds_against_the_other(server, execute):
    async def test(a, b):
        await run(a, PutTimers((Timer("k", "t", 10, b"x"),)))
        (held,) = await run(a, ClaimTimers("k", 10, 50, 5))
        assert await run(b, ClaimTimers("k", 49, 90, 5)) == ()
        (taken_over,) = await run(b, ClaimTimers("k", 50, 90, 5))
        assert await run(a, ExtendTimers("k", (("t", held.epoch),), 200)) == (False,)
        assert await run(a, SettleTimers("k", (Settlement("t", held.epoch),))) == (False,)
        assert await run(b, SettleTimers("k", (Settlement("t", taken_over.epoch),))) == (True,)
        assert await run(a, CountTimers("k")) == 0

    with_nodes(server, test)


def test_timers_are_claimed_once_by_many(server, execute):
    names = [f"t{number}" for number in range(300)]

    async def test(a, b):
        await run(a, PutTimers(tuple(Timer("k", name, 1, b"") for name in names)))
        claimed = []

        async def claim(node):
            for _ in range(30):
                found = await run(node, ClaimTimers("k", 5, 1000, 7))
                claimed.extend(one.key for one in found)

        async with asyncio.TaskGroup() as group:
            for node in (a, b) * 4:
                group.create_task(claim(node))
        assert sorted(claimed) == sorted(names)

    with_nodes(server, test)


def test_blobs_are_on_every_node(server, execute):
    async def test(a, b):
        name = await a.blobs.put(b"x" * 3_000_000)
        assert await b.blobs.get(name) == b"x" * 3_000_000
        await b.blobs.delete((name,))
        with pytest.raises(KeyError):
            await a.blobs.get(name)

    with_nodes(server, test)


def test_node_runs_on_a_newer_schema_that_is_compatible_and_refuses_another(server, execute):
    async def test(a):
        await send(a, 1, "a")
        execute("UPDATE forebay.meta SET version = 99")
        older = await open_postgres(server.url)
        assert await receive_ids(older, 1) == ["a"]
        await older.close()
        execute("UPDATE forebay.meta SET compatible = 99")
        with pytest.raises(ConfigError, match="Start a newer Forebay"):
            await open_postgres(server.url)
        # Who runs already goes on until it is stopped.
        await send(a, 1, "b")

    with_nodes(server, test, count=1)


def test_old_snapshot_is_noticed(server, execute):
    async def test(a):
        with psycopg.connect(server.url) as old, psycopg.connect(server.url, autocommit=True) as looker:
            old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            old.execute("SELECT 1 FROM forebay.message")
            looker.execute("SELECT pg_sleep(0.05)")
            a._notifier._check_snapshots(looker)
            assert a.snapshot_seconds >= 0.05
            old.rollback()
            a._notifier._check_snapshots(looker)
            assert a.snapshot_seconds < 0.05

    with_nodes(server, test, count=1)


def refused(url, text):
    with pytest.raises(ConfigError, match=text):
        asyncio.run(open_postgres(url))


def test_server_that_is_not_there_is_refused(tmp_path):
    refused(f"postgresql://nobody@/none?host={tmp_path}", "cannot be opened")


def test_missing_driver_is_named(server, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("forebay.store.postgres.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    refused(server.url, r"pip install 'forebay\[postgres\]'")


def test_server_that_may_lose_commits_is_refused():
    careless = servers.PostgresServer(fsync="off")
    try:
        careless.start()
        refused(careless.url, "fsync = off")
    finally:
        careless.remove()


def test_asynchronous_commit_is_turned_on_for_us(server, execute):
    execute(f"ALTER ROLE {servers.SUPERUSER} SET synchronous_commit = off")
    try:

        async def test(a):
            shown = await a._run_apart(lambda connection: connection.fetch(Statement("SHOW synchronous_commit")))
            assert shown == [("on",)]

        with_nodes(server, test, count=1)
    finally:
        execute(f"ALTER ROLE {servers.SUPERUSER} RESET synchronous_commit")


def test_what_a_node_receives_is_what_another_sent(server, execute):
    async def test(a, b):
        await run(a, SendMessages(1, (message("a", body="grüße 🌊 \x00"),)))
        (received,) = (await receive(b, 1)).messages
        assert received.body == "grüße 🌊 \x00"

    with_nodes(server, test)
