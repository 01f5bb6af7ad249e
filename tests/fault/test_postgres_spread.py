"""One store over two PostgreSQL servers: who belongs together, and what a crash or a lost server leaves of commits."""

import asyncio
import itertools

import psycopg
import pytest

from forebay.core.errors import ConfigError, Unavailable
from forebay.store.commands import AppendLog, LogEntry, MeasureLog, PeekMessages, PutTimers, SendMessages, Timer
from forebay.store.items import Decision, Item, ItemKey, ItemWrite, WriteItems
from forebay.store.postgres import open_postgres
from forebay.store.spread.branches import Branch, Branches
from forebay.store.spread.placement import HOME, Placement
from tests import postgres as servers
from tests.contract.store.samples import counts, message, receive, receive_ids, rule, run, send
from tests.fault.postgres_proxy import Proxy
from tests.fault.store_writer import THINGS, Thing

pytestmark = pytest.mark.skipif(servers.binaries() is None, reason="no PostgreSQL server: apt-get install postgresql")

PLACEMENT = Placement(2)
AT_HOME = next(number for number in itertools.count(1) if PLACEMENT.of_resource(number) == HOME)
ELSEWHERE = next(number for number in itertools.count(1) if PLACEMENT.of_resource(number) != HOME)
SCHEMAS = itertools.count(1)


@pytest.fixture(scope="module")
def home():
    yield from _server()


@pytest.fixture(scope="module")
def other():
    yield from _server()


def _server(**settings):
    one = servers.PostgresServer(**{"max_prepared_transactions": "20", **settings})
    try:
        one.start()
        yield one
    finally:
        one.remove()


@pytest.fixture
def schema():
    return f"test{next(SCHEMAS)}"


def with_store(urls, schema, test, wait_seconds=20.0):
    async def main():
        store = await open_postgres(urls, schema=schema, wait_seconds=wait_seconds)
        try:
            return await test(store)
        finally:
            await store.close()

    return asyncio.run(main())


def refused(urls, schema, text):
    with pytest.raises(ConfigError, match=text):
        asyncio.run(open_postgres(urls, schema=schema))


def both(name):
    return [send_one(AT_HOME, name), send_one(ELSEWHERE, name)]


def send_one(queue, name):
    return SendMessages(queue, (message(name),))


async def names_in(store, queue):
    return [one.message_id for one in await store.ask(PeekMessages(queue, 0, 10_000))]


async def nothing(store):
    """Open a store and close it again."""


def prepared(server):
    with psycopg.connect(server.url) as connection:
        return connection.execute("SELECT count(*) FROM pg_prepared_xacts").fetchone()[0]


# --- who belongs together ---


def test_databases_are_opened_together_in_any_order(home, other, schema):
    async def fill(store):
        await store.submit(both("m"))

    async def look(store):
        assert await names_in(store, AT_HOME) == await names_in(store, ELSEWHERE) == ["m"]

    with_store([home.url, other.url], schema, fill)
    with_store(f"{other.url},{home.url}", schema, look)


def test_part_of_a_store_is_refused(home, other, schema):
    with_store([home.url, other.url], schema, nothing)
    refused(home.url, schema, "one of 2 that hold a store together")
    refused(other.url, schema, "one of 2 that hold a store together")
    refused([home.url, other.url, home.new_database("third")], schema, "spread over 2 databases; --store names 3")


def test_database_named_twice_is_refused(home, schema):
    refused([home.url, home.url], schema, "twice")


def test_database_with_a_store_of_its_own_is_refused(home, other, schema):
    async def fill(store):
        await send(store, 1, "m")

    with_store(home.url, schema, fill)
    refused([home.url, other.url], schema, "already holds a store of its own")


def test_server_without_prepared_transactions_is_refused(home, schema):
    for plain in _server(max_prepared_transactions="0"):
        refused([home.url, plain.url], schema, "max_prepared_transactions = 16")


# --- commits ---


def test_work_that_fails_leaves_nothing_anywhere(home, other, schema):
    async def test(store):
        def fail(transaction):
            for command in both("gone"):
                transaction.apply(command)
            raise KeyError

        def keep(transaction):
            return [transaction.apply(command) for command in both("kept")]

        async with asyncio.TaskGroup() as group:
            failing = [group.create_task(_error_of(store.transact(fail))) for _ in range(5)]
            keeping = [group.create_task(store.transact(keep)) for _ in range(5)]
        assert {type(task.result()) for task in failing} == {KeyError}
        assert len(keeping) == 5
        assert await names_in(store, AT_HOME) == await names_in(store, ELSEWHERE) == ["kept"] * 5
        assert await counts(store, ELSEWHERE) == (5, 0, 0)

    with_store([home.url, other.url], schema, test)


