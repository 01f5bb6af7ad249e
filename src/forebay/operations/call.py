"""What an operation is given: who calls, the store, time, and the ways to other services."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

import msgspec

from forebay.core.arn import Arn
from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.core.shapes import Operation, Shape
from forebay.delivery.outbox import Deliveries
from forebay.operations.platform import Platform
from forebay.store.commands import Command, Query
from forebay.store.contract import Transaction, View
from forebay.store.records import Kind, RecordReader, Records

T = TypeVar("T")
R = TypeVar("R")


class Caller(msgspec.Struct, frozen=True):
    """Who calls, as the signature, the endpoint and the connection tell.

    `endpoint` is the base URL under which the caller reached the node (for queue URLs); `principal` an ARN.
    """

    account: str
    region: str
    access_key: str
    principal: str
    request_id: str
    endpoint: str
    source_ip: str = "127.0.0.1"
    trace_header: str | None = None
    user_agent: str = ""

    def elsewhere(self, *, account: str | None = None, region: str | None = None) -> "Caller":
        """Return the same caller acting in another account or region."""
        return msgspec.structs.replace(self, account=account or self.account, region=region or self.region)


class Call:
    """One run of one operation."""

    __slots__ = ("_transaction", "_view", "caller", "now", "platform", "service")

    def __init__(
        self,
        platform: Platform,
        service: str,
        caller: Caller,
        now: float,
        view: View | None = None,
        transaction: Transaction | None = None,
    ) -> None:
        self.platform = platform
        self.service = service
        self.caller = caller
        # Seconds since the epoch, the same throughout the call.
        self.now = now
        self._view = view
        self._transaction = transaction

    # --- who and where ---

    @property
    def account(self) -> str:
        """The account that the call acts in."""
        return self.caller.account

    @property
    def region(self) -> str:
        """The region that the call acts in."""
        return self.caller.region

    @property
    def now_ms(self) -> int:
        """The time of the call in milliseconds since the epoch."""
        return int(self.now * 1000)

    @property
    def ids(self) -> Ids:
        """The source of ids and chance."""
        return self.platform.ids

    @property
    def clock(self) -> Clock:
        """The node's clock; `now` is its time when the call began."""
        return self.platform.clock

    def arn(self, resource: str, service: str | None = None) -> Arn:
        """Return the ARN of a resource of this service in the caller's account and region."""
        return Arn.of(service or self.service, self.region, self.account, resource)

    # --- inside a transaction (plain operations, and the work of `transact`) ---

    @property
    def records(self) -> Records:
        """The control plane inside the transaction."""
        assert self._transaction is not None, "records are changed inside a transaction"
        return self._transaction.records

    @property
    def reader(self) -> RecordReader:
        """The control plane for reading, inside a transaction or a view."""
        if self._transaction is not None:
            return self._transaction.records
        assert self._view is not None, "records are read inside a transaction or view; `find` reads outside"
        return self._view.records

    def apply(self, command: Command[R]) -> R:
        """Run a command inside the transaction."""
        assert self._transaction is not None, "apply runs inside a transaction; `submit` outside"
        return self._transaction.apply(command)

    def ask(self, query: Query[R]) -> R:
        """Answer a query inside a transaction or view."""
        if self._transaction is not None:
            return self._transaction.apply(query)
        assert self._view is not None, "queries are asked inside a transaction or view"
        return self._view.ask(query)

    # --- outside (async operations) ---

    def submit(self, commands: Sequence[Command[Any]]) -> Awaitable[Sequence[Any]]:
        """Run commands in one commit on the grouped hot path; durable when it returns."""
        return self.platform.store.submit(commands)

    async def run(self, command: Command[R]) -> R:
        """Run one command on the grouped hot path; durable when it returns."""
        (result,) = await self.platform.store.submit((command,))
        return cast("R", result)

    async def transact(self, work: Callable[["Call"], T]) -> T:
        """Run `work` in a transaction of its own; it may be run again on a conflict."""
        return await self.platform.store.transact(lambda transaction: work(self._within(transaction)))

    async def look(self, work: Callable[["Call"], T]) -> T:
        """Run `work` on a snapshot, for reading."""
        return await self.platform.store.view(lambda view: work(self._on(view)))

    def query(self, query: Query[R]) -> Awaitable[R]:
        """Answer one query on a snapshot: quicker than `look`."""
        return self.platform.store.ask(query)

    def find(self, kind: Kind[T], key: str) -> Awaitable[T | None]:
        """Return a record from the cache."""
        return self.platform.store.find(kind, key)

    @property
    def deliveries(self) -> Deliveries:
        """The way to any target: `submit(await call.deliveries.commands_for(...))`."""
        return self.platform.deliveries

    # --- to others ---

    def part(self, part_type: type[T]) -> T:
        """Return the shared part of this service with that type."""
        return self.platform.table.shared(self.service, part_type)

    async def invoke(self, service: str, operation: Operation | str, request: Shape) -> Any:
        """Run an operation of any service as the same caller and return its output shape."""
        name = operation if isinstance(operation, str) else operation.name
        return await self.platform.table.run(self.caller, service, name, request)

    def _within(self, transaction: Transaction) -> "Call":
        return Call(self.platform, self.service, self.caller, self.now, None, transaction)

    def _on(self, view: View) -> "Call":
        return Call(self.platform, self.service, self.caller, self.now, view, None)
