"""Items as values: what can be asked of tables that are ordered by key, have indexes, and decide as they write.

A table is a number. An item stands under a key of two byte strings and is ordered by them, bytewise; who encodes the
keys decides what that order means. Indexes (numbers too) list items under further keys of their own. An index entry
holds no copy: reading an index reads the items themselves, so that the two never disagree.

A write carries its decision with it: a pure function from the item that is there to what becomes of it. The engine
calls it inside the commit, so conditions and updates of concurrent callers see each other without a retry, and a
hundred updates of one item still share one commit.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from forebay.store.commands import Command, Query


class ItemKey(msgspec.Struct, frozen=True, gc=False):
    """Names an item within its table."""

    partition: bytes
    sort: bytes = b""


class IndexEntry(msgspec.Struct, frozen=True, gc=False):
    """Where an index lists an item: at most one entry per index and item."""

    index: int
    partition: bytes
    sort: bytes = b""


class Item(msgspec.Struct, frozen=True, gc=False):
    """An item's content. `data` is opaque to the store; `size` is what limits and counts go by, in bytes."""

    data: bytes
    size: int
    entries: tuple[IndexEntry, ...] = ()


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What becomes of an item, and `answer`, which goes back to the caller.

    `item` None deletes it. With `is_kept` nothing is changed (a read in a transaction, a condition check that holds).
    With `is_refused` nothing of the whole command is written. `then` runs in the same commit where the command is
    written: stream records, timers, messages.
    """

    item: Item | None = None
    answer: Any = None
    is_kept: bool = False
    is_refused: bool = False
    then: tuple[Command[Any], ...] = ()


Decide = Callable[[Item | None], Decision]
"""Pure and quick: it runs on the engine's writer thread, and again where a commit is repeated."""


class ItemWrite(msgspec.Struct, frozen=True, gc=False):
    """One item's write: `decide` is given the item as it stands (None: there is none; `entries` are not given)."""

    table: int
    key: ItemKey
    decide: Decide


class Written(msgspec.Struct, frozen=True, gc=False):
    """What a `WriteItems` did: all of it or nothing, and each decision's answer, in order."""

    is_written: bool
    answers: tuple[Any, ...]


class WriteItems(Command[Written], frozen=True, gc=False):
    """Decide about items and write them, all or none. Each item is named at most once in a command.

    `then` runs after the writes, in the same commit, and only where they are written. `weight` is about how many bytes
    the command and what its decisions hold keep in memory while it waits: what waits in a store is bounded by it.
    """

    writes: tuple[ItemWrite, ...]
    then: tuple[Command[Any], ...] = ()
    weight: int = 0


class FoundItem(msgspec.Struct, frozen=True, gc=False):
    """An item that was read, with its key in its table."""

    key: ItemKey
    data: bytes
    size: int
    # Where the index that was read lists it (the item's own key in a read of the table itself).
    position: ItemKey


class GetItems(Query[tuple[Item | None, ...]], frozen=True, gc=False):
    """Read items of one table by key, in the order of the keys; None where there is none (`entries` are not given)."""

    table: int
    keys: tuple[ItemKey, ...]


class ItemRange(msgspec.Struct, frozen=True, gc=False):
    """Bounds of sort keys, each included unless it says otherwise; None leaves that side open."""

    low: bytes | None = None
    high: bytes | None = None
    is_low_excluded: bool = False
    is_high_excluded: bool = False


class Page(msgspec.Struct, frozen=True, gc=False):
    """Items in order, and whether there may be more behind the last one."""

    items: tuple[FoundItem, ...]
    is_last: bool


class ReadItems(Query[Page], frozen=True, gc=False):
    """Read items of a table, or of one of its indexes, in order of key; in an index equals stand in order of item key.

    With `partition` only that one, and of it only the sort keys in `sorts`. Without it all partitions from
    `partition_low` on, up to (not including) `partition_high`. `after` (and in an index `after_item`) is where the
    page before ended. A page ends with the item that brings it to `limit` items or `size_max` bytes.
    """

    table: int
    limit: int
    size_max: int
    index: int | None = None
    partition: bytes | None = None
    sorts: ItemRange = ItemRange()
    partition_low: bytes | None = None
    partition_high: bytes | None = None
    after: ItemKey | None = None
    after_item: ItemKey | None = None
    is_backward: bool = False


class JoinedItems(msgspec.Struct, frozen=True, gc=False):
    """A page's items in one piece: their data with a comma between each two, how many, and the sum of their `size`.

    `last` is the item that the page ends with; None where there are no more behind it.
    """

    data: bytes
    count: int
    size: int
    last: FoundItem | None


class JoinItems(Query[JoinedItems], frozen=True, gc=False):
    """Read a page as `page` says, for those who pass its items on as they are: at a third of the cost."""

    page: ReadItems


class TableSize(msgspec.Struct, frozen=True, gc=False):
    """How many items a table or an index has, and the sum of their `size`."""

    items: int
    size: int


class MeasureItems(Query[TableSize], frozen=True, gc=False):
    """Measure a table, or with `index` how many of its items that lists, from counters kept with every change."""

    table: int
    index: int | None = None


class IndexItems(Command[int], frozen=True, gc=False):
    """Enter items of a table into an index where they are still what `data` says; answers how many. For backfilling."""

    table: int
    entries: tuple[tuple[ItemKey, bytes, IndexEntry], ...]


class DropIndex(Command[int], frozen=True, gc=False):
    """Delete up to `limit` entries of an index; answers how many."""

    table: int
    index: int
    limit: int


class DropItems(Command[int], frozen=True, gc=False):
    """Delete up to `limit` items of a table with their index entries and without a trace; answers how many."""

    table: int
    limit: int
