"""What the contract promises of queues."""

import asyncio

from forebay.store.commands import (
    ChangeDelay,
    ChangeRetention,
    ChangeVisibility,
    CountMessages,
    DeleteMessages,
    ExpireMessages,
    MessageCounts,
    PeekMessages,
    PurgeQueue,
    Receipt,
    ReceiveMessages,
    SendMessages,
    VisibilityChange,
)
from tests.contract.store.samples import DAY_MS, counts, message, receipt, receive, receive_ids, rule, run, send


async def test_received_message_is_what_was_sent(store):
    new = message("a", sent_at=5, body="grüße 🌊 \x00 \r\n", group="g", deduplication="d")
    await run(store, SendMessages(1, (new,)))
    (received,) = (await receive(store, 1, now=7, hidden=30)).messages
    assert (received.message_id, received.body, received.attributes) == ("a", new.body, new.attributes)
    assert (received.sent_at_ms, received.visible_at_ms, received.expires_at_ms) == (5, 37, DAY_MS)
    assert (received.first_received_at_ms, received.receive_count) == (7, 1)
    assert (received.group, received.deduplication, received.dead_letter_source) == ("g", "d", None)


async def test_large_body_comes_back_whole(store):
    body = "é" * 1_000_000
    await send(store, 1, "a", body=body)
    (received,) = (await receive(store, 1)).messages
    assert received.body == body


async def test_send_answers_ids_and_growing_positions(store):
    sent = [*await send(store, 1, "a", "b"), *await send(store, 2, "c")]
    assert [one.message_id for one in sent] == ["a", "b", "c"]
    positions = [one.position for one in sent]
    assert positions[:2] == sorted(positions[:2])
    assert len(set(positions)) == 3


async def test_positions_are_not_given_again_after_delete(store):
    (first,) = await send(store, 1, "a")
    await run(store, DeleteMessages(1, (Receipt(first.position, 0),)))
    (second,) = await send(store, 1, "b")
    assert second.position > first.position


async def test_many_messages_in_one_send_keep_their_order(store):
    names = [f"m{number:03}" for number in range(200)]
    await send(store, 1, *names)
    assert await receive_ids(store, 1, limit=200) == names


async def test_receive_is_oldest_first_and_limited(store):
    await send(store, 1, "a", "b", "c")
    assert await receive_ids(store, 1, limit=2) == ["a", "b"]
    assert await receive_ids(store, 1, limit=2) == ["c"]


async def test_queues_do_not_see_each_other(store):
    await send(store, 1, "a")
    await send(store, 2, "b")
    assert await receive_ids(store, 2) == ["b"]
    assert await receive_ids(store, 3) == []


async def test_receive_hides_message_until_timeout(store):
    await send(store, 1, "a")
    assert await receive_ids(store, 1, now=0, hidden=100) == ["a"]
    assert await receive_ids(store, 1, now=99) == []
    again = (await receive(store, 1, now=100)).messages
    assert [(one.message_id, one.receive_count, one.first_received_at_ms) for one in again] == [("a", 2, 0)]


async def test_empty_receive_says_when_the_next_message_becomes_visible(store):
    await send(store, 1, "a")
    await send(store, 1, "b", visible_at=50)
    await receive(store, 1, now=0, hidden=70)
    assert (await receive(store, 1, now=1)).next_visible_at_ms == 50
    assert (await receive(store, 9, now=1)).next_visible_at_ms is None


async def test_delayed_message_is_received_when_its_delay_is_over(store):
    await send(store, 1, "a", visible_at=10)
    await send(store, 1, "b")
    assert await counts(store, 1, now=0) == (1, 0, 1)
    assert await receive_ids(store, 1, now=9) == ["b"]
    assert await counts(store, 1, now=10) == (1, 1, 0)
    assert await receive_ids(store, 1, now=10) == ["a"]


