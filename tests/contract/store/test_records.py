"""What the contract promises of records, transactions, views, finding and watching."""

import asyncio
import itertools

import msgspec
import pytest

from forebay.store.commands import CountMessages, PeekMessages, SendMessages
from forebay.store.records import Kind, key_parts, key_prefix, record_key
from tests.contract.store.samples import counts, message


class Thing(msgspec.Struct, frozen=True):
    name: str
    size: int = 0


THINGS = Kind("test.thing", Thing)
OTHERS = Kind("test.other", Thing)


def putting(*pairs, kind=THINGS):
    def work(transaction):
        for key, value in pairs:
            transaction.records.put(kind, key, value)

    return work


def test_keys_are_joined_and_taken_apart():
    assert key_parts(record_key("a", "b-c", "d")) == ("a", "b-c", "d")
    assert record_key("a", "b", "c").startswith(key_prefix("a", "b"))
    assert not record_key("a", "bc").startswith(key_prefix("a", "b"))


async def test_find_returns_what_was_put(store):
    assert await store.find(THINGS, "a") is None
    await store.transact(putting(("a", Thing("x", 1))))
    assert await store.find(THINGS, "a") == Thing("x", 1)
    await store.transact(putting(("a", Thing("y"))))
    assert await store.find(THINGS, "a") == Thing("y")
    assert await store.find(OTHERS, "a") is None
    assert await store.transact(lambda transaction: transaction.records.delete(THINGS, "a")) is True
    assert await store.find(THINGS, "a") is None
    assert await store.transact(lambda transaction: transaction.records.delete(THINGS, "a")) is False


async def test_list_is_in_key_order_under_a_prefix(store):
    keys = ["a", "a-b", record_key("a", "z"), record_key("a", "b"), "b", "a\U0010ffff", "é"]
    await store.transact(putting(*((key, Thing(key)) for key in keys)))
    await store.transact(putting(("a", Thing("other")), kind=OTHERS))

    async def keys_of(*arguments, **options):
        found = await store.view(lambda view: view.records.list(THINGS, *arguments, **options))
        assert all(key == value.name for key, value in found)
        return [key for key, _ in found]

    assert await keys_of() == sorted(keys)
    assert await keys_of(key_prefix("a")) == [record_key("a", "b"), record_key("a", "z")]
    assert await keys_of("a") == sorted(key for key in keys if key.startswith("a"))
    assert await keys_of("a\U0010ffff") == ["a\U0010ffff"]
    assert await keys_of("\U0010ffff") == []
    assert await keys_of(after="a-b", limit=2) == ["a\U0010ffff", "b"]


async def test_transaction_sees_its_own_changes(store):
    def work(transaction):
        transaction.records.put(THINGS, "a", Thing("x"))
        (sent,) = transaction.apply(SendMessages(1, (message("m"),)))
        return (
            transaction.records.find(THINGS, "a"),
            [key for key, _ in transaction.records.list(THINGS)],
            transaction.apply(CountMessages(1, 0)).visible,
            [one.position for one in transaction.apply(PeekMessages(1, 0, 10))] == [sent.position],
        )

    assert await store.transact(work) == (Thing("x"), ["a"], 1, True)


async def test_exception_rolls_everything_back(store):
    await store.transact(putting(("kept", Thing("x"))))
    await store.submit((SendMessages(1, (message("before"),)),))

    def work(transaction):
        transaction.records.put(THINGS, "a", Thing("x"))
        transaction.records.delete(THINGS, "kept")
        transaction.apply(SendMessages(1, (message("m"),)))
        raise ZeroDivisionError

    seen = []
    store.watch(THINGS, lambda key, value: seen.append((key, value)))
    with pytest.raises(ZeroDivisionError):
        await store.transact(work)
    assert await store.find(THINGS, "a") is None
    assert await store.find(THINGS, "kept") == Thing("x")
    assert await counts(store, 1) == (1, 0, 0)
    assert seen == []


