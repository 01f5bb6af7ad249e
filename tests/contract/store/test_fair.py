"""What the contract promises of standard queues with tenants: quiet ones first."""

import pytest

from forebay.store.commands import QUIET_AFTER_MS, CallNoisy, DeleteMessages, PurgeQueue, ReceiveMessages, SendMessages
from tests.contract.store.samples import counts, message, receipt, receive, receive_ids, rule, run

HOUR_MS = 3_600_000


async def send(store, tenant, count=1, *, first=1, queue=1, **options):
    names = [f"{tenant}{number}" for number in range(first, first + count)]
    new = tuple(message(name, group=tenant, **options) for name in names)
    await run(store, SendMessages(queue, new))
    return names


async def make_noisy(store, tenant="n", count=40, *, waiting=20):
    """Let a tenant have `count` messages in flight, and more waiting."""
    await send(store, tenant, count + waiting)
    return await hold(store, count)


async def hold(store, count):
    return (await receive(store, 1, hidden=HOUR_MS, limit=count)).messages


async def test_quiet_tenants_come_before_a_noisy_one(store):
    await make_noisy(store)
    await send(store, "a", 2)
    await send(store, "b")
    assert await receive_ids(store, 1, limit=4) == ["a1", "a2", "b1", "n41"]


async def test_tenant_below_thirty_in_flight_is_quiet(store):
    await make_noisy(store, count=29)
    await send(store, "a")
    assert await receive_ids(store, 1, limit=1) == ["n30"]


async def test_tenant_with_a_tenth_of_all_in_flight_is_quiet(store):
    await send(store, "other", 280)
    await hold(store, 280)
    await make_noisy(store, count=31)
    await send(store, "a")
    # 31 of 311 are less than a tenth.
    assert await receive_ids(store, 1, limit=1) == ["n32"]
    assert (await counts(store, 1))[1] == 312


async def test_message_without_group_is_quiet(store):
    await make_noisy(store)
    await run(store, SendMessages(1, (message("plain"),)))
    (plain,) = (await receive(store, 1, limit=1)).messages
    assert (plain.message_id, plain.group) == ("plain", None)


async def test_among_noisy_tenants_the_one_with_fewest_in_flight_is_first(store):
    await send(store, "m", 80)
    await hold(store, 60)
    await send(store, "n", 80)
    await hold(store, 40)
    # Of m 20 wait and 60 are in flight; of n 40 are in flight, and it has turned noisy just now.
    assert await receive_ids(store, 1, limit=2) == ["n41", "n42"]


@pytest.mark.parametrize("end", ["drained", "silent"])
async def test_noisy_tenant_becomes_quiet_again(store, end):
    await make_noisy(store, waiting=1)
    if end == "drained":
        assert await receive_ids(store, 1, hidden=HOUR_MS) == ["n41"]
        await send(store, "n", first=100)
        now = 1
    else:
        now = QUIET_AFTER_MS
    await send(store, "a", sent_at=now)
    assert (await receive_ids(store, 1, now=now, limit=1))[0].startswith("n")


async def test_purge_makes_everyone_quiet(store):
    await make_noisy(store)
    await run(store, PurgeQueue(1))
    await send(store, "n")
    await send(store, "a")
    assert await receive_ids(store, 1) == ["n1", "a1"]


async def test_long_noisy_backlog_is_passed_over(store):
    await make_noisy(store, waiting=3000)
    await send(store, "a")
    found = await receive(store, 1, limit=2)
    assert [one.message_id for one in found.messages] == ["a1", "n41"]
    assert await run(store, DeleteMessages(1, (receipt(found.messages[0]),))) == (True,)


async def test_messages_of_tenants_return_and_die_like_others(store):
    await send(store, "a", 2)
    await receive(store, 1, hidden=10, limit=2)
    assert await counts(store, 1, now=10) == (2, 0, 0)
    found = await receive(store, 1, now=10, dead_letter=rule(2, 1))
    assert (found.messages, found.dead_lettered_count) == ((), 2)
    dead = (await receive(store, 2, now=11)).messages
    assert [(one.message_id, one.group) for one in dead] == [("a1", "a"), ("a2", "a")]


async def test_concurrent_receives_in_one_commit_pass_over_the_noisy_one(store):
    await make_noisy(store)
    await send(store, "a", 3)
    results = await store.submit([ReceiveMessages(1, 0, HOUR_MS, 1) for _ in range(4)])
    assert [one.message_id for result in results for one in result.messages] == ["a1", "a2", "a3", "n41"]


async def test_tenant_that_is_called_noisy_is_passed_over(store):
    await send(store, "n", 3)
    await send(store, "a", 1)
    await run(store, CallNoisy(1, ("n", "unknown")))
    assert await receive_ids(store, 1, hidden=HOUR_MS, limit=2) == ["a1", "n1"]
    # Like every noisy tenant, it is quiet again when it has sent nothing for long.
    await send(store, "a", 1, first=2, sent_at=QUIET_AFTER_MS)
    assert await receive_ids(store, 1, now=QUIET_AFTER_MS, limit=2) == ["n2", "n3"]


async def test_tenant_of_whom_nothing_waits_cannot_be_called_noisy(store):
    await send(store, "n")
    await hold(store, 1)
    await run(store, CallNoisy(1, ("n",)))
    await send(store, "n", first=2)
    await send(store, "a")
    assert await receive_ids(store, 1, limit=2) == ["n2", "a1"]


async def test_no_tenant_is_called_noisy_where_there_are_none(store):
    await run(store, SendMessages(1, (message("plain"),)))
    await run(store, CallNoisy(1, ("n",)))
    assert await receive_ids(store, 1) == ["plain"]
