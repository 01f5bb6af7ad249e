"""What the contract promises of items: decisions in the commit, indexes that agree, order, pages, counters."""

import asyncio

import pytest

from forebay.store.commands import AppendLog, LogEntry, NextTimer, PutTimers, ReadLog, SendMessages, Timer
from forebay.store.items import (
    Decision,
    DropIndex,
    DropItems,
    GetItems,
    IndexEntry,
    IndexItems,
    Item,
    ItemKey,
    ItemRange,
    ItemWrite,
    JoinItems,
    MeasureItems,
    ReadItems,
    TableSize,
    WriteItems,
)
from tests.contract.store.samples import message, receive_ids, run


def key(partition, sort=""):
    return ItemKey(partition.encode("latin-1"), sort.encode("latin-1"))


def item(data, *entries):
    return Item(data.encode(), len(data), tuple(IndexEntry(number, *places) for number, *places in entries))


def put(name, new, table=1, **more):
    return ItemWrite(table, name, lambda old: Decision(new, answer=old, **more))


def read_only(name, table=1):
    return ItemWrite(table, name, lambda old: Decision(is_kept=True, answer=old))


def refuse(name, table=1):
    return ItemWrite(table, name, lambda old: Decision(is_refused=True, answer=old))


def add(name, number, table=1):
    """Return a write that adds to the number that an item is."""

    def decide(old):
        total = (int(old.data) if old else 0) + number
        return Decision(item(str(total)), answer=total)

    return ItemWrite(table, name, decide)


async def write(store, *writes, then=()):
    return await run(store, WriteItems(tuple(writes), then))


async def get(store, *names, table=1):
    return [one and one.data.decode() for one in await run(store, GetItems(table, names))]


async def read(store, limit=100, size_max=1 << 20, *, is_last=True, **options):
    page = await run(store, ReadItems(1, limit, size_max, **options))
    assert page.is_last == is_last
    return [one.data.decode() for one in page.items]


async def test_item_is_put_replaced_and_deleted(store):
    written = await write(store, put(key("a"), item("one")))
    assert (written.is_written, written.answers) == (True, (None,))
    assert await get(store, key("a"), key("b")) == ["one", None]
    assert (await write(store, put(key("a"), item("two")))).answers == (Item(b"one", 3),)
    assert await get(store, key("a")) == ["two"]
    assert await get(store, key("a"), table=2) == [None]
    await write(store, put(key("a"), None))
    assert await get(store, key("a")) == [None]
    assert (await write(store, put(key("a"), None))).answers == (None,)


async def test_keys_are_compared_whole_and_bytewise(store):
    names = [key("a", ""), key("a", "\x00"), key("a", "b"), key("a\x00", "b"), key("ab", ""), key("\xff\xff", "\xff")]
    await write(store, *[put(name, item(str(number))) for number, name in reversed(list(enumerate(names)))])
    assert await read(store) == ["0", "1", "2", "3", "4", "5"]
    assert await read(store, is_backward=True) == ["5", "4", "3", "2", "1", "0"]
    assert await get(store, *names) == ["0", "1", "2", "3", "4", "5"]
    page = await run(store, ReadItems(1, 100, 1 << 20))
    assert [one.key for one in page.items] == [one.position for one in page.items] == names


async def test_concurrent_writes_of_an_item_see_each_other(store):
    answers = await asyncio.gather(*[write(store, add(key("n"), 1)) for _ in range(300)])
    assert sorted(answer.answers[0] for answer in answers) == list(range(1, 301))
    assert await get(store, key("n")) == ["300"]


async def test_several_writes_are_all_done_or_none(store):
    await write(store, put(key("a"), item("1", (9, b"x"))))
    written = await write(
        store,
        add(key("a"), 5),
        refuse(key("b")),
        put(key("c"), item("new")),
        then=(AppendLog("s", (LogEntry(1, b""),)),),
    )
    assert not written.is_written
    assert written.answers == (6, None, None)
    assert await get(store, key("a"), key("b"), key("c")) == ["1", None, None]
    assert await read(store, index=9) == ["1"]
    assert await run(store, ReadLog("s", 10)) == ()
    assert await run(store, MeasureItems(1)) == TableSize(1, 1)


