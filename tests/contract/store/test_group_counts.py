"""What the contract promises of counting one message group."""

import pytest

from forebay.store.commands import (
    CountGroup,
    CountMessages,
    DeleteMessages,
    MessageCounts,
    PurgeQueue,
    SendMessages,
)
from tests.contract.store.samples import message, receipt, receive, run


@pytest.fixture(params=[True, False], ids=["fifo", "tenants"])
def is_fifo(request):
    return request.param


async def count(store, group, now=0):
    _, counts = await store.submit([CountMessages(1, now), CountGroup(1, group)])
    return counts


async def test_group_is_counted_in_all_its_states(store, is_fifo):
    sent = [message(f"a{n}", group="a") for n in range(3)] + [message("b", group="b")]
    await run(store, SendMessages(1, tuple(sent), is_fifo))
    assert await count(store, "a") == MessageCounts(3, 0, 0)
    (first,) = (await receive(store, 1, limit=1, is_fifo=is_fifo)).messages
    assert first.group == "a"
    assert await count(store, "a") == MessageCounts(2, 1, 0)
    assert await count(store, "b") == MessageCounts(1, 0, 0)
    await run(store, DeleteMessages(1, (receipt(first),), is_fifo))
    assert await count(store, "a") == MessageCounts(2, 0, 0)


async def test_group_that_is_not_there_has_none(store, is_fifo):
    assert await count(store, "a") == MessageCounts(0, 0, 0)
    await run(store, SendMessages(1, (message("m", group="a"),), is_fifo))
    assert await count(store, "A") == MessageCounts(0, 0, 0)


async def test_delay_that_is_over_counts_as_visible(store, is_fifo):
    await run(store, SendMessages(1, (message("late", group="a", visible_at=1000),), is_fifo))
    assert await count(store, "a") == MessageCounts(0, 0, 1)
    assert await count(store, "a", 1000) == MessageCounts(1, 0, 0)


async def test_purged_group_has_none(store, is_fifo):
    await run(store, SendMessages(1, (message("m", group="a"),), is_fifo))
    await run(store, PurgeQueue(1))
    assert await count(store, "a") == MessageCounts(0, 0, 0)
    await run(store, SendMessages(1, (message("n", group="a"),), is_fifo))
    assert await count(store, "a") == MessageCounts(1, 0, 0)
