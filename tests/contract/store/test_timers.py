"""What the contract promises of timers."""

from forebay.store.commands import (
    ClaimTimers,
    CountTimers,
    DeleteTimers,
    ExtendTimers,
    ListTimers,
    NextTimer,
    PutTimers,
    Settlement,
    SettleTimers,
    Timer,
)
from tests.contract.store.samples import run


async def put(store, *keys, due=10, kind="k", data=b"data", only_new=False):
    return await run(store, PutTimers(tuple(Timer(kind, key, due, data) for key in keys), only_new))


async def claim(store, *, now=10, lease_until=100, limit=10, kind="k"):
    return await run(store, ClaimTimers(kind, now, lease_until, limit))


async def claim_keys(store, **options):
    return [timer.key for timer in await claim(store, **options)]


async def settle(store, timer, due=None, data=None):
    return await run(store, SettleTimers("k", (Settlement(timer.key, timer.epoch, due, data),)))


async def test_claim_takes_due_timers_earliest_first(store):
    await put(store, "late", due=11)
    await put(store, "second", due=9)
    await put(store, "first", due=8)
    await put(store, "other", due=1, kind="other")
    assert await claim_keys(store, limit=1) == ["first"]
    assert await claim_keys(store) == ["second"]
    assert await claim_keys(store) == []
    (late,) = await claim(store, now=11)
    assert (late.key, late.due_at_ms, late.data) == ("late", 11, b"data")


async def test_claimed_timer_is_hidden_until_its_lease_lapses(store):
    await put(store, "a")
    (first,) = await claim(store, lease_until=50)
    assert await claim_keys(store, now=49) == []
    (second,) = await claim(store, now=50)
    assert second.key == "a"
    assert second.epoch != first.epoch
    assert await settle(store, first) == (False,)
    assert await settle(store, second) == (True,)


async def test_lapsed_lease_still_settles_while_nobody_else_claimed(store):
    await put(store, "a")
    (held,) = await claim(store, lease_until=20)
    assert await run(store, ExtendTimers("k", (("a", held.epoch),), 40)) == (True,)
    assert await claim_keys(store, now=39) == []
    assert await settle(store, held) == (True,)


async def test_settled_timer_is_gone_or_due_again(store):
    await put(store, "gone", "again", "changed")
    again, changed, gone = sorted(await claim(store), key=lambda timer: timer.key)
    settlements = (
        Settlement("gone", gone.epoch),
        Settlement("again", again.epoch, 30),
        Settlement("changed", changed.epoch, 31, b"new"),
    )
    assert await run(store, SettleTimers("k", settlements)) == (True, True, True)
    assert [(timer.key, timer.due_at_ms, timer.data) for timer in await claim(store, now=40)] == [
        ("again", 30, b"data"),
        ("changed", 31, b"new"),
    ]


async def test_timer_is_settled_once(store):
    await put(store, "a", "b")
    a, b = await claim(store)
    twice = (
        Settlement("a", a.epoch, 20),
        Settlement("a", a.epoch),
        Settlement("b", b.epoch),
        Settlement("b", b.epoch, 1),
    )
    assert await run(store, SettleTimers("k", twice)) == (True, False, True, False)
    assert await settle(store, a) == (False,)
    assert await run(store, CountTimers("k")) == 1


async def test_unclaimed_timer_cannot_be_settled_or_extended(store):
    await put(store, "a")
    (listed,) = await run(store, ListTimers("k", 10))
    assert await settle(store, listed) == (False,)
    assert await run(store, ExtendTimers("k", (("a", listed.epoch), ("none", 1)), 99)) == (False, False)
    assert await claim_keys(store) == ["a"]


async def test_put_replaces_and_ends_the_lease(store):
    await put(store, "a")
    (held,) = await claim(store)
    assert await put(store, "a", due=5, data=b"new") == (True,)
    assert await settle(store, held) == (False,)
    assert await run(store, ExtendTimers("k", (("a", held.epoch),), 99)) == (False,)
    assert [(timer.due_at_ms, timer.data) for timer in await claim(store)] == [(5, b"new")]
    assert await run(store, CountTimers("k")) == 1


async def test_timer_made_anew_is_not_settled_by_who_held_the_old_one(store):
    await put(store, "a")
    (held,) = await claim(store)
    await run(store, DeleteTimers("k", ("a",)))
    await put(store, "a")
    await claim(store)
    assert await settle(store, held) == (False,)


async def test_only_new_keeps_what_exists(store):
    assert await put(store, "a", "b", only_new=True) == (True, True)
    (a, _) = await claim(store)
    assert await put(store, "a", "c", "c", due=1, only_new=True) == (False, True, False)
    assert await claim_keys(store) == ["c"]
    assert await settle(store, a) == (True,)
    assert await run(store, CountTimers("k")) == 2


async def test_same_key_in_two_kinds_is_two_timers(store):
    await put(store, "a", kind="k")
    await put(store, "a", kind="l")
    assert await run(store, DeleteTimers("l", ("a",))) == (True,)
    assert await claim_keys(store) == ["a"]


async def test_last_of_equal_keys_in_one_put_wins(store):
    timers = (Timer("k", "a", 1, b"first"), Timer("k", "a", 2, b"last"))
    await run(store, PutTimers(timers))
    assert [(timer.due_at_ms, timer.data) for timer in await claim(store)] == [(2, b"last")]
    assert await run(store, CountTimers("k")) == 1


async def test_delete_takes_claimed_ones_too(store):
    await put(store, "a", "b")
    await claim(store, limit=1)
    assert await run(store, DeleteTimers("k", ("a", "none", "b", "b"))) == (True, False, True, False)
    assert await run(store, CountTimers("k")) == 0


async def test_next_timer_is_the_earliest_due_or_lapsing(store):
    assert await run(store, NextTimer("k")) is None
    await put(store, "a", due=30)
    await put(store, "b", due=10)
    assert await run(store, NextTimer("k")) == 10
    await claim(store, lease_until=25)
    assert await run(store, NextTimer("k")) == 25
    assert await run(store, NextTimer("other")) is None


async def test_list_pages_in_key_order(store):
    await put(store, "b", "c", "a", "d", kind="k")
    await put(store, "x", kind="other")
    first = await run(store, ListTimers("k", 3))
    rest = await run(store, ListTimers("k", 3, first[-1].key))
    assert [timer.key for timer in (*first, *rest)] == ["a", "b", "c", "d"]


async def test_many_timers_at_once(store):
    keys = [f"t{number:04}" for number in range(500)]
    await put(store, *keys)
    assert await run(store, CountTimers("k")) == 500
    claimed = await claim(store, limit=400)
    assert [timer.key for timer in claimed] == keys[:400]
    settlements = tuple(Settlement(timer.key, timer.epoch, 90) for timer in claimed)
    assert await run(store, SettleTimers("k", settlements)) == (True,) * 400
    assert await claim_keys(store, limit=1000) == keys[400:]