async def test_transfers_neither_make_nor_lose_anything(store):
    names = [key(name) for name in "abcd"]
    await write(store, *[put(name, item("10")) for name in names])

    def take(old):
        left = int(old.data) - 3
        return Decision(item(str(left)), is_refused=left < 0)

    async def transfer(number):
        source, target = names[number % 4], names[(number * 7 + 1) % 4]
        if source != target:
            await write(store, ItemWrite(1, source, take), add(target, 3))

    await asyncio.gather(*[transfer(number) for number in range(200)])
    left = [int(data) for data in await get(store, *names)]
    assert sum(left) == 40
    assert min(left) >= 0


async def test_kept_items_stay_and_answer(store):
    await write(store, put(key("a"), item("1", (9, b"x"))))
    written = await write(store, read_only(key("a")), read_only(key("b")), put(key("c"), item("3")))
    assert written.is_written
    assert written.answers == (Item(b"1", 1), None, None)
    assert await get(store, key("a"), key("b"), key("c")) == ["1", None, "3"]
    assert await read(store, index=9) == ["1"]


async def test_what_follows_runs_only_where_it_was_written(store):
    log = AppendLog("s", (LogEntry(1, b"of the write"),))
    timer = PutTimers((Timer("k", "t", 7, b""),))
    written = await write(store, put(key("a"), item("1"), then=(log,)), then=(timer, SendMessages(4, (message("m"),))))
    assert written.is_written
    assert [entry.data for entry in await run(store, ReadLog("s", 10))] == [b"of the write"]
    assert await run(store, NextTimer("k")) == 7
    assert await receive_ids(store, 4) == ["m"]
    woken = []
    store.listen(("log", "s"), lambda: woken.append(1))
    await write(store, put(key("b"), item("1"), then=(log,)), refuse(key("c")))
    assert len(await run(store, ReadLog("s", 10))) == 1
    await write(store, put(key("b"), item("1"), then=(log,)))
    await asyncio.sleep(0)
    assert woken


async def test_what_follows_keeps_the_order_of_the_writes(store):
    def decide(old):
        number = int(old.data) + 1 if old else 1
        entry = LogEntry(1, str(number).encode())
        return Decision(item(str(number)), then=(AppendLog("s", (entry,)),))

    await asyncio.gather(*[write(store, ItemWrite(1, key("a"), decide)) for _ in range(150)])
    entries = await run(store, ReadLog("s", 1000))
    assert [int(entry.data) for entry in entries] == list(range(1, 151))


async def test_index_lists_items_where_they_say(store):
    await write(store, put(key("a"), item("A", (5, b"p", b"2"), (6, b"q"))), put(key("b"), item("B", (5, b"p", b"1"))))
    await write(store, put(key("c"), item("C", (5, b"p", b"1"))), put(key("d"), item("D")))
    assert await read(store, index=5) == ["B", "C", "A"]
    assert await read(store, index=5, is_backward=True) == ["A", "C", "B"]
    assert await read(store, index=6) == ["A"]
    page = await run(store, ReadItems(1, 1, 1 << 20, index=6))
    assert (page.items[0].key, page.items[0].position) == (key("a"), key("q"))
    await write(store, put(key("a"), item("A2", (5, b"o", b"9"))))
    assert await read(store, index=5) == ["A2", "B", "C"]
    assert await read(store, index=6) == []
    await write(store, put(key("b"), None))
    assert await read(store, index=5) == ["A2", "C"]
    assert await run(store, MeasureItems(1, 5)) == TableSize(2, 3)
    assert await run(store, MeasureItems(1, 6)) == TableSize(0, 0)
    assert await run(store, MeasureItems(1)) == TableSize(3, 4)


