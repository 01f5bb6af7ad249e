"""What the contract promises of FIFO queues."""

import asyncio

import pytest

from forebay.store.commands import (
    ChangeVisibility,
    DeleteMessages,
    ExpireMessages,
    ForgetDuplicates,
    PeekMessages,
    PurgeQueue,
    Receipt,
    SendMessages,
    VisibilityChange,
)
from tests.contract.store.samples import DAY_MS, counts, message, receipt, receive, rule, run

MINUTES_5 = 300_000


async def send(store, queue, *names, key=None, until=MINUTES_5, **options):
    """Send messages named after their groups: `g1` is of group `g`."""
    new = tuple(
        message(name, group=name[0], deduplication=key, deduplication_key=key, deduplication_until_ms=until, **options)
        for name in names
    )
    return await run(store, SendMessages(queue, new, is_fifo=True))


async def take(store, queue, **options):
    return (await receive(store, queue, is_fifo=True, **options)).messages


async def take_ids(store, queue, **options):
    return [one.message_id for one in await take(store, queue, **options)]


async def delete(store, queue, *messages, now=0):
    return await run(store, DeleteMessages(queue, tuple(receipt(one) for one in messages), is_fifo=True, now_ms=now))


async def show(store, queue, one, at, now=0):
    changes = (VisibilityChange(receipt(one), at),)
    (is_changed,) = await run(store, ChangeVisibility(queue, now, changes, is_fifo=True))
    return is_changed


async def test_one_groups_messages_come_before_the_next_groups(store):
    await send(store, 1, "g1", "h1", "g2", "i1", "h2", "g3")
    assert await take_ids(store, 1) == ["g1", "g2", "g3", "h1", "h2", "i1"]


async def test_received_message_is_what_was_sent(store):
    (sent,) = await send(store, 1, "g1", key="k")
    (one,) = await take(store, 1, now=7, hidden=30)
    assert (one.position, one.message_id, one.group, one.deduplication) == (sent.position, "g1", "g", "k")
    assert (one.visible_at_ms, one.first_received_at_ms, one.receive_count) == (37, 7, 1)


async def test_group_is_closed_while_any_of_its_messages_is_in_flight(store):
    await send(store, 1, "g1", "g2", "g3", "h1")
    g1, g2 = await take(store, 1, limit=2)
    assert await take_ids(store, 1, limit=1) == ["h1"]
    assert await delete(store, 1, g1) == (True,)
    assert await take_ids(store, 1) == []
    assert await delete(store, 1, g2) == (True,)
    assert await take_ids(store, 1) == ["g3"]


async def test_message_sent_to_a_closed_group_waits(store):
    await send(store, 1, "g1")
    (g1,) = await take(store, 1)
    await send(store, 1, "g2")
    assert await take_ids(store, 1) == []
    await delete(store, 1, g1)
    assert await take_ids(store, 1) == ["g2"]


async def test_expired_visibility_opens_the_group_in_its_old_order(store):
    await send(store, 1, "g1", "g2", "g3")
    await take(store, 1, limit=2, hidden=100)
    assert await take_ids(store, 1, now=99) == []
    assert await take_ids(store, 1, now=100) == ["g1", "g2", "g3"]


async def test_changed_visibility_opens_the_group_when_nothing_else_is_in_flight(store):
    await send(store, 1, "g1", "g2")
    g1, g2 = await take(store, 1)
    assert await show(store, 1, g2, 5, now=5)
    assert await take_ids(store, 1, now=5) == []
    assert await show(store, 1, g1, 6, now=6)
    assert await take_ids(store, 1, now=6) == ["g1", "g2"]


async def test_message_received_often_stays_in_front(store):
    await send(store, 1, "g1", "g2", "h1")
    for now in range(5):
        assert await take_ids(store, 1, now=now, hidden=1, limit=1) == ["g1"]


async def test_old_receipts_do_nothing(store):
    await send(store, 1, "g1")
    (old,) = await take(store, 1, hidden=10)
    assert await delete(store, 1, old, now=10) == (False,)
    assert not await show(store, 1, old, 99, now=10)
    (new,) = await take(store, 1, now=10, hidden=10)
    assert await delete(store, 1, old, now=11) == (False,)
    assert not await show(store, 1, old, 99, now=11)
    assert await delete(store, 1, new, new, now=11) == (True, False)
    assert await counts(store, 1, now=11) == (0, 0, 0)


