"""Where executions lie in the store: the items, and the indexes that list them."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from forebay.services.stepfunctions.address import MachineName
from forebay.services.stepfunctions.execution import Execution, decode_execution, encode_execution, version_of
from forebay.services.stepfunctions.map_run import MapRun, decode_map_run, encode
from forebay.store.commands import Command, Query
from forebay.store.contract import Store, Transaction
from forebay.store.items import (
    Decision,
    GetItems,
    IndexEntry,
    Item,
    ItemKey,
    ItemRange,
    ItemWrite,
    Page,
    ReadItems,
    WriteItems,
)
from forebay.store.records import Kind

_SIZE_MAX = 16 * 1024 * 1024
_MAP_RUNS_MAX = 1_000
_HEADER = b"h"
_PROGRESS = b"p"
_MILLISECONDS = 8
_SEPARATOR = b"\x1f"


AskItems = Callable[[Query[tuple[Item | None, ...]]], tuple[Item | None, ...]]
AskPage = Callable[[Query[Page]], Page]


class Tables(msgspec.Struct, frozen=True):
    """The numbers of the table of executions, of its indexes, and of the table of map runs with its index."""

    executions: int
    by_machine: int
    by_version: int
    by_alias: int
    by_end: int
    map_runs: int
    by_execution: int


TABLES = Kind("stepfunctions.tables", Tables)


async def open_tables(store: Store) -> Tables:
    """Return the numbers of the tables, giving them out at the first time."""
    return await store.transact(_tables)


async def keep_tables(store: Store, tables: Tables) -> None:
    """Keep the numbers of tables again, after the store was wiped: a node goes on with those that it has."""

    def work(transaction: Transaction) -> None:
        if transaction.records.find(TABLES, "") is None:
            transaction.records.put(TABLES, "", tables)

    await store.transact(work)


def _tables(transaction: Transaction) -> Tables:
    known = transaction.records.find(TABLES, "")
    if known is not None:
        return known
    table = transaction.records.next_number
    executions, map_runs = table("items.table"), table("items.table")
    indexes = [table("items.index") for _ in range(5)]
    machine, version, alias, end, execution = indexes
    tables = Tables(executions, machine, version, alias, end, map_runs, execution)
    transaction.records.put(TABLES, "", tables)
    return tables


class Listing(msgspec.Struct, frozen=True):
    """Where executions are listed: an index and the ARN that they are listed under."""

    index: int
    arn: str

    def partition(self, status: str) -> bytes:
        """Return the partition of the index that lists those of a status."""
        return self.arn.encode() + _SEPARATOR + status.encode()


class ExecutionRows:
    """Reads executions and makes the commands that write them."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    def read_both(self, key: str) -> GetItems:
        """Return the query for an execution's two rows."""
        return GetItems(self.tables.executions, (_header_key(key), _progress_key(key)))

    def read(self, key: str) -> GetItems:
        """Return the query for an execution without its progress."""
        return GetItems(self.tables.executions, (_header_key(key),))

    def start(self, execution: Execution, progress: bytes | None, then: Sequence[Command[Any]]) -> WriteItems:
        """Return the command that puts a new execution; refused, with the one that is there, where its name is taken.

        Without progress it has ended already.
        """
        item = self._header(execution)

        def decide(existing: Item | None) -> Decision:
            if existing is not None:
                return Decision(answer=existing.data, is_refused=True)
            return Decision(item)

        writes = [ItemWrite(self.tables.executions, _header_key(execution.key), decide)]
        if progress is not None:
            writes.append(ItemWrite(self.tables.executions, _progress_key(execution.key), _put(progress)))
        return WriteItems(tuple(writes), tuple(then))

    def advance(
        self,
        key: str,
        version: int,
        progress: bytes,
        then: Sequence[Command[Any]],
        header: Execution | None = None,
    ) -> WriteItems:
        """Return the command that puts progress (and the execution, if that changes too).

        It is refused where another has changed the progress since `version`.
        """

        def decide(existing: Item | None) -> Decision:
            if existing is None or version_of(existing.data) != version:
                return Decision(is_refused=True)
            return Decision(Item(progress, len(progress)))

        writes = [ItemWrite(self.tables.executions, _progress_key(key), decide)]
        if header is not None:
            item = self._header(header)
            writes.append(ItemWrite(self.tables.executions, _header_key(key), lambda _: Decision(item)))
        return WriteItems(tuple(writes), tuple(then))

    def delete(self, execution: Execution, then: Sequence[Command[Any]]) -> WriteItems:
        """Return the command that deletes an execution."""
        keys = (_header_key(execution.key), _progress_key(execution.key))
        writes = [ItemWrite(self.tables.executions, key, lambda _: Decision()) for key in keys]
        return WriteItems(tuple(writes), tuple(then))

    def listed(self, listing: Listing, status: str, limit: int, before: bytes | None) -> ReadItems:
        """Return the query for executions of a status, the newest first, those listed before `before`."""
        return ReadItems(
            self.tables.executions,
            limit,
            _SIZE_MAX,
            index=listing.index,
            partition=listing.partition(status),
            sorts=ItemRange(high=before, is_high_excluded=True),
            is_backward=True,
        )

    def ended_before(self, at: float, limit: int) -> ReadItems:
        """Return the query for executions that ended before a time, the oldest first."""
        high = _time(at)
        return ReadItems(
            self.tables.executions, limit, _SIZE_MAX, index=self.tables.by_end, partition=b"",
            sorts=ItemRange(high=high),
        )  # fmt: skip

    def of_machine(self, machine: MachineName) -> Listing:
        """Return where the executions of a state machine, a version or an alias are listed."""
        if machine.qualifier is None:
            return Listing(self.tables.by_machine, machine.arn())
        index = self.tables.by_alias if machine.version is None else self.tables.by_version
        return Listing(index, machine.arn())

    def find_map_run(self, ask: AskItems, key: str) -> MapRun | None:
        """Return a map run."""
        (item,) = ask(GetItems(self.tables.map_runs, (ItemKey(key.encode()),)))
        return None if item is None else decode_map_run(item.data)

    def map_runs_of(self, ask: AskPage, execution: str) -> list[MapRun]:
        """Return the map runs that an execution has started, the newest first."""
        tables = self.tables
        query = ReadItems(
            tables.map_runs,
            _MAP_RUNS_MAX,
            _SIZE_MAX,
            index=tables.by_execution,
            partition=execution.encode(),
            is_backward=True,
        )
        return [decode_map_run(item.data) for item in ask(query).items]

    def write_map_run(self, run: MapRun, then: Sequence[Command[Any]]) -> WriteItems:
        """Return the command that puts a map run; refused where another has changed it since."""
        data = encode(replace(run, change=run.change + 1))
        entry = IndexEntry(self.tables.by_execution, run.execution.encode(), _time(run.started_at))
        item = Item(data, len(data), (entry,))

        def decide(existing: Item | None) -> Decision:
            seen = 0 if existing is None else decode_map_run(existing.data).change
            return Decision(item) if seen == run.change else Decision(is_refused=True)

        write = ItemWrite(self.tables.map_runs, ItemKey(run.name.key().encode()), decide)
        return WriteItems((write,), tuple(then))

    def of_map_run(self, arn: str) -> Listing:
        """Return where the children of a map run are listed."""
        return Listing(self.tables.by_machine, arn)

    def _header(self, execution: Execution) -> Item:
        data = encode_execution(execution)
        return Item(data, len(data), tuple(self._entries(execution)))

    def _entries(self, execution: Execution) -> list[IndexEntry]:
        sort = position_of(execution)
        # Children of a map run are listed under it, not under the state machine.
        under = execution.map_run or execution.machine.base().arn()
        listings = [Listing(self.tables.by_machine, under)]
        if execution.map_run is None:
            version, alias = execution.version_arn(), execution.alias_arn()
            listings += [Listing(self.tables.by_version, version)] if version is not None else []
            listings += [Listing(self.tables.by_alias, alias)] if alias is not None else []
        entries = [IndexEntry(each.index, each.partition(execution.status), sort) for each in listings]
        if execution.stopped_at is not None:
            entries.append(IndexEntry(self.tables.by_end, b"", _time(execution.stopped_at)))
        return entries