async def _error_of(awaitable):
    try:
        await awaitable
    except Exception as error:
        return error


@pytest.mark.parametrize("cut", ["before", "after"])
def test_commit_whose_answer_is_lost_happens_once_everywhere(home, other, schema, cut, tmp_path):
    proxy = Proxy(home, tmp_path)

    async def test(store):
        await store.submit(both("first"))
        proxy.cut_at_commit = cut
        await store.submit(both("second"))
        assert proxy.cuts == 1
        assert await names_in(store, AT_HOME) == await names_in(store, ELSEWHERE) == ["first", "second"]

    try:
        with_store([proxy.url, other.url], schema, test)
    finally:
        proxy.close()
    assert prepared(other) == 0


def test_crash_behind_the_decision_is_finished_at_the_next_start(home, other, schema, monkeypatch):
    async def crash(store):
        # The node dies between the home's commit and the others'.
        monkeypatch.setattr(Branch, "finish", lambda branch, *, is_committed: branch.drop() or True)
        await store.submit(both("m"))
        assert await names_in(store, ELSEWHERE) == []

    async def look(store):
        assert await names_in(store, AT_HOME) == await names_in(store, ELSEWHERE) == ["m"]

    with_store([home.url, other.url], schema, crash)
    assert prepared(other) == 1
    monkeypatch.undo()
    with_store([home.url, other.url], schema, look)
    assert prepared(other) == 0


def test_crash_before_the_decision_leaves_nothing(home, other, schema, monkeypatch):
    async def crash(store):
        prepare = Branches.prepare

        def die(branches, session):
            prepare(branches, session)
            raise KeyError

        monkeypatch.setattr(Branches, "prepare", die)
        monkeypatch.setattr(Branch, "finish", lambda branch, *, is_committed: branch.drop() or True)
        assert isinstance(await _error_of(store.submit(both("m"))), KeyError)

    async def look(store):
        assert await names_in(store, AT_HOME) == await names_in(store, ELSEWHERE) == []

    with_store([home.url, other.url], schema, crash)
    assert prepared(other) == 1
    monkeypatch.undo()
    with_store([home.url, other.url], schema, look)
    assert prepared(other) == 0


def test_node_that_lives_finishes_what_another_has_left(home, other, schema, monkeypatch):
    async def test(store):
        finish = Branch.finish
        monkeypatch.setattr(Branch, "finish", lambda branch, *, is_committed: branch.drop() or True)
        await store.submit(both("m"))
        monkeypatch.setattr(Branch, "finish", finish)
        # Whoever next commits in both meets it.
        await store.submit(both("n"))
        assert await names_in(store, ELSEWHERE) == ["m", "n"]

    with_store([home.url, other.url], schema, test)


def test_view_of_several_waits_for_what_is_decided(home, other, schema, monkeypatch):
    async def test(store):
        finish = Branch.finish
        monkeypatch.setattr(Branch, "finish", lambda branch, *, is_committed: branch.drop() or True)
        await store.submit(both("m"))
        monkeypatch.setattr(Branch, "finish", finish)
        seen = await store.view(lambda view: [view.ask(PeekMessages(q, 0, 9)) for q in (AT_HOME, ELSEWHERE)])
        assert [len(messages) for messages in seen] == [1, 1]

    with_store([home.url, other.url], schema, test)


def test_server_that_is_away_stops_its_own_resources_only(home, other, schema):
    async def test(store):
        await store.submit(both("before"))
        other.stop("immediate")
        try:
            await send(store, AT_HOME, "meanwhile")
            await store.transact(lambda transaction: transaction.records.put(THINGS, "key", Thing("value")))
            with pytest.raises(Unavailable):
                await send(store, ELSEWHERE, "refused")
            with pytest.raises(Unavailable):
                await store.submit(both("refused"))
        finally:
            other.start()
        await store.submit(both("after"))
        assert await names_in(store, AT_HOME) == ["before", "meanwhile", "after"]
        assert await names_in(store, ELSEWHERE) == ["before", "after"]

    with_store([home.url, other.url], schema, test, wait_seconds=1.0)