async def test_duplicate_is_not_sent_and_answers_the_first(store):
    (first,) = await send(store, 1, "g1", key="k")
    (again,) = await send(store, 1, "h1", key="k", sent_at=MINUTES_5 - 1)
    assert (again.position, again.message_id, again.is_duplicate) == (first.position, "g1", True)
    (other,) = await send(store, 2, "g2", key="k")
    assert not other.is_duplicate
    (later,) = await send(store, 1, "g3", key="k", sent_at=MINUTES_5, until=2 * MINUTES_5)
    assert not later.is_duplicate
    assert await take_ids(store, 1, now=MINUTES_5) == ["g1", "g3"]


async def test_duplicates_within_one_send_are_found(store):
    sent = await send(store, 1, "g1", "h2", key="k")
    assert [one.is_duplicate for one in sent] == [False, True]
    assert await counts(store, 1) == (1, 0, 0)


async def test_duplicates_are_remembered_past_deletion_and_purge(store):
    await send(store, 1, "g1", key="k")
    await delete(store, 1, *await take(store, 1))
    assert (await send(store, 1, "g2", key="k"))[0].is_duplicate
    await run(store, PurgeQueue(1))
    assert (await send(store, 1, "g3", key="k"))[0].is_duplicate
    assert await counts(store, 1) == (0, 0, 0)


async def test_ended_memories_are_forgotten(store):
    await send(store, 1, "g1", key="k", until=100)
    await take(store, 1, attempt="a", attempt_until_ms=200)
    assert await run(store, ForgetDuplicates(99, 10)) == 0
    assert await run(store, ForgetDuplicates(200, 1)) == 1
    assert await run(store, ForgetDuplicates(200, 10)) == 1
    assert await run(store, ForgetDuplicates(200, 10)) == 0


async def test_same_attempt_gets_the_same_messages(store):
    await send(store, 1, "g1", "g2", "h1")
    first = await receive(store, 1, is_fifo=True, limit=2, attempt="a", attempt_until_ms=MINUTES_5, hidden=100)
    again = await receive(store, 1, is_fifo=True, now=50, limit=2, attempt="a", attempt_until_ms=1, hidden=100)
    assert [(one.message_id, one.receive_count) for one in again.messages] == [("g1", 1), ("g2", 1)]
    assert (first.repeats_ms, again.repeats_ms, again.messages[0].visible_at_ms) == (None, 0, 150)
    assert await counts(store, 1, now=149) == (1, 2, 0)
    assert await take_ids(store, 1, now=60, attempt="b", attempt_until_ms=MINUTES_5) == ["h1"]


@pytest.mark.parametrize("change", ["deleted", "expired", "forgotten"])
async def test_attempt_is_new_when_something_changed(store, change):
    await send(store, 1, "g1", "h1")
    (g1,) = await take(store, 1, limit=1, hidden=100, attempt="a", attempt_until_ms=50)
    now = 10
    if change == "deleted":
        await delete(store, 1, g1)
    else:
        now = 100 if change == "expired" else 50
    found = await receive(store, 1, now=now, is_fifo=True, limit=1, attempt="a", attempt_until_ms=MINUTES_5)
    assert found.repeats_ms is None
    assert [one.message_id for one in found.messages] == ["g1" if change == "expired" else "h1"]


async def test_delayed_messages_come_in_order(store):
    await send(store, 1, "g1", "g2", "h1", visible_at=10)
    assert await counts(store, 1) == (0, 0, 3)
    found = await receive(store, 1, now=9, is_fifo=True)
    assert (found.messages, found.next_visible_at_ms) == ((), 10)
    assert await take_ids(store, 1, now=10) == ["g1", "g2", "h1"]


async def test_dead_letters_keep_group_and_order_and_begin_anew(store):
    await send(store, 1, "g1", "g2", "h1", "g3", sent_at=3)
    await take(store, 1, now=5, hidden=10, limit=2)
    found = await receive(store, 1, now=15, is_fifo=True, dead_letter=rule(2, 1, retention=5000), limit=1)
    assert ([one.message_id for one in found.messages], found.dead_lettered_count) == (["g3"], 2)
    dead = await take(store, 2, now=16)
    assert [(one.message_id, one.group, one.sent_at_ms, one.expires_at_ms) for one in dead] == [
        ("g1", "g", 15, 5015),
        ("g2", "g", 15, 5015),
    ]
    assert {one.dead_letter_source for one in dead} == {1}
    assert await counts(store, 1, now=16) == (1, 1, 0)


