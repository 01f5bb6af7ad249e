"""What requests consume: read and write units, of the table and of each index (developer guide, "Read/write capacity").

Answers are plain dicts by wire names, ready to be written.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from forebay.languages.dynamodb.value import is_same_item
from forebay.services.dynamodb.layout import IndexLayout, Layout, decode_item
from forebay.store.items import Item

_READ_BYTES = 4096
WRITE_BYTES = 1024


def read_units(size: int, *, is_consistent: bool) -> float:
    """Return what reading so many bytes costs."""
    blocks = max(-(-size // _READ_BYTES), 1)
    return float(blocks) if is_consistent else blocks * 0.5


def write_units(size: int) -> float:
    """Return what writing an item of so many bytes costs."""
    return float(max(-(-size // WRITE_BYTES), 1))


class Consumed:
    """Units of one table in one request."""

    def __init__(self) -> None:
        self.table = 0.0
        self.indexes: dict[str, float] = {}
        self.locals: set[str] = set()

    def add_index(self, layout: IndexLayout, units: float) -> None:
        """Count units of an index."""
        self.indexes[layout.name] = self.indexes.get(layout.name, 0.0) + units
        if not layout.index.is_global:
            self.locals.add(layout.name)

    def add_write(self, layout: Layout, old: Item | None, new: Item | None, *, times: int = 1) -> None:
        """Count the write that made `new` of `old`."""
        self.table += times * write_units(max(old.size if old else 0, new.size if new else 0))
        if layout.kept and (old is not None or new is not None):
            for index, units in _index_units(layout, old, new):
                self.add_index(index, times * units)

    def total(self) -> float:
        """Return all units together."""
        return self.table + sum(self.indexes.values())

    def shown(self, name: str, detail: str, kind: str | None = None) -> dict[str, Any]:
        """Return the answer's member; `kind` is Read or Write where units are given a second time by kind."""
        total = self.total()
        shown: dict[str, Any] = {"TableName": name, "CapacityUnits": total}
        if kind is not None:
            shown[f"{kind}CapacityUnits"] = total
        if detail == "INDEXES":
            shown["Table"] = _units(self.table, kind)
            for member, is_local in (("LocalSecondaryIndexes", True), ("GlobalSecondaryIndexes", False)):
                found = {n: _units(u, kind) for n, u in self.indexes.items() if (n in self.locals) is is_local}
                if found:
                    shown[member] = found
        return shown


def _units(units: float, kind: str | None) -> dict[str, float]:
    return {"CapacityUnits": units} if kind is None else {f"{kind}CapacityUnits": units, "CapacityUnits": units}


def wants_capacity(detail: str | None) -> bool:
    """Tell whether a request asks for its consumed capacity."""
    return detail is not None and detail != "NONE"


def _index_units(layout: Layout, old: Item | None, new: Item | None) -> Iterable[tuple[IndexLayout, float]]:
    before = None if old is None else decode_item(old.data)
    after = None if new is None else decode_item(new.data)
    for index in layout.kept:
        units = 0.0
        had, has = before is not None and index.has(before), after is not None and index.has(after)
        old_size = index.size_of(before, old.size) if before is not None and old is not None and had else 0
        new_size = index.size_of(after, new.size) if after is not None and new is not None and has else 0
        if had and has and before is not None and after is not None:
            if _has_same_key(index, before, after):
                is_same = is_same_item(index.project(before), index.project(after))
                units = 0.0 if is_same else write_units(max(old_size, new_size))
            else:
                units = write_units(old_size) + write_units(new_size)
        elif had or has:
            units = write_units(old_size or new_size)
        if units:
            yield index, units


def _has_same_key(index: IndexLayout, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one[name] == other[name] for name in index.key.names)