@pytest.mark.parametrize("victim", ["home", "other"])
def test_pairs_stay_pairs_when_a_server_is_killed(home, other, schema, victim, request):
    server = request.getfixturevalue(victim)

    async def test(store):
        acknowledged = []

        async def work(worker):
            for number in range(40):
                name = f"{worker}-{number}"
                try:
                    await store.submit(both(name))
                except Unavailable:
                    continue
                acknowledged.append(name)

        async with asyncio.TaskGroup() as group:
            for worker in range(8):
                group.create_task(work(worker))
            while len(acknowledged) < 40:
                await asyncio.sleep(0.005)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        at_home, elsewhere = await names_in(store, AT_HOME), await names_in(store, ELSEWHERE)
        assert sorted(at_home) == sorted(elsewhere) == sorted(set(at_home))
        assert set(acknowledged) <= set(at_home)

    with_store([home.url, other.url], schema, test)


# --- what goes together from different databases ---


@pytest.mark.parametrize(("source", "grave"), [(AT_HOME, ELSEWHERE), (ELSEWHERE, AT_HOME)])
@pytest.mark.parametrize("is_fifo", [False, True])
def test_dead_letters_go_to_another_database(home, other, schema, source, grave, is_fifo):
    async def test(store):
        await run(store, _send(source, "m", is_fifo=is_fifo))
        await receive(store, source, now=10, hidden=10, is_fifo=is_fifo)
        got = await receive(store, source, now=30, hidden=10, dead_letter=rule(grave, 1), is_fifo=is_fifo)
        assert (got.messages, got.dead_lettered_count) == ((), 1)
        assert await counts(store, source) == (0, 0, 0)
        (dead,) = (await receive(store, grave, now=50, hidden=10, is_fifo=is_fifo)).messages
        assert (dead.message_id, dead.dead_letter_source, dead.receive_count) == ("m", source, 1)

    with_store([home.url, other.url], schema, test)


def _send(queue, name, *, is_fifo):
    group = {"group": "g"} if is_fifo else {}
    return SendMessages(queue, (message(name, **group),), is_fifo=is_fifo)


def test_dead_letters_that_could_not_be_carried_are_at_the_next_start(home, other, schema, monkeypatch):
    async def bury(store):
        async def fail():
            return None

        monkeypatch.setattr(store, "_carry_strays", fail)
        await send(store, ELSEWHERE, "m")
        await receive_ids(store, ELSEWHERE, now=10, hidden=10)
        await receive(store, ELSEWHERE, now=30, hidden=10, dead_letter=rule(AT_HOME, 1))
        assert await names_in(store, AT_HOME) == []

    async def look(store):
        assert await names_in(store, AT_HOME) == ["m"]
        assert await counts(store, AT_HOME) == (1, 0, 0)

    with_store([home.url, other.url], schema, bury)
    with_store([home.url, other.url], schema, look)


@pytest.mark.parametrize("is_refused", [False, True])
def test_items_take_along_messages_elsewhere(home, other, schema, is_refused):
    item = Item(b"data", 4)

    def decide(_):
        return Decision(item, is_refused=is_refused, then=(send_one(ELSEWHERE, "decided"),))

    async def test(store):
        timers = PutTimers((Timer("kind", "key", 1, b""),))
        for then in ((), (send_one(ELSEWHERE, "then"), timers)):
            written = await run(store, WriteItems((ItemWrite(1, ItemKey(b"a"), decide),), then))
            assert written.is_written is not is_refused
        expected = [] if is_refused else ["decided", "decided", "then"]
        assert await names_in(store, ELSEWHERE) == expected

    with_store([home.url, other.url], schema, test)


def test_logs_of_groups_are_spread_and_others_are_at_home(home, other, schema):
    stream = next(f"logs/{n}" for n in itertools.count() if PLACEMENT.of_resource(f"logs/{n}") != HOME)

    async def test(store):
        for name in (stream, "dynamodb/stream"):
            await run(store, AppendLog(name, (LogEntry(1, b"entry"),)))
            assert (await store.ask(MeasureLog(name))).entries == 1

    with_store([home.url, other.url], schema, test)
    with psycopg.connect(other.url) as connection:
        assert connection.execute(f"SELECT count(*) FROM {schema}.entry").fetchone() == (1,)