async def test_counts_follow_every_change(store):
    await send(store, 1, "a", "b", "c")
    await send(store, 1, "d", visible_at=1000)
    assert await counts(store, 1) == (3, 0, 1)
    first, second = (await receive(store, 1, hidden=100, limit=2)).messages
    assert await counts(store, 1) == (1, 2, 1)
    await run(store, DeleteMessages(1, (receipt(first),)))
    assert await counts(store, 1) == (1, 1, 1)
    assert await counts(store, 1, now=100) == (2, 0, 1)
    assert await counts(store, 1, now=1000) == (3, 0, 0)
    # Deleting a visible message by its old receipt counts too.
    await run(store, DeleteMessages(1, (receipt(second),)))
    assert await counts(store, 1, now=1000) == (2, 0, 0)


async def test_counts_are_exact_when_thousands_become_due_at_once(store):
    names = [f"m{number}" for number in range(2500)]
    await send(store, 1, *names, visible_at=10)
    assert await counts(store, 1, now=9) == (0, 0, 2500)
    assert await counts(store, 1, now=10) == (2500, 0, 0)
    assert len(await receive_ids(store, 1, now=10, limit=2500)) >= 1000
    visible, in_flight, delayed = await counts(store, 1, now=10)
    assert (visible + in_flight, delayed) == (2500, 0)


async def test_delete_says_which_messages_were_there(store):
    (sent,) = await send(store, 1, "a")
    there = Receipt(sent.position, 1)
    gone = Receipt(sent.position + 1000, 1)
    assert await run(store, DeleteMessages(1, (gone, there, there))) == (False, True, False)
    assert await run(store, DeleteMessages(1, (there,))) == (False,)
    assert await counts(store, 1) == (0, 0, 0)


async def test_delete_with_an_old_receipt_deletes(store):
    await send(store, 1, "a")
    (first,) = (await receive(store, 1, now=0, hidden=10)).messages
    await receive(store, 1, now=10, hidden=10)
    assert await run(store, DeleteMessages(1, (receipt(first),))) == (True,)


async def test_receipt_of_another_queue_deletes_nothing(store):
    (sent,) = await send(store, 1, "a")
    await send(store, 2, "b")
    assert await run(store, DeleteMessages(2, (Receipt(sent.position, 1),))) == (False,)
    assert await counts(store, 1) == (1, 0, 0)


async def test_absurd_receipt_changes_nothing(store):
    await send(store, 1, "a")
    (other,) = await send(store, 3, "b")
    await receive(store, 3)
    # The last one would be another queue's message, were positions not checked.
    absurd = tuple(Receipt(position, 1) for position in (-1, 0, 1 << 42, (1 << 62) + 1, (2 << 42) + other.position))
    assert await run(store, DeleteMessages(1, absurd)) == (False,) * 5
    changes = tuple(VisibilityChange(receipt, 5) for receipt in absurd)
    assert await run(store, ChangeVisibility(1, 0, changes)) == (False,) * 5
    assert await counts(store, 1) == (1, 0, 0)
    assert await counts(store, 3) == (0, 1, 0)


async def test_visibility_can_be_extended_and_shortened(store):
    await send(store, 1, "a", "b")
    a, b = (await receive(store, 1, now=0, hidden=100)).messages
    changes = (VisibilityChange(receipt(a), 200), VisibilityChange(receipt(b), 50))
    assert await run(store, ChangeVisibility(1, 10, changes)) == (True, True)
    assert await receive_ids(store, 1, now=50) == ["b"]
    assert await receive_ids(store, 1, now=199, hidden=1) == []
    assert await receive_ids(store, 1, now=200) == ["a"]