async def test_failed_transaction_does_not_touch_its_neighbours(store):
    def failing(transaction):
        transaction.apply(SendMessages(1, (message("bad"),)))
        transaction.records.put(THINGS, "bad", Thing("bad"))
        raise ZeroDivisionError

    async def expect_failure():
        with pytest.raises(ZeroDivisionError):
            await store.transact(failing)

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(store.transact(putting((f"good{number}", Thing("good")))))
            group.create_task(expect_failure())
            group.create_task(_send_good(store))
    assert len(await store.view(lambda view: view.records.list(THINGS))) == 20
    assert await counts(store, 1) == (20, 0, 0)


async def _send_good(store):
    await store.submit((SendMessages(1, (message("good"),)),))


async def test_transactions_are_serial(store):
    def increment(transaction):
        thing = transaction.records.find(THINGS, "counter") or Thing("counter")
        transaction.records.put(THINGS, "counter", msgspec.structs.replace(thing, size=thing.size + 1))

    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(store.transact(increment))
    assert (await store.find(THINGS, "counter")).size == 100


async def test_numbers_of_a_sequence_never_repeat(store):
    def take(transaction):
        return transaction.records.next_number("queues"), transaction.records.next_number("other")

    taken = [await store.transact(take) for _ in range(3)]
    assert taken == [(1, 1), (2, 2), (3, 3)]
    await store.wipe()
    assert (await store.transact(take))[0] > 3


async def test_view_is_one_moment_and_includes_what_was_acknowledged(store):
    for number in range(20):
        await store.transact(putting(("a", Thing("a", number))))
        assert (await store.view(lambda view: view.records.find(THINGS, "a"))).size == number
    await store.submit((SendMessages(1, (message("m"),)),))
    found = await store.view(lambda view: view.ask(PeekMessages(1, 0, 10)))
    assert [one.message_id for one in found] == ["m"]


async def test_exception_in_a_view_reaches_its_caller(store):
    with pytest.raises(ZeroDivisionError):
        await store.view(lambda view: 1 // 0)
    assert await store.view(lambda view: view.records.find(THINGS, "a")) is None


async def test_find_is_as_fresh_as_the_last_commit_under_traffic(store):
    numbers = itertools.count(1)
    acknowledged = 0

    async def write():
        nonlocal acknowledged
        for _ in range(50):
            number = next(numbers)
            await store.transact(putting(("a", Thing("a", number))))
            acknowledged = max(acknowledged, number)

    async def read():
        for _ in range(200):
            floor = acknowledged
            found = await store.find(THINGS, "a")
            assert (found.size if found else 0) >= floor
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        for _ in range(3):
            group.create_task(read())


async def test_watchers_see_changes_in_order_and_before_the_caller_goes_on(store):
    seen = []
    store.watch(THINGS, lambda key, value: seen.append((key, value)))
    await store.transact(putting(("a", Thing("1")), ("b", Thing("2")), ("a", Thing("3"))))
    assert seen == [("a", Thing("1")), ("b", Thing("2")), ("a", Thing("3"))]
    await store.transact(lambda transaction: transaction.records.delete(THINGS, "b"))
    await store.transact(putting(("a", Thing("other")), kind=OTHERS))
    assert seen[3:] == [("b", None)]


async def test_keys_hold_any_character_and_keep_their_order(store):
    keys = ["a", "a\0", "a\0\0", "a\0\x01", "a\0b", "a\x01", "a\x01\0", "a\x01\x01", "a\x01\x02", "a\x02", "ab"]
    await store.transact(putting(*((key, Thing(key)) for key in reversed(keys))))

    async def listed(prefix="", after=""):
        return await store.view(lambda view: [key for key, _ in view.records.list(THINGS, prefix, after=after)])

    assert await listed() == keys
    assert await listed("a\0") == keys[1:5]
    assert await listed("a\x01") == keys[5:9]
    assert await listed(after="a\0\x01") == keys[4:]
    for key in keys:
        assert await store.find(THINGS, key) == Thing(key)
    assert await store.transact(lambda transaction: transaction.records.delete(THINGS, "a\0"))
    assert await store.find(THINGS, "a\0") is None
