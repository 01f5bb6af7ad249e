"""What the writes of one commit decide about items, before any of it is in the database: what SQL engines share.

Several commands of a commit may name the same item: each decides on what the one before has left of it. At the end
only the difference between the first and the last state is written.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from forebay.store.commands import Command
from forebay.store.items import IndexEntry, Item, ItemKey, WriteItems, Written

# An item's table, partition key and sort key.
Name = tuple[int, bytes, bytes]

# Items that are decided about together, and so are in memory with their content at once.
NAMES_MAX = 128

_ENTRIES = msgspec.msgpack.Decoder(list[tuple[int, bytes, bytes]])


class Standing(msgspec.Struct, frozen=True, gc=False):
    """An item that is in the database: its row's number (where the engine has one) and its encoded index entries."""

    row: int
    data: bytes
    size: int
    entries: bytes


class Change(msgspec.Struct, frozen=True, gc=False):
    """How an item stands in the database, and how it is to stand there (None: not at all)."""

    name: Name
    old: Standing | None
    new: Item | None


class Decided:
    """Decides for command after command, and keeps what becomes of the items."""

    __slots__ = ("_after", "_before", "relied_absent", "then")

    def __init__(self, before: Mapping[Name, Standing]) -> None:
        self._before = before
        self._after: dict[Name, Item | None] = {}
        # What is to run in the same commit, in order, a sequence for each command.
        self.then: list[Sequence[Command[Any]]] = []
        # Items that are not there and do not come, on which commands about several items have relied.
        self.relied_absent: set[Name] = set()

    def run(self, command: WriteItems) -> Written:
        """Decide about a command's items, all or none."""
        names: list[Name] = []
        decisions = [write.decide(self._find(write.table, write.key, names)) for write in command.writes]
        answers = tuple([decision.answer for decision in decisions])
        for decision in decisions:
            if decision.is_refused:
                return Written(is_written=False, answers=answers)
        after = self._after
        for name, decision in zip(names, decisions, strict=True):
            if len(names) > 1 and (decision.is_kept or decision.item is None) and name not in self._before:
                self.relied_absent.add(name)
            if not decision.is_kept:
                after[name] = decision.item
            if decision.then:
                self.then.append(decision.then)
        if command.then:
            self.then.append(command.then)
        return Written(is_written=True, answers=answers)

    def changes(self) -> list[Change]:
        """Return what is to be written, in the order in which items were first named."""
        before = self._before
        return [
            Change(name, before.get(name), item)
            for name, item in self._after.items()
            if item is not None or name in before
        ]

    def _find(self, table: int, key: ItemKey, names: list[Name]) -> Item | None:
        name = (table, key.partition, key.sort)
        names.append(name)
        if name in self._after:
            item = self._after[name]
            return Item(item.data, item.size) if item is not None and item.entries else item
        standing = self._before.get(name)
        return None if standing is None else Item(standing.data, standing.size)


def chunks(commands: Iterable[WriteItems]) -> Iterable[tuple[list[WriteItems], list[Name]]]:
    """Split commands, in order, into parts that name about `NAMES_MAX` items; with the names, each once."""
    part: list[WriteItems] = []
    names: dict[Name, None] = {}
    for command in commands:
        part.append(command)
        for write in command.writes:
            names[write.table, write.key.partition, write.key.sort] = None
        if len(names) >= NAMES_MAX:
            yield part, list(names)
            part, names = [], {}
    if part:
        yield part, list(names)


def entered(
    table: int, part: Sequence[tuple[ItemKey, bytes, IndexEntry]], before: Mapping[Name, Standing]
) -> list[Change]:
    """Return the changes that enter items into an index, of those that are still what `part` says."""
    after: dict[Name, Item] = {}
    for key, data, entry in part:
        name = (table, key.partition, key.sort)
        old = before.get(name)
        if old is not None and old.data == data:
            after[name] = without(old, entry.index, (entry,))
    return [Change(name, before[name], item) for name, item in after.items()]


def without(old: Standing, index: int, instead: tuple[IndexEntry, ...] = ()) -> Item:
    """Return an item without its entry in an index."""
    kept = [IndexEntry(*entry) for entry in decode_entries(old.entries) if entry[0] != index]
    return Item(old.data, old.size, (*kept, *instead))


def encode_entries(entries: Sequence[IndexEntry]) -> bytes:
    """Encode where indexes list an item; the same entries in the same order are the same bytes."""
    if not entries:
        return b""
    return msgspec.msgpack.encode([(entry.index, entry.partition, entry.sort) for entry in entries])


def decode_entries(encoded: bytes) -> list[tuple[int, bytes, bytes]]:
    """Return indexes, partition and sort keys."""
    return _ENTRIES.decode(encoded) if encoded else []