async def test_visibility_of_what_is_not_in_flight_stays(store):
    sent = await send(store, 1, "a", "b")
    await send(store, 1, "c", visible_at=500)
    (a,) = (await receive(store, 1, now=0, hidden=100, limit=1)).messages
    b = Receipt(sent[1].position, 0)
    delayed = Receipt(sent[1].position + 1, 0)
    gone = Receipt(sent[1].position + 1000, 0)
    wanted = tuple(VisibilityChange(one, 900) for one in (b, delayed, gone))
    assert await run(store, ChangeVisibility(1, 0, wanted)) == (False, False, False)
    # When the timeout is over the message is visible, whether or not anyone has looked since.
    assert await run(store, ChangeVisibility(1, 100, (VisibilityChange(receipt(a), 900),))) == (False,)
    assert await counts(store, 1, now=100) == (2, 0, 1)


async def test_message_made_visible_now_is_received_and_cannot_be_changed_again(store):
    await send(store, 1, "a")
    (a,) = (await receive(store, 1, now=0, hidden=100)).messages
    twice = (VisibilityChange(receipt(a), 10), VisibilityChange(receipt(a), 90))
    assert await run(store, ChangeVisibility(1, 10, twice)) == (True, False)
    assert await counts(store, 1, now=10) == (1, 0, 0)
    assert await receive_ids(store, 1, now=10) == ["a"]


async def test_message_received_three_times_goes_behind_others(store):
    await send(store, 1, "a", "b")
    for now in (0, 10, 20):
        assert (await receive_ids(store, 1, now=now, hidden=10, limit=1)) == ["a"]
    await send(store, 1, "c")
    assert await receive_ids(store, 1, now=30, limit=2) == ["b", "a"]
    assert await receive_ids(store, 1, now=30) == ["c"]


async def test_nothing_is_received_above_the_in_flight_limit(store):
    await send(store, 1, "a", "b", "c")
    assert await receive_ids(store, 1, in_flight_max=2) == ["a", "b"]
    refused = await receive(store, 1, in_flight_max=2)
    assert (refused.messages, refused.is_over_limit) == ((), True)
    assert await receive_ids(store, 1, now=30_000, in_flight_max=2) == ["a", "b"]


async def test_expired_message_is_never_received(store):
    await send(store, 1, "a", expires_at=100)
    await send(store, 1, "b")
    assert await receive_ids(store, 1, now=100, limit=1) == ["b"]
    assert await counts(store, 1, now=100) == (0, 1, 0)


async def test_message_expired_in_flight_does_not_return(store):
    await send(store, 1, "a", expires_at=100)
    await receive(store, 1, now=90, hidden=20)
    assert await receive_ids(store, 1, now=110) == []
    assert await counts(store, 1, now=110) == (0, 0, 0)


async def test_expiry_deletes_in_all_queues_up_to_its_limit(store):
    await send(store, 1, "a", "b", expires_at=100)
    await send(store, 2, "c", expires_at=100, visible_at=500)
    await send(store, 2, "d", expires_at=101)
    assert await run(store, ExpireMessages(99, 10)) == 0
    assert await run(store, ExpireMessages(100, 2)) == 2
    assert await run(store, ExpireMessages(100, 10)) == 1
    assert await counts(store, 1) == (0, 0, 0)
    assert await counts(store, 2) == (1, 0, 0)


async def test_purge_deletes_ready_delayed_and_in_flight(store):
    await send(store, 1, "a", "b")
    await send(store, 1, "c", visible_at=10)
    await send(store, 2, "other")
    (a,) = (await receive(store, 1, limit=1)).messages
    assert await run(store, PurgeQueue(1)) == 3
    assert await counts(store, 1) == (0, 0, 0)
    assert await run(store, DeleteMessages(1, (receipt(a),))) == (False,)
    assert await run(store, ChangeVisibility(1, 0, (VisibilityChange(receipt(a), 9),))) == (False,)
    assert await run(store, PeekMessages(1, 0, 10)) == ()
    assert await receive_ids(store, 1, now=DAY_MS - 1) == []
    assert await receive_ids(store, 2) == ["other"]
    assert await run(store, PurgeQueue(1)) == 0