async def test_expired_messages_leave_their_group(store):
    await send(store, 1, "g1", "h1", expires_at=100)
    await send(store, 1, "g2")
    assert await take_ids(store, 1, now=100) == ["g2"]
    await send(store, 1, "i1", expires_at=200)
    await send(store, 1, "i2")
    assert await run(store, ExpireMessages(200, 10)) == 1
    assert await take_ids(store, 1, now=200) == ["i2"]


async def test_in_flight_message_that_expires_opens_its_group(store):
    await send(store, 1, "g1", expires_at=100)
    await send(store, 1, "g2")
    await take(store, 1, limit=1)
    await run(store, ExpireMessages(100, 10))
    assert await take_ids(store, 1, now=100) == ["g2"]


async def test_in_flight_limit_is_silent(store):
    await send(store, 1, "g1", "g2", "g3")
    assert await take_ids(store, 1, in_flight_max=2) == ["g1", "g2"]
    found = await receive(store, 1, is_fifo=True, in_flight_max=2)
    assert (found.messages, found.is_over_limit) == ((), False)


async def test_purged_groups_begin_anew(store):
    await send(store, 1, "g1", "h1")
    (g1,) = await take(store, 1, limit=1)
    assert await run(store, PurgeQueue(1)) == 2
    assert await delete(store, 1, g1) == (False,)
    await send(store, 1, "g2", "g3")
    assert await take_ids(store, 1, limit=1) == ["g2"]
    assert await take_ids(store, 1) == []
    assert await counts(store, 1) == (1, 1, 0)
    assert [one.message_id for one in await run(store, PeekMessages(1, 0, 10))] == ["g2", "g3"]


async def test_deleting_the_last_one_in_flight_wakes_who_waits(store):
    await send(store, 1, "g1", "g2")
    (g1,) = await take(store, 1, limit=1)
    awake = asyncio.Event()
    stop = store.listen(("queue", 1), awake.set)
    await delete(store, 1, g1)
    await asyncio.wait_for(awake.wait(), 1)
    stop()


@pytest.mark.parametrize("old_first", [True, False])
@pytest.mark.parametrize("is_together", [True, False])
async def test_old_and_new_receipts_of_one_message_are_told_apart(store, old_first, is_together):
    await send(store, 1, "g1", "g2")
    (old,) = await take(store, 1, limit=1, hidden=10)
    (new,) = await take(store, 1, limit=1, now=20, hidden=100)
    receipts = [receipt(old), receipt(new)] if old_first else [receipt(new), receipt(old)]
    if is_together:
        commands = [DeleteMessages(1, tuple(receipts), True, 25)]
    else:
        commands = [DeleteMessages(1, (one,), True, 25) for one in receipts]
    results = await store.submit(commands)
    assert [deleted for result in results for deleted in result] == [not old_first, old_first]
    assert await counts(store, 1, now=25) == (1, 0, 0)
    assert await take_ids(store, 1, now=25) == ["g2"]


async def test_receipts_of_nothing_delete_nothing(store):
    await send(store, 1, "g1")
    absurd = tuple(Receipt(position, 1) for position in (-1, 0, 1 << 42, (1 << 62) + 1))
    assert await run(store, DeleteMessages(1, absurd, is_fifo=True, now_ms=0)) == (False,) * 4


async def test_concurrent_receivers_keep_every_groups_order(store):
    names = [f"{group}{number}" for number in range(12) for group in "abcdefgh"]
    await send(store, 1, *names, expires_at=DAY_MS)
    served = []

    async def consume():
        while found := await take(store, 1, limit=3):
            served.extend(one.message_id for one in found)
            await delete(store, 1, *found)

    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(consume())
    while found := await take(store, 1, limit=3):
        served.extend(one.message_id for one in found)
        await delete(store, 1, *found)
    assert sorted(served) == sorted(names)
    for name in "abcdefgh":
        assert [one for one in served if one[0] == name] == [f"{name}{number}" for number in range(12)]
