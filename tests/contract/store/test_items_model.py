"""Random histories of items: each engine answers what the oracle answers, and indexes agree with their items."""

import asyncio
import itertools

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

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
    MeasureItems,
    ReadItems,
    WriteItems,
)
from tests.contract.store.test_model import _Pair, agree  # noqa: F401 - `agree` is a fixture

WHOLE = 1 << 30

tables = st.integers(1, 2)
indexes = st.integers(5, 6)
texts = st.sampled_from([b"", b"\x00", b"a", b"a\x00", b"ab", b"b", b"\xff"])
# Longer than what a page of PostgreSQL's can hold as a key.
long_texts = st.sampled_from([b"", b"a", b"b", b"a" * 1500, b"a" * 1500 + b"a", b"a" * 1500 + b"b", b"a" * 2048])
sizes = st.sampled_from([1, 10, 100])


def keys(parts):
    return st.builds(ItemKey, parts, parts)


def writes(parts):
    """Return a strategy for a write's parts: which item, what is done if it is like that, and its entries."""
    entries = st.dictionaries(indexes, st.tuples(parts, parts), max_size=2)
    deeds = st.sampled_from(["put", "put", "put", "delete", "count", "keep", "refuse if new", "refuse if there"])
    return st.tuples(keys(parts), deeds, sizes, entries)


def decide(deed, name, size, entries):
    """Return the decision of one write as a function."""
    listed = tuple(IndexEntry(index, *places) for index, places in sorted(entries.items()))

    def put(old):
        return Decision(Item(name, size, listed), answer=old)

    def count(old):
        return Decision(Item((old.data if old else b"") + b"+", size, listed), answer=old)

    deeds = {
        "put": put,
        "count": count,
        "delete": lambda old: Decision(answer=old),
        "keep": lambda old: Decision(is_kept=True, answer=old),
        "refuse if new": lambda old: Decision(is_refused=True, answer=old) if old is None else put(old),
        "refuse if there": lambda old: Decision(is_refused=True, answer=old) if old is not None else put(old),
    }
    return deeds[deed]


class Items(_Pair):
    parts = texts

    def __init__(self, open_engine):
        super().__init__(open_engine)
        self.numbers = itertools.count()

    def command(self, table, chosen):
        unique = {key: (key, *rest) for key, *rest in chosen}
        name = str(next(self.numbers)).encode()
        return WriteItems(
            tuple(
                ItemWrite(table, key, decide(deed, name, size, entries)) for key, deed, size, entries in unique.values()
            )
        )

    def _write(self, table, chosen):
        self.same(self.command(table, chosen))

    def _write_at_once(self, table, several):
        """Submit several commands that share a commit."""
        commands = [self.command(table, chosen) for chosen in several]

        async def submit(store):
            return await asyncio.gather(*[store.submit((command,)) for command in commands])

        left, right = [self.runner.run(submit(store)) for store in self.engines]
        assert [list(one) for one in left] == [list(one) for one in right]

    def _read(self, data):
        table, index = data.draw(tables), data.draw(st.one_of(st.none(), indexes))
        parts = st.one_of(st.none(), self.parts)
        whole = ReadItems(
            table,
            WHOLE,
            WHOLE,
            index,
            data.draw(parts),
            ItemRange(data.draw(parts), data.draw(parts), data.draw(st.booleans()), data.draw(st.booleans())),
            data.draw(parts),
            data.draw(parts),
            is_backward=data.draw(st.booleans()),
        )
        everything = self.same(whole)
        limit, size_max = data.draw(st.integers(1, 5)), data.draw(st.sampled_from([1, 20, 150, WHOLE]))
        page = self.same(msgspec.structs.replace(whole, limit=limit, size_max=size_max))
        found = list(page.items)
        while not page.is_last:
            last = page.items[-1]
            after = {"after": last.position, "after_item": last.key}
            page = self.same(msgspec.structs.replace(whole, limit=limit, size_max=size_max, **after))
            found += page.items
        assert tuple(found) == everything.items

    def _enter(self, data):
        table = data.draw(tables)
        page = self.same(ReadItems(table, 10, WHOLE))
        known = [(one.key, one.data) for one in page.items] or [(ItemKey(b"x"), b"")]
        chosen = data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=4))
        chosen = [(key, content if data.draw(st.booleans()) else b"stale") for key, content in chosen]
        index = data.draw(indexes)
        entries = tuple(
            (key, content, IndexEntry(index, data.draw(self.parts), data.draw(self.parts)))
            for key, content in dict(chosen).items()
        )
        self.same(IndexItems(table, entries))

    @rule(table=tables, names=st.lists(keys(texts), max_size=4))
    def get(self, table, names):
        self.same(GetItems(table, tuple(names)))

    @rule()
    def reopen(self):
        self.reopen_engine()

    @invariant()
    def agree(self):
        for table in (1, 2):
            for index in (None, 5, 6):
                size = self.same(MeasureItems(table, index))
                page = self.same(ReadItems(table, WHOLE, WHOLE, index))
                assert (len(page.items), sum(one.size for one in page.items)) == (size.items, size.size)


class ShortKeys(Items):
    @rule(table=tables, index=indexes, limit=st.integers(1, 4))
    def drop_index(self, table, index, limit):
        self.same(DropIndex(table, index, limit))

    @rule(table=tables, limit=st.integers(1, 4))
    def drop(self, table, limit):
        self.same(DropItems(table, limit))

    @rule(table=tables, chosen=st.lists(writes(texts), min_size=1, max_size=4))
    def write(self, table, chosen):
        self._write(table, chosen)

    @rule(table=tables, several=st.lists(st.lists(writes(texts), min_size=1, max_size=3), min_size=2, max_size=8))
    def write_at_once(self, table, several):
        self._write_at_once(table, several)

    @rule(data=st.data())
    def read(self, data):
        self._read(data)

    @rule(data=st.data())
    def enter(self, data):
        self._enter(data)


class LongKeys(Items):
    parts = long_texts

    # In which order they go is the engine's affair where keys are long.
    @rule(table=tables, index=indexes)
    def drop_index(self, table, index):
        self.same(DropIndex(table, index, 1000))

    @rule(table=tables)
    def drop(self, table):
        self.same(DropItems(table, 1000))

    @rule(table=tables, chosen=st.lists(writes(long_texts), min_size=1, max_size=4))
    def write(self, table, chosen):
        self._write(table, chosen)

    @rule(data=st.data())
    def read(self, data):
        self._read(data)

    @rule(data=st.data())
    def enter(self, data):
        self._enter(data)


def test_items_agree_with_the_oracle(agree):  # noqa: F811
    agree(ShortKeys)


def test_items_with_long_keys_agree_with_the_oracle(agree):  # noqa: F811
    agree(LongKeys)