def position_of(execution: Execution) -> bytes:
    """Return where lists have an execution: by time, and by key where that is the same."""
    return _time(execution.listed_at()) + execution.key.encode()


def executions_of(page: Page) -> list[Execution]:
    """Return the executions of a page."""
    return [decode_execution(item.data) for item in page.items]


def has_executions(ask: AskPage, rows: ExecutionRows, machine: MachineName) -> bool:
    """Tell whether a state machine has any execution that is still kept, its own or a map run's."""
    prefix = machine.base().arn().encode()
    # Listed by ARN: of the state machine itself, and of its map runs, whose ARNs begin otherwise.
    of_runs = prefix.replace(b":stateMachine:", b":mapRun:")
    index = rows.tables.by_machine
    for low in (prefix + _SEPARATOR, of_runs + b"/"):
        query = ReadItems(
            rows.tables.executions, 1, _SIZE_MAX, index=index, partition_low=low, partition_high=low + b"\xff"
        )
        if ask(query).items:
            return True
    return False


def has_any(ask: Callable[[Query[Page]], Page], rows: ExecutionRows, listing: Listing, status: str) -> bool:
    """Tell whether any execution of a status is listed."""
    return bool(ask(rows.listed(listing, status, 1, None)).items)


def _put(data: bytes) -> Callable[[Item | None], Decision]:
    decision = Decision(Item(data, len(data)))
    return lambda _: decision


def _header_key(key: str) -> ItemKey:
    return ItemKey(key.encode(), _HEADER)


def _progress_key(key: str) -> ItemKey:
    return ItemKey(key.encode(), _PROGRESS)


def _time(at: float) -> bytes:
    return int(at * 1000).to_bytes(_MILLISECONDS)
