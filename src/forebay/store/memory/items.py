"""Items of tables, by the book: an index is all items that name it, sorted."""

from collections.abc import Callable
from typing import Any

import msgspec

from forebay.store.commands import Command
from forebay.store.item_reading import join_page
from forebay.store.items import (
    Decision,
    DropIndex,
    DropItems,
    FoundItem,
    GetItems,
    IndexItems,
    Item,
    ItemKey,
    JoinedItems,
    JoinItems,
    MeasureItems,
    Page,
    ReadItems,
    TableSize,
    WriteItems,
    Written,
)
from forebay.store.memory.state import State

Table = dict[ItemKey, Item]
# Where a table or an index lists an item: partition and sort key there, then the item's own.
Position = tuple[bytes, bytes, bytes, bytes]


def write(state: State, command: WriteItems, run: Callable[[Command[Any]], object]) -> Written:
    """Decide about items and write them, all or none; `run` runs what is to follow in the same commit."""
    decisions: list[Decision] = []
    for one in command.writes:
        item = state.table(one.table).get(one.key)
        decisions.append(one.decide(None if item is None else Item(item.data, item.size)))
    answers = tuple([decision.answer for decision in decisions])
    if any(decision.is_refused for decision in decisions):
        return Written(is_written=False, answers=answers)
    for one, decision in zip(command.writes, decisions, strict=True):
        if not decision.is_kept:
            state.table(one.table).pop(one.key, None)
            if decision.item is not None:
                state.table(one.table)[one.key] = decision.item
    for following in (*[each for decision in decisions for each in decision.then], *command.then):
        run(following)
    return Written(is_written=True, answers=answers)


def get(state: State, query: GetItems) -> tuple[Item | None, ...]:
    """Read items by key."""
    table = state.table(query.table)
    found = [table.get(key) for key in query.keys]
    return tuple(None if item is None else Item(item.data, item.size) for item in found)


def read(state: State, query: ReadItems) -> Page:
    """Read items in order."""
    after = query.after
    last = None if after is None else (after.partition, after.sort)
    if last is not None and query.index is not None and query.after_item is not None:
        last = (*last, query.after_item.partition, query.after_item.sort)
    found: list[FoundItem] = []
    size = 0
    for position, item in sorted(_listed(state, query.table, query.index), reverse=query.is_backward):
        place = position[: len(last)] if last is not None else ()
        is_behind = last is None or (place < last if query.is_backward else place > last)
        if not is_behind or not _is_in(query, *position[:2]):
            continue
        found.append(FoundItem(ItemKey(*position[2:]), item.data, item.size, ItemKey(*position[:2])))
        size += item.size
        if len(found) >= query.limit or size >= query.size_max:
            return Page(tuple(found), is_last=False)
    return Page(tuple(found), is_last=True)


def join(state: State, query: JoinItems) -> JoinedItems:
    """Read items in order into one piece."""
    return join_page(read(state, query.page))


def measure(state: State, query: MeasureItems) -> TableSize:
    """Measure a table or an index."""
    listed = _listed(state, query.table, query.index)
    return TableSize(len(listed), sum(item.size for _, item in listed))


def enter(state: State, command: IndexItems) -> int:
    """Enter items that are still the same into an index."""
    entered = 0
    table = state.table(command.table)
    for key, data, entry in command.entries:
        item = table.get(key)
        if item is None or item.data != data:
            continue
        others = tuple(one for one in item.entries if one.index != entry.index)
        table[key] = msgspec.structs.replace(item, entries=(*others, entry))
        entered += 1
    return entered


def drop_index(state: State, command: DropIndex) -> int:
    """Delete the first entries of an index."""
    table = state.table(command.table)
    listed = sorted(_listed(state, command.table, command.index))[: command.limit]
    for position, item in listed:
        others = tuple(one for one in item.entries if one.index != command.index)
        table[ItemKey(*position[2:])] = msgspec.structs.replace(item, entries=others)
    return len(listed)


def drop(state: State, command: DropItems) -> int:
    """Delete the first items of a table."""
    table = state.table(command.table)
    listed = sorted(_listed(state, command.table, None))[: command.limit]
    for position, _ in listed:
        del table[ItemKey(*position[2:])]
    return len(listed)


def _listed(state: State, table: int, index: int | None) -> list[tuple[Position, Item]]:
    items = state.table(table).items()
    if index is None:
        return [((key.partition, key.sort, key.partition, key.sort), item) for key, item in items]
    return [
        ((entry.partition, entry.sort, key.partition, key.sort), item)
        for key, item in items
        for entry in item.entries
        if entry.index == index
    ]


def _is_in(query: ReadItems, partition: bytes, sort: bytes) -> bool:
    """Return whether a query's bounds include a position."""
    if query.partition is None:
        low, high = query.partition_low, query.partition_high
        return (low is None or partition >= low) and (high is None or partition < high)
    sorts = query.sorts
    return (
        partition == query.partition
        and (sorts.low is None or sort > sorts.low or (sort == sorts.low and not sorts.is_low_excluded))
        and (sorts.high is None or sort < sorts.high or (sort == sorts.high and not sorts.is_high_excluded))
    )
