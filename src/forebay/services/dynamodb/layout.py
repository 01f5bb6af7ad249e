"""What of a table every request needs, worked out once: its keys and those of its indexes, ready to encode.

A layout belongs to one version of a table's record; the next version has another.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from forebay.core.errors import ServiceError
from forebay.languages.dynamodb import key as keys
from forebay.languages.dynamodb.errors import invalid, invalid_parameter
from forebay.languages.dynamodb.key_condition import KeyAttributes
from forebay.languages.dynamodb.value import Item as Values
from forebay.languages.dynamodb.value import item_size, utf8_length
from forebay.services.dynamodb import limits
from forebay.services.dynamodb.errors import empty_key, key_mismatch
from forebay.services.dynamodb.table import Index, Table
from forebay.store.items import IndexEntry, ItemKey

decode_item = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode
encode_item = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class IndexLayout:
    """An index: its key, and which attributes it has (None: all)."""

    index: Index
    key: KeyAttributes
    projected: frozenset[str] | None

    @property
    def name(self) -> str:
        """The index's name."""
        return self.index.name

    def project(self, item: Values) -> Values:
        """Return what the index holds of an item."""
        if self.projected is None:
            return item
        return {name: value for name, value in item.items() if name in self.projected}

    def size_of(self, item: Values, size: int) -> int:
        """Return what an item counts in the index; `size` is what it counts in the table."""
        return size if self.projected is None else item_size(self.project(item))

    def has(self, item: Values) -> bool:
        """Tell whether the index lists an item, whose key attributes have the right types where they are there."""
        return all(name in item for name in self.key.names)


