"""What a write leaves behind in the same commit, beside the item: a stream record, and the way back for recovery."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from forebay.languages.dynamodb.value import Item as Values
from forebay.languages.dynamodb.value import is_same_item, item_size
from forebay.operations.call import Call
from forebay.services.dynamodb import limits
from forebay.services.dynamodb.layout import Layout, decode_item
from forebay.services.dynamodb.stream import log_name
from forebay.store.commands import AppendLog, Command, LogEntry
from forebay.store.items import Item, ItemKey

TTL_IDENTITY = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}

_DAY_MS = 24 * 3600 * 1000


class Undo(msgspec.Struct, frozen=True, array_like=True):
    """How an item was before a change: what point-in-time recovery goes back by."""

    partition: bytes
    sort: bytes
    data: bytes | None
    size: int


def changes_log(table_id: str) -> str:
    """Return the name of the log of a table's changes."""
    return f"dynamodb.changes/{table_id}"


@dataclass(frozen=True)
class Effects:
    """Makes the commands that go with one item's write. `now` is asked when the write is decided."""

    layout: Layout
    key: Values
    item_key: ItemKey
    event_id: str
    now: Callable[[], float]
    identity: dict[str, str] | None = None

    def commands(self, old: Item | None, new: Item | None) -> tuple[Command[Any], ...]:
        """Return what is to be done where the write makes `new` of `old`: nothing where they are the same."""
        if old is None and new is None:
            return ()
        if old is not None and new is not None and is_same(old, new):
            return ()
        table, at = self.layout.table, self.now()
        found: list[Command[Any]] = []
        if table.stream is not None:
            data = self._record(table.stream.view_type, at, old, new)
            at_ms = int(at * 1000)
            entry = LogEntry(at_ms, data, at_ms + limits.STREAM_SECONDS * 1000)
            found.append(AppendLog(log_name(table.id, table.stream.label), (entry,)))
        if table.recovery is not None:
            found.append(self._undo(at, old, table.recovery.days))
        return tuple(found)

    def _record(self, view_type: str, at: float, old: Item | None, new: Item | None) -> bytes:
        size = item_size(self.key)
        change: dict[str, Any] = {"ApproximateCreationDateTime": float(int(at)), "Keys": self.key}
        if new is not None and view_type in {"NEW_IMAGE", "NEW_AND_OLD_IMAGES"}:
            change["NewImage"] = msgspec.Raw(new.data)
            size += new.size
        if old is not None and view_type in {"OLD_IMAGE", "NEW_AND_OLD_IMAGES"}:
            change["OldImage"] = msgspec.Raw(old.data)
            size += old.size
        change["SizeBytes"] = size
        change["StreamViewType"] = view_type
        record: dict[str, Any] = {
            "eventID": self.event_id,
            "eventName": "INSERT" if old is None else "REMOVE" if new is None else "MODIFY",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": self.layout.table.region,
            "dynamodb": change,
        }
        if self.identity is not None:
            record["userIdentity"] = self.identity
        return msgspec.json.encode(record)

    def _undo(self, at: float, old: Item | None, days: int) -> Command[Any]:
        key = self.item_key
        undo = Undo(key.partition, key.sort, None if old is None else old.data, 0 if old is None else old.size)
        entry = LogEntry(int(at * 1000), msgspec.msgpack.encode(undo), int(at * 1000) + days * _DAY_MS)
        return AppendLog(changes_log(self.layout.table.id), (entry,))


def is_same(old: Item, new: Item) -> bool:
    """Tell whether two contents are equal, in whatever order their parts stand."""
    if old.data == new.data:
        return True
    return old.size == new.size and is_same_item(decode_item(old.data), decode_item(new.data))


def effects_of(
    call: Call, layout: Layout, key: Values, item_key: ItemKey, identity: dict[str, str] | None = None
) -> Effects | None:
    """Return the effects of a write of an item, None where its table wants none."""
    if not layout.has_effects:
        return None
    return Effects(layout, key, item_key, call.ids.uuid().replace("-", ""), call.clock.now, identity)