async def test_purged_queue_goes_on(store):
    await send(store, 1, *[f"old{number}" for number in range(1200)])
    assert await run(store, PurgeQueue(1)) == 1200
    await send(store, 1, "new")
    assert await receive_ids(store, 1) == ["new"]
    assert await counts(store, 1, now=30_000) == (1, 0, 0)
    assert await run(store, ExpireMessages(DAY_MS, 5000)) == 1


async def test_message_received_too_often_moves_to_the_dead_letter_queue(store):
    await send(store, 1, "a", "b", sent_at=3)
    await receive(store, 1, now=5, hidden=10, limit=1)
    found = await receive(store, 1, now=15, dead_letter=rule(2, 1, retention=5000))
    assert [one.message_id for one in found.messages] == ["b"]
    assert found.dead_lettered_count == 1
    assert await counts(store, 1, now=15) == (0, 1, 0)
    assert await counts(store, 2, now=15) == (1, 0, 0)
    (dead,) = (await receive(store, 2, now=16)).messages
    assert (dead.message_id, dead.body, dead.attributes, dead.sent_at_ms) == ("a", "body of a", b"\x00attributes", 3)
    assert (dead.expires_at_ms, dead.dead_letter_source, dead.receive_count) == (5003, 1, 1)


async def test_dead_lettering_fills_the_answer_from_behind(store):
    await send(store, 1, "a", "b", "c", "d")
    await receive(store, 1, now=0, hidden=10, limit=2)
    found = await receive(store, 1, now=10, limit=2, dead_letter=rule(2, 1))
    assert [one.message_id for one in found.messages] == ["c", "d"]
    assert found.dead_lettered_count == 2
    assert [one.message_id for one in await run(store, PeekMessages(2, 0, 10))] == ["a", "b"]


async def test_peek_pages_through_all_states_without_receiving(store):
    await send(store, 1, "a", "b")
    await send(store, 1, "c", visible_at=10)
    await receive(store, 1, limit=1)
    first = await run(store, PeekMessages(1, 0, 2))
    rest = await run(store, PeekMessages(1, first[-1].position, 2))
    assert [(one.message_id, one.receive_count) for one in (*first, *rest)] == [("a", 1), ("b", 0), ("c", 0)]
    assert await counts(store, 1) == (1, 1, 1)


async def test_concurrent_receivers_share_no_message(store):
    await send(store, 1, *[f"m{number}" for number in range(300)])
    taken = []

    async def consume():
        while names := await receive_ids(store, 1, limit=7):
            taken.extend(names)

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(consume())
    assert len(taken) == 300 == len(set(taken))


async def test_mixed_concurrent_traffic_loses_and_invents_nothing(store):
    sent, deleted = [], []

    async def produce(producer):
        for number in range(30):
            (one,) = await send(store, 1 + number % 2, f"{producer}-{number}")
            sent.append(one.message_id)

    async def consume(queue):
        for _ in range(60):
            found = (await receive(store, queue, limit=3)).messages
            receipts = tuple(receipt(one) for one in found)
            assert await run(store, DeleteMessages(queue, receipts)) == (True,) * len(found)
            deleted.extend(one.message_id for one in found)

    async with asyncio.TaskGroup() as group:
        for producer in range(10):
            group.create_task(produce(producer))
        for consumer in range(8):
            group.create_task(consume(1 + consumer % 2))
    for queue in (1, 2):
        deleted += await receive_ids(store, queue, limit=1000)
    assert sorted(sent) == sorted(deleted)


async def test_commands_of_one_submit_see_each_other_in_order(store):
    results = await store.submit(
        (
            CountMessages(1, 0),
            SendMessages(1, (message("a"), message("b"))),
            ReceiveMessages(1, 0, 10, 1),
            SendMessages(1, (message("c"),)),
            CountMessages(1, 0),
            PurgeQueue(1),
            SendMessages(1, (message("d"),)),
            PeekMessages(1, 0, 10),
        )
    )
    assert results[0].visible == 0
    assert [one.message_id for one in results[2].messages] == ["a"]
    assert (results[4].visible, results[4].in_flight, results[5]) == (2, 1, 3)
    assert [one.message_id for one in results[7]] == ["d"]