async def test_indexes_of_two_tables_are_apart(store):
    await write(store, put(key("a"), item("A", (5, b"p"))), put(key("a"), item("X", (5, b"p")), table=2))
    assert await read(store, index=5) == ["A"]
    assert await run(store, DropIndex(1, 5, 10)) == 1
    assert await run(store, MeasureItems(2, 5)) == TableSize(1, 1)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, "abcde"),
        ({"sorts": ItemRange(b"b", b"d")}, "bcd"),
        ({"sorts": ItemRange(b"b", b"d", is_low_excluded=True)}, "cd"),
        ({"sorts": ItemRange(b"b", b"d", is_high_excluded=True)}, "bc"),
        ({"sorts": ItemRange(high=b"b")}, "ab"),
        ({"after": key("p", "c")}, "de"),
        ({"after": key("p", "c"), "is_backward": True}, "ba"),
        ({"after": key("p", "b"), "sorts": ItemRange(b"d")}, "de"),
        ({"after": key("p", "d"), "sorts": ItemRange(b"d")}, "e"),
        ({"after": key("p", "d"), "sorts": ItemRange(high=b"b"), "is_backward": True}, "ba"),
        ({"after": key("a", "z")}, "abcde"),
        ({"after": key("q", "z")}, ""),
        ({"after": key("q", "z"), "is_backward": True}, "edcba"),
        ({"sorts": ItemRange(b"x")}, ""),
    ],
)
async def test_query_is_bounded_within_its_partition(store, options, found):
    await write(store, *[put(key("p", name), item(name)) for name in "ecabd"])
    await write(store, put(key("o", "b"), item("other")), put(key("q", "b"), item("other")))
    assert "".join(await read(store, partition=b"p", **options)) == found


async def test_scan_is_bounded_by_partitions(store):
    await write(store, *[put(key(name, "s"), item(name)) for name in "abcdef"])
    assert await read(store, partition_low=b"b", partition_high=b"e") == ["b", "c", "d"]
    assert await read(store, partition_low=b"b", partition_high=b"e", is_backward=True) == ["d", "c", "b"]
    assert await read(store, partition_low=b"b", after=key("a", "t"), partition_high=b"c") == ["b"]
    assert await read(store, partition_low=b"b", after=key("b", "s"), partition_high=b"d") == ["c"]


async def test_page_ends_at_its_limit_or_size(store):
    await write(store, *[put(key("p", name), item(name * 100)) for name in "abcde"])
    assert await read(store, 2, is_last=False) == ["a" * 100, "b" * 100]
    assert await read(store, 5, is_last=False) == [name * 100 for name in "abcde"]
    assert await read(store, 6) == [name * 100 for name in "abcde"]
    assert await read(store, 10, 200, is_last=False) == ["a" * 100, "b" * 100]
    assert await read(store, 10, 201, is_last=False) == ["a" * 100, "b" * 100, "c" * 100]
    assert await read(store, 10, 1, is_last=False) == ["a" * 100]


@pytest.mark.parametrize("is_backward", [False, True])
@pytest.mark.parametrize("partition", [None, b"p"])
@pytest.mark.parametrize("index", [None, 5])
async def test_pages_join_without_gap_or_double(store, index, partition, is_backward):
    for number in range(40):
        entry = (5, b"p" if number % 4 else b"q", str(number % 3).encode())
        name = key("p" if number % 4 else "q", f"{number:02}")
        await write(store, put(name, item(f"{number:02}", entry)))
    options = {"index": index, "partition": partition, "is_backward": is_backward}
    whole = await run(store, ReadItems(1, 1000, 1 << 20, **options))
    assert len(whole.items) == (40 if partition is None else 30)
    for limit in (1, 7):
        found = []
        after = after_item = None
        while True:
            page = await run(store, ReadItems(1, limit, 1 << 20, after=after, after_item=after_item, **options))
            found += page.items
            if page.is_last:
                break
            after, after_item = page.items[-1].position, page.items[-1].key
        assert found == list(whole.items)