class Layout:
    """A table ready for use."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.number = table.number
        self.key = table.attributes()
        self.partition = table.partition[0]
        self.sort = table.sort[0] if table.sort else None
        self.partition_type = table.types[self.partition]
        self.sort_type = table.types[self.sort] if self.sort else None
        self._encode_partition = keys.ENCODERS[self.partition_type]
        self._encode_sort = keys.ENCODERS[self.sort_type or "S"]
        self.indexes = tuple(_index_layout(table, index) for index in table.indexes)
        self.has_locals = any(not layout.index.is_global for layout in self.indexes)
        # Those that writes keep up: an index that is being deleted is left alone.
        self.kept = tuple(layout for layout in self.indexes if layout.index.status != "DELETING")
        self.ttl = table.ttl if table.ttl is not None and table.ttl.is_enabled else None
        self.is_plain = not self.kept and self.ttl is None
        self.has_effects = table.stream is not None or table.recovery is not None

    def find_index(self, name: str) -> IndexLayout | None:
        """Return an index that can be read, by its name."""
        return next((layout for layout in self.indexes if layout.name == name), None)

    def item_key(self, item: Values) -> ItemKey:
        """Return where an item that is to be written stands.

        Raises:
            ValidationException: a key attribute is missing, of another type, empty or too large.
        """
        value = item.get(self.partition)
        if value is None:
            raise invalid_parameter(f"Missing the key {self.partition} in the item")
        if self.partition_type not in value:
            raise _type_mismatch(self.partition, self.partition_type, value)
        if self.sort is None:
            return ItemKey(self._partition_bytes(value))
        sort = item.get(self.sort)
        if sort is None:
            raise invalid_parameter(f"Missing the key {self.sort} in the item")
        if self.sort_type not in sort:
            raise _type_mismatch(self.sort, str(self.sort_type), sort)
        return ItemKey(self._partition_bytes(value), self._sort_bytes(sort))

    def lookup_key(self, key: Values) -> ItemKey:
        """Return where the item with a key stands.

        Raises:
            ValidationException: the key is not one of this table.
        """
        value = key.get(self.partition)
        if value is None or self.partition_type not in value or len(key) != (1 if self.sort is None else 2):
            raise key_mismatch()
        if self.sort is None:
            return ItemKey(self._partition_bytes(value))
        sort = key.get(self.sort)
        if sort is None or self.sort_type not in sort:
            raise key_mismatch()
        return ItemKey(self._partition_bytes(value), self._sort_bytes(sort))

    def key_of(self, item: Values) -> Values:
        """Return the key attributes of an item."""
        if self.sort is None:
            return {self.partition: item[self.partition]}
        return {self.partition: item[self.partition], self.sort: item[self.sort]}

    def _partition_bytes(self, value: dict[str, Any]) -> bytes:
        coded = self._encode_partition(value[self.partition_type])
        if not coded:
            raise empty_key(self.partition, self.partition_type)
        if len(coded) > limits.PARTITION_KEY_BYTES_MAX:
            text = "Size of hashkey has exceeded the maximum size limit of2048 bytes"
            raise invalid_parameter(text)
        return keys.with_checksum(coded)

    def _sort_bytes(self, value: dict[str, Any]) -> bytes:
        coded = self._encode_sort(value[self.sort_type or ""])
        if not coded:
            raise empty_key(str(self.sort), str(self.sort_type))
        if len(coded) > limits.SORT_KEY_BYTES_MAX:
            text = "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
            raise invalid_parameter(text)
        return coded

    def updated_entries(self, item: Values, key: ItemKey) -> tuple[IndexEntry, ...]:
        """Return where indexes list an item that an update has made.

        Raises:
            ValidationException: an index's key attribute has another type or is empty.
        """
        try:
            return self.entries(item, key)
        except ServiceError as error:
            # Documented with TransactWriteItems' reasons of cancellation.
            if "Type mismatch for Index Key" in error.message:
                text = "The update expression attempted to update the secondary index key to unsupported type"
                raise invalid(text) from None
            raise

    def entries(self, item: Values, key: ItemKey, *, is_strict: bool = True) -> tuple[IndexEntry, ...]:
        """Return where indexes list an item.

        Raises:
            ValidationException: an index's key attribute has another type or is empty; unless not `is_strict`, where
                that index does not list the item.
        """
        if self.is_plain:
            return ()
        found: list[IndexEntry] = []
        for layout in self.kept:
            entry = index_entry(layout, item, key, is_strict=is_strict)
            if entry is not None:
                found.append(entry)
        expiry = self.expiry(item)
        if expiry is not None:
            found.append(expiry)
        return tuple(found)

    def expiry(self, item: Values) -> IndexEntry | None:
        """Return where the index of expiries lists an item, if its attribute has a number."""
        if self.ttl is None:
            return None
        value = item.get(self.ttl.attribute)
        if value is None or "N" not in value:
            return None
        return IndexEntry(self.ttl.number, b"", keys.encode_scalar(value))


def _index_layout(table: Table, index: Index) -> IndexLayout:
    key = KeyAttributes(index.partition, index.sort, table.types)
    projected: frozenset[str] | None = None
    if index.projection != "ALL":
        projected = frozenset((*key.names, *table.partition, *table.sort, *index.non_key_attributes))
    return IndexLayout(index, key, projected)


def index_entry(layout: IndexLayout, item: Values, key: ItemKey, *, is_strict: bool = True) -> IndexEntry | None:
    """Return where an index lists an item, or None where it does not."""
    if not _check_index_key(layout, item, is_strict=is_strict):
        return None
    attributes = layout.key
    if layout.index.is_global:
        partition = keys.encode_partition([item[name] for name in attributes.partition])
    else:
        partition = key.partition
    sorts = [item[name] for name in attributes.sort]
    return IndexEntry(layout.index.number, partition, keys.encode_sort(sorts, is_compound=len(sorts) > 1))


def _check_index_key(layout: IndexLayout, item: Values, *, is_strict: bool) -> bool:
    """Tell whether an item has all of an index's key attributes; refuse those it has with another type, or empty."""
    is_whole = True
    for name in layout.key.names:
        value = item.get(name)
        if value is None:
            is_whole = False
            continue
        wanted = layout.key.types[name]
        if wanted in value and value[wanted] != "" and _fits(layout, name, value):
            continue
        if not is_strict:
            return False
        _refuse_index_key(layout, name, value)
    return is_whole


def _fits(layout: IndexLayout, name: str, value: dict[str, Any]) -> bool:
    held = next(iter(value.values()))
    # No character has more than four bytes, so that short keys need no measuring.
    if len(held) * 4 <= limits.SORT_KEY_BYTES_MAX:
        return True
    is_partition = name in layout.key.partition
    most = limits.PARTITION_KEY_BYTES_MAX if is_partition else limits.SORT_KEY_BYTES_MAX
    return (utf8_length(held) if "S" in value else len(keys.encode_scalar(value))) <= most


def _refuse_index_key(layout: IndexLayout, name: str, value: dict[str, Any]) -> None:
    ((kind, held),) = value.items()
    wanted = layout.key.types[name]
    if kind != wanted:
        raise invalid_parameter(
            f"Type mismatch for Index Key {name} Expected: {wanted} Actual: {kind} IndexName: {layout.name}"
        )
    if held == "":
        kind_name = "string" if kind == "S" else "binary"
        raise invalid(
            "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
            f"The AttributeValue for a key attribute cannot contain an empty {kind_name} value. "
            f"IndexName: {layout.name}, IndexKey: {name}"
        )
    if name in layout.key.partition:
        raise invalid_parameter("Size of hashkey has exceeded the maximum size limit of2048 bytes")
    raise invalid_parameter("Aggregated size of all range keys has exceeded the size limit of 1024 bytes")


def _type_mismatch(name: str, wanted: str, value: dict[str, Any]) -> Exception:
    return invalid_parameter(f"Type mismatch for key {name} expected: {wanted} actual: {next(iter(value))}")