async def test_purged_messages_are_gone_at_once(store):
    sent = await send(store, 1, "a", "b", expires_at=50)
    await send(store, 1, "c", visible_at=5)
    (a,) = (await receive(store, 1, hidden=5, limit=1)).messages
    results = await store.submit(
        (
            PurgeQueue(1),
            DeleteMessages(1, (receipt(a), Receipt(sent[1].position, 0))),
            ChangeVisibility(1, 0, (VisibilityChange(receipt(a), 9),)),
            PeekMessages(1, 0, 10),
            ReceiveMessages(1, 10, 20, 10),
            CountMessages(1, 10),
            ExpireMessages(100, 10),
            CountMessages(1, 10),
        )
    )
    assert results[:4] == [3, (False, False), (False,), ()]
    assert (results[4].messages, results[4].next_visible_at_ms, results[6]) == ((), None, 0)
    assert results[5] == results[7] == MessageCounts(0, 0, 0)


async def test_changed_retention_counts_from_the_send_batch_by_batch(store):
    for sent_at, name in ((0, "a"), (10, "b"), (20, "c")):
        await send(store, 1, name, sent_at=sent_at, expires_at=1000)
    await send(store, 2, "other", expires_at=1000)
    after = await run(store, ChangeRetention(1, 50, 0, 2))
    assert after is not None
    assert [one.expires_at_ms for one in await run(store, PeekMessages(1, 0, 10))] == [50, 60, 1000]
    assert await run(store, ChangeRetention(1, 50, after, 2)) is None
    assert await run(store, ExpireMessages(60, 10)) == 2
    assert await receive_ids(store, 1, now=60) == ["c"]
    assert await receive_ids(store, 2, now=60) == ["other"]


async def test_changed_retention_of_nothing(store):
    assert await run(store, ChangeRetention(1, 50, 0, 2)) is None
    await send(store, 1, "a", "b")
    assert await run(store, ChangeRetention(1, 50, 0, 2)) is None


async def test_changed_delay_counts_for_messages_that_wait(store):
    await send(store, 1, "a", "b", visible_at=100)
    await send(store, 1, "c")
    await receive(store, 1, now=0, hidden=50)
    await run(store, ChangeDelay(1, 20))
    assert await counts(store, 1, now=19) == (0, 1, 2)
    assert await receive_ids(store, 1, now=20) == ["a", "b"]
    await run(store, ChangeDelay(1, 5000))
    assert await receive_ids(store, 1, now=50, hidden=1) == ["c"]


async def test_receives_from_many_queues_in_one_commit(store):
    queues = range(1, 13)
    for queue in queues:
        await run(store, SendMessages(queue, tuple(message(f"{queue}-{number}") for number in range(5))))
    # On queue 3 the first message has been received so often that it stands behind the others.
    for now in range(3):
        assert await receive_ids(store, 3, now=now, hidden=1, limit=1) == ["3-0"]
    # Queue 4 has one that becomes visible at this very moment, queue 5 is empty, queue 6 has only one.
    await receive(store, 4, limit=1, hidden=10)
    await run(store, PurgeQueue(5))
    await run(store, PurgeQueue(6))
    await run(store, SendMessages(6, (message("6-x"),)))
    commands = [ReceiveMessages(queue, 10, 1000, 2) for queue in queues]
    commands += [ReceiveMessages(queue, 10, 1000, 1) for queue in queues]
    answers = await store.submit(commands)
    found = {}
    for command, answer in zip(commands, answers, strict=True):
        found.setdefault(command.queue, []).extend(one.message_id for one in answer.messages)
    expected = {queue: [f"{queue}-{number}" for number in range(3)] for queue in queues}
    expected |= {3: ["3-1", "3-2", "3-3"], 5: [], 6: ["6-x"]}
    assert found == expected