async def test_backfill_enters_only_what_is_still_the_same(store):
    await write(store, put(key("a"), item("A")), put(key("b"), item("B", (6, b"z"))), put(key("c"), item("C")))
    entries = [(key(name), name.upper().encode(), IndexEntry(5, b"p", name.encode())) for name in "abcx"]
    await write(store, put(key("c"), item("changed", (5, b"p", b"c2"))))
    assert await run(store, IndexItems(1, tuple(entries))) == 2
    assert await read(store, index=5) == ["A", "B", "changed"]
    assert await read(store, index=6) == ["B"]
    assert await run(store, MeasureItems(1, 5)) == TableSize(3, 9)
    # Again, as after a crash.
    assert await run(store, IndexItems(1, tuple(entries))) == 2
    assert await run(store, MeasureItems(1, 5)) == TableSize(3, 9)
    await write(store, put(key("a"), None))
    assert await read(store, index=5) == ["B", "changed"]


async def test_index_is_dropped_little_by_little(store):
    for number in range(250):
        await write(store, put(key(str(number)), item("x", (5, b"p", str(number).encode()), (6, b"p"))))
    assert await run(store, DropIndex(1, 5, 200)) == 200
    assert await run(store, MeasureItems(1, 5)) == TableSize(50, 50)
    assert len(await read(store, index=5)) == 50
    await write(store, put(key("0"), item("y")))
    assert await run(store, DropIndex(1, 5, 200)) == 50
    assert await run(store, DropIndex(1, 5, 200)) == 0
    assert await run(store, MeasureItems(1, 5)) == TableSize(0, 0)
    assert await run(store, MeasureItems(1, 6)) == TableSize(249, 249)
    assert await run(store, MeasureItems(1)) == TableSize(250, 250)


async def test_table_is_dropped_little_by_little(store):
    for number in range(30):
        await write(store, put(key(str(number)), item("x", (5, b"p"))))
    await write(store, put(key("other"), item("x", (5, b"p")), table=2))
    assert await run(store, DropItems(1, 20)) == 20
    assert await run(store, MeasureItems(1)) == TableSize(10, 10)
    assert await run(store, MeasureItems(1, 5)) == TableSize(10, 10)
    assert await run(store, DropItems(1, 20)) == 10
    assert await run(store, DropItems(1, 20)) == 0
    assert await read(store, index=5) == []
    assert await get(store, key("other"), table=2) == ["x"]


