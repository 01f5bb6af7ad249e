"""What the contract promises of a store as a whole: atomic submits, wake-ups, wiping, closing, blobs."""

import asyncio
import hashlib

import msgspec
import pytest

from forebay.core.errors import Unavailable
from forebay.store.commands import (
    AppendLog,
    ChangeVisibility,
    ClaimTimers,
    Command,
    CountMessages,
    CountTimers,
    DeleteMessages,
    DeleteTimers,
    DropLog,
    LogEntry,
    PeekMessages,
    PurgeQueue,
    PutTimers,
    ReadLog,
    ReceiveMessages,
    SendMessages,
    Settlement,
    SettleTimers,
    Timer,
    VisibilityChange,
)
from forebay.store.records import Kind
from tests.contract.store.samples import counts, message, receipt, receive, rule, run, send


class Thing(msgspec.Struct, frozen=True):
    name: str


THINGS = Kind("test.thing", Thing)


class Unheard(Command[None], frozen=True):
    """A command that no engine knows."""


async def test_submit_of_nothing_answers_nothing(store):
    assert list(await store.submit(())) == []


async def test_guilty_submit_fails_alone_and_whole(store):
    guilty = (SendMessages(1, (message("good"),)), Unheard())

    async def fail():
        with pytest.raises(KeyError):
            await store.submit(guilty)

    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(send(store, 1, f"m{number}"))
        group.create_task(fail())
    assert await counts(store, 1) == (10, 0, 0)
    assert await counts(store, 2) == (0, 0, 0)


async def test_cancelled_caller_does_not_disturb_others(store):
    task = asyncio.ensure_future(store.submit((SendMessages(1, (message("a"),)),)))
    other = asyncio.ensure_future(store.submit((SendMessages(1, (message("b"),)),)))
    task.cancel()
    await other
    await asyncio.wait([task])
    assert task.cancelled()


async def test_listeners_are_woken_by_what_concerns_them(store):
    woken = []
    topics = [("queue", 1), ("queue", 2), ("queue", 9), ("timers", "k"), ("log", "s")]
    stops = [store.listen(topic, lambda topic=topic: woken.append(topic)) for topic in topics]

    async def woken_by(*commands):
        woken.clear()
        results = await store.submit(commands)
        return results, set(woken)

    assert (await woken_by(SendMessages(1, (message("a"),))))[1] == {("queue", 1)}
    (received,) = (await receive(store, 1, hidden=100)).messages
    change = VisibilityChange(receipt(received), 50)
    assert (await woken_by(ChangeVisibility(1, 0, (change,))))[1] == set()
    assert (await woken_by(ChangeVisibility(1, 0, (VisibilityChange(receipt(received), 0),))))[1] == {("queue", 1)}
    buried = ReceiveMessages(1, 0, 9, 1, rule(2, 1))
    assert (await woken_by(buried))[1] == {("queue", 2)}
    assert (await woken_by(PutTimers((Timer("k", "a", 1, b""),))))[1] == {("timers", "k")}
    ((claimed,),), _ = await woken_by(ClaimTimers("k", 1, 9, 1))
    assert (await woken_by(SettleTimers("k", (Settlement("a", claimed.epoch, 5),))))[1] == {("timers", "k")}
    assert (await woken_by(AppendLog("s", (LogEntry(1, b""),))))[1] == {("log", "s")}
    for stop in stops:
        stop()
        stop()
    assert (await woken_by(SendMessages(1, (message("a"),))))[1] == set()


async def test_listeners_of_one_topic_come_and_go_by_themselves(store):
    woken = []
    stop_first = store.listen(("queue", 1), lambda: woken.append("first"))
    store.listen(("queue", 1), lambda: woken.append("second"))
    await send(store, 1, "a")
    stop_first()
    await send(store, 1, "b")
    assert woken == ["first", "second", "second"]


async def test_transactions_wake_listeners_too(store):
    woken = []
    store.listen(("queue", 1), lambda: woken.append(1))
    await store.transact(lambda transaction: transaction.apply(SendMessages(1, (message("a"),))))
    assert woken == [1]


async def test_wipe_deletes_everything_and_tells_watchers(store):
    seen, woken = [], []
    await store.transact(lambda transaction: transaction.records.put(THINGS, "a", Thing("x")))
    (before,) = await send(store, 1, "m")
    await run(store, PutTimers((Timer("k", "t", 1, b""),)))
    await run(store, AppendLog("s", (LogEntry(1, b"x"),)))
    blob = await store.blobs.put(b"blob")
    store.watch(THINGS, lambda key, value: seen.append((key, value)))
    store.listen(("queue", 1), lambda: woken.append(1))
    await store.wipe()
    assert seen == [("a", None)]
    assert woken
    assert await store.find(THINGS, "a") is None
    assert await counts(store, 1) == (0, 0, 0)
    assert await run(store, CountTimers("k")) == 0
    assert await run(store, ReadLog("s", 10)) == ()
    with pytest.raises(KeyError):
        await store.blobs.get(blob)
    (after,) = await send(store, 1, "m")
    assert after.position > before.position


async def test_dropped_and_unknown_names_are_harmless(store):
    results = await store.submit(
        (
            PurgeQueue(77),
            CountMessages(77, 0),
            ReceiveMessages(77, 0, 1, 1),
            DeleteMessages(77, ()),
            DropLog("none"),
            ClaimTimers("none", 0, 1, 1),
            SettleTimers("none", (Settlement("a", 1),)),
        )
    )
    assert [results[index] for index in (0, 3, 4, 5, 6)] == [0, (), 0, (), (False,)]


async def test_closed_store_refuses(store):
    await send(store, 1, "a")
    await store.close()
    with pytest.raises(Unavailable):
        await send(store, 1, "b")
    with pytest.raises(Unavailable):
        await store.transact(lambda transaction: None)


async def test_close_finishes_what_was_submitted(store):
    waiting = [store.submit((SendMessages(1, (message(f"m{number}"),)),)) for number in range(50)]
    await store.close()
    for one in waiting:
        assert len(await one) == 1


async def test_blobs_are_kept_under_their_digest(store):
    data = bytes(range(256)) * 1000
    name = await store.blobs.put(data)
    assert name == hashlib.sha256(data).hexdigest()
    assert await store.blobs.put(data) == name
    assert await store.blobs.get(name) == data
    await store.blobs.delete((name, "0" * 64, "../escape"))
    with pytest.raises(KeyError):
        await store.blobs.get(name)
    for stranger in ("../../etc/passwd", "", "Z" * 64):
        with pytest.raises(KeyError):
            await store.blobs.get(stranger)


async def test_concurrent_puts_of_one_blob_agree(store):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(store.blobs.put(b"same" * 1000)) for _ in range(8)]
    names = {task.result() for task in tasks}
    assert len(names) == 1
    assert await store.blobs.get(names.pop()) == b"same" * 1000


async def test_submits_that_change_timers_or_purge_keep_their_order_unawaited(store):
    timer = Timer("k", "a", 1, b"")
    waiting = [
        store.submit((command,))
        for command in (
            PutTimers((timer,)),
            SendMessages(1, (message("before"),)),
            DeleteTimers("k", ("a",)),
            PurgeQueue(1),
            PutTimers((timer,), only_new=True),
            SendMessages(1, (message("after"),)),
            ClaimTimers("k", 1, 9, 1),
            PeekMessages(1, 0, 10),
        )
    ]
    results = [(await one)[0] for one in waiting]
    assert (results[2], results[3], results[4]) == ((True,), 1, (True,))
    assert [one.key for one in results[6]] == ["a"]
    assert [one.message_id for one in results[7]] == ["after"]