async def test_items_in_a_transaction_go_with_its_exception(store):
    def work(transaction):
        transaction.apply(WriteItems((add(key("a"), 1),)))
        transaction.apply(WriteItems((add(key("a"), 1), put(key("b"), item("B", (5, b"p"))))))
        assert transaction.apply(GetItems(1, (key("a"),)))[0].data == b"2"
        assert transaction.apply(MeasureItems(1, 5)) == TableSize(1, 1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.transact(work)
    assert await read(store) == await read(store, index=5) == []
    assert await run(store, MeasureItems(1)) == TableSize(0, 0)
    await write(store, add(key("a"), 1))
    assert await get(store, key("a")) == ["1"]


async def test_view_reads_items(store):
    await write(store, put(key("a"), item("A", (5, b"p"))))

    def look(view):
        page = view.ask(ReadItems(1, 10, 100, index=5))
        return page.items[0].data, view.ask(GetItems(1, (key("a"),)))[0].data, view.ask(MeasureItems(1)).items

    assert await store.view(look) == (b"A", b"A", 1)


async def test_one_query_is_asked_alone(store):
    await write(store, *[put(key("p", f"{number:03}"), item(str(number), (5, b"q"))) for number in range(150)])
    names = [key("p", f"{number:03}") for number in range(0, 150, 3)]
    found = await asyncio.gather(*[store.ask(GetItems(1, (name, key("none")))) for name in names])
    assert [(one[0].data, one[1]) for one in found] == [(b"%d" % number, None) for number in range(0, 150, 3)]
    assert [one.data for one in await store.ask(GetItems(1, tuple(names)))] == [one[0].data for one in found]
    assert await store.ask(GetItems(1, ())) == ()
    assert await store.ask(MeasureItems(1)) == TableSize(150, 340)
    for query in (
        ReadItems(1, 1000, 1 << 20, partition=b"p"),
        ReadItems(1, 7, 1 << 20, partition=b"p"),
        ReadItems(1, 1000, 60, partition=b"p"),
        ReadItems(1, 101, 1 << 20, index=5, is_backward=True),
        ReadItems(1, 1000, 1 << 20, partition=b"p", sorts=ItemRange(b"140")),
    ):
        assert await store.ask(query) == await store.view(lambda view, query=query: view.ask(query))
    await write(store, put(key("p", "000"), item("new")))
    assert (await store.ask(GetItems(1, (key("p", "000"),))))[0].data == b"new"


async def test_items_in_one_piece_are_those_of_the_page(store):
    """Long enough that engines join them in several steps, with a few that are large."""
    sizes = {7: 5000, 420: 9000, 421: 4096}
    writes = [
        put(key("p" if number % 10 else "q", f"{number:04}"), item("x" * sizes.get(number, 30), (5, b"r", b"s")))
        for number in range(900)
    ]
    for start in range(0, 900, 100):
        await write(store, *writes[start : start + 100])
    for query in (
        ReadItems(1, 1000, 1 << 20),
        ReadItems(1, 256, 1 << 20),
        ReadItems(1, 600, 1 << 20, partition=b"q", is_backward=True),
        ReadItems(1, 1000, 9000, partition=b"p", sorts=ItemRange(b"0010")),
        ReadItems(1, 700, 1 << 20, partition=b"p", after=key("p", "0400")),
        ReadItems(1, 700, 15_000, index=5, is_backward=True),
        ReadItems(1, 700, 1 << 20, index=5, partition=b"r", after=key("r", "s"), after_item=key("p", "0421")),
        ReadItems(1, 10, 1 << 20, partition=b"none"),
        ReadItems(1, 50, 1 << 20, partition=b"q"),
    ):
        page = await store.view(lambda view, query=query: view.ask(query))
        joined = await store.ask(JoinItems(query))
        assert joined.data == b",".join([one.data for one in page.items])
        assert (joined.count, joined.size) == (len(page.items), sum(one.size for one in page.items))
        assert joined.last == (None if page.is_last else page.items[-1])
        assert await run(store, JoinItems(query)) == joined


async def test_failing_decision_fails_alone(store):
    def fail(_):
        raise ZeroDivisionError

    good = [write(store, add(key("a"), 1)) for _ in range(20)]
    bad = write(store, put(key("b"), item("B")), ItemWrite(1, key("c"), fail))
    results = await asyncio.gather(*good, bad, return_exceptions=True)
    assert isinstance(results[-1], ZeroDivisionError)
    assert await get(store, key("a"), key("b")) == ["20", None]


async def test_large_items_and_long_keys_come_back_whole(store):
    big = bytes(range(256)) * 1600
    longest = (b"p" * 2048, b"s" * 1024)
    others = (b"p" * 2047 + b"q", b"s" * 1023 + b"t")
    names = [ItemKey(partition, sort) for partition in (longest[0], others[0]) for sort in (longest[1], others[1])]
    for number, name in enumerate(names):
        entry = IndexEntry(5, (longest[0], others[0])[number % 2], longest[1])
        await write(store, put(name, Item(big + bytes([number]), len(big), (entry,))))
    assert [one.data[-1] for one in await run(store, GetItems(1, tuple(names)))] == [0, 1, 2, 3]
    page = await run(store, ReadItems(1, 10, 1 << 24))
    assert [one.key for one in page.items] == names
    page = await run(store, ReadItems(1, 10, 1 << 24, partition=names[0].partition, is_backward=True))
    assert [one.data[-1] for one in page.items] == [1, 0]
    page = await run(store, ReadItems(1, 10, 1 << 24, index=5))
    assert [one.data[-1] for one in page.items] == [0, 2, 1, 3]
    page = await run(store, ReadItems(1, 10, 1 << 24, after=names[1]))
    assert [one.key for one in page.items] == names[2:]


async def test_wipe_empties_tables(store):
    await write(store, put(key("a"), item("A", (5, b"p"))))
    await store.wipe()
    assert await read(store) == await read(store, index=5) == []
    assert await run(store, MeasureItems(1)) == TableSize(0, 0)
