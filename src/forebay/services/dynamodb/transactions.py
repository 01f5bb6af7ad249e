"""Operations on several items at once, all or none: transactions of reads and of writes.

All writes of a transaction are one command of the store, which other writes come before or after but never between;
so no transaction conflicts with another, and the answer `TransactionConflict` is never given. A token is kept as an
item of a table of our own, written with the transaction that it names.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

import msgspec

from forebay.api import dynamodb as api
from forebay.core.errors import ServiceError
from forebay.core.shapes import Encoded
from forebay.languages.dynamodb.errors import invalid
from forebay.languages.dynamodb.projection import Projection
from forebay.languages.dynamodb.value import Item as Attributes
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.dynamodb import limits
from forebay.services.dynamodb.address import find_layout
from forebay.services.dynamodb.capacity import Consumed, read_units, wants_capacity
from forebay.services.dynamodb.item_collections import collection_metrics
from forebay.services.dynamodb.items import prepare_delete, prepare_put, prepare_update
from forebay.services.dynamodb.layout import Layout, decode_item, encode_item
from forebay.services.dynamodb.measures import TableMeasures
from forebay.services.dynamodb.parameters import (
    check_parameters,
    read_change,
    read_guard,
    read_item,
    read_key,
    read_projection,
)
from forebay.services.dynamodb.throttle import Kind
from forebay.services.dynamodb.writing import Outcome, Write, decide_check
from forebay.store.items import Decide, Decision, GetItems, IndexEntry, Item, ItemKey, ItemWrite, WriteItems

T = TypeVar("T")

# Tables have numbers from 1 on.
TOKEN_TABLE = 0
TOKEN_INDEX = 0

_SEVERAL_ON_ONE = "Transaction request cannot include multiple operations on one item"
_ONE_OF = "TransactItems can only contain one of Check, Put, Update or Delete"
_CODES = {"ConditionalCheckFailedException": "ConditionalCheckFailed", "ValidationException": "ValidationError"}


class Token(msgspec.Struct, frozen=True, array_like=True):
    """A token that was used: of what request, until when it counts, and what that request consumed."""

    digest: str
    until_ms: int


_encode_token = msgspec.msgpack.Encoder().encode
_decode_token = msgspec.msgpack.Decoder(Token).decode


class TableWrite(msgspec.Struct, frozen=True):
    """One write of a transaction, and the name by which its table was given."""

    name: str
    write: Write
    is_check: bool = False


@operation
async def transact_write_items(call: Call, request: api.TransactWriteItemsInput) -> Encoded:
    """Put, update, delete and check items, all in one commit or none.

    With a `ClientRequestToken` the same request within ten minutes is done once.

    Raises:
        TransactionCanceledException: a condition does not hold, or an update does not fit; the reasons say which.
        IdempotentParameterMismatchException: the token was used for another request.
    """
    layouts = _Layouts(call, "Write")
    drafts = [await _draft(call, one, layouts) for one in request.transact_items]
    writes = prepared(drafts)
    is_named = request.client_request_token is not None
    digest = hashlib.sha256(encode_item(request.transact_items)).hexdigest() if is_named else ""
    is_repeated, outcomes = await run_transaction(call, writes, request.client_request_token, digest)
    answer: dict[str, Any] = {}
    if wants_capacity(request.return_consumed_capacity):
        detail = str(request.return_consumed_capacity)
        answer["ConsumedCapacity"] = transaction_capacity(writes, outcomes, detail, is_repeated=is_repeated)
    if request.return_item_collection_metrics == "SIZE":
        metrics: dict[str, list[dict[str, Any]]] = {}
        for one in writes:
            if one.write.layout.has_locals and not one.is_check:
                found = await collection_metrics(call, one.write.layout, one.write.key_values)
                if found not in metrics.setdefault(one.name, []):
                    metrics[one.name].append(found)
        if metrics:
            answer["ItemCollectionMetrics"] = metrics
    return Encoded(of=api.TransactWriteItemsOutput, body=encode_item(answer))


@dataclass(frozen=True)
class Draft:
    """A write whose parameters are right; `prepare` may still find that they do not go with the table's keys."""

    name: str
    prepare: Callable[[], Write]
    is_check: bool = False
    size: int = 0


def prepared(drafts: list[Draft]) -> list[TableWrite]:
    """Return the writes of drafts.

    Raises:
        TransactionCanceledException: some do not go with their tables' keys; the reasons say which.
    """
    check_bytes(sum(draft.size for draft in drafts))
    writes = all_of([draft.prepare for draft in drafts])
    return [TableWrite(draft.name, write, draft.is_check) for draft, write in zip(drafts, writes, strict=True)]


def all_of(attempts: Sequence[Callable[[], T]]) -> list[T]:
    """Return what attempts give, one for each part of a transaction.

    Raises:
        TransactionCanceledException: some are refused; the reasons say which.
    """
    given: list[T] = []
    reasons: list[dict[str, Any]] = []
    for attempt in attempts:
        try:
            given.append(attempt())
            reasons.append({"Code": "None"})
        except ServiceError as error:
            reasons.append({"Code": _CODES.get(error.code, error.code), "Message": error.message})
    if len(given) < len(attempts):
        raise cancellation(reasons)
    return given


def check_bytes(size: int) -> None:
    """Refuse a transaction of more bytes than one can have: those put, or those read. The text is not verified."""
    if size > limits.TRANSACTION_BYTES_MAX:
        raise invalid("The aggregate size of the items in the transaction cannot exceed 4 MB")


class _Layouts:
    """Finds the tables of a request, each once."""

    def __init__(self, call: Call, kind: Kind) -> None:
        self._call = call
        self._kind: Kind = kind
        self._found: dict[str, Layout] = {}

    async def find(self, name: str) -> Layout:
        """Return the layout of a table; errors are those of `find_layout`."""
        layout = self._found.get(name)
        if layout is None:
            layout = self._found[name] = await find_layout(self._call, name, self._kind)
        return layout


async def _draft(call: Call, one: api.TransactWriteItem, layouts: _Layouts) -> Draft:
    given = [part for part in (one.condition_check, one.put, one.delete, one.update) if part is not None]
    if len(given) != 1:
        raise invalid(_ONE_OF)
    (part,) = given
    if part.expression_attribute_names is not None or part.expression_attribute_values is not None:
        expressions = {"ConditionExpression": part.condition_expression}
        if isinstance(part, api.Update):
            expressions["UpdateExpression"] = part.update_expression
        check_parameters(part.expression_attribute_names, part.expression_attribute_values, {}, expressions)
    if isinstance(part, api.Put):
        item, size = read_item(part.item)
        guard = read_guard(part)
        layout = await layouts.find(part.table_name)
        return Draft(part.table_name, lambda: prepare_put(call, layout, item, size, guard), size=size)
    key = read_key(part.key)
    if isinstance(part, api.Update):
        change, guard = read_change(part)
        layout = await layouts.find(part.table_name)
        return Draft(part.table_name, lambda: prepare_update(call, layout, key, change, guard))
    guard = read_guard(part)
    layout = await layouts.find(part.table_name)
    if isinstance(part, api.Delete):
        return Draft(part.table_name, lambda: prepare_delete(call, layout, key, guard))
    assert guard is not None
    check = decide_check(guard)
    return Draft(part.table_name, lambda: Write(layout, layout.lookup_key(key), key, check), is_check=True)


async def run_transaction(
    call: Call, writes: list[TableWrite], token: str | None, digest: str
) -> tuple[bool, list[Outcome]]:
    """Commit writes, all or none; return whether the token had done it before, and what became of each item.

    Raises:
        TransactionCanceledException: one of them was refused.
        IdempotentParameterMismatchException: the token was used for another request.
    """
    places = [(one.write.layout.number, one.write.key) for one in writes]
    if len(set(places)) < len(places):
        raise invalid(_SEVERAL_ON_ONE)
    commands = tuple(one.write.item_write() for one in writes)
    if token is not None:
        key = ItemKey(f"{call.account}/{call.region}/{token}".encode())
        commands = (*commands, ItemWrite(TOKEN_TABLE, key, _decide_token(digest, call.now_ms)))
    written = await call.run(WriteItems(commands, weight=sum([one.write.weight for one in writes])))
    answers = written.answers[: len(writes)]
    if token is not None and written.answers[-1] is not None:
        return _repeated(written.answers[-1], digest, answers)
    outcomes = [cast("Outcome", answer) for answer in answers]
    if not written.is_written:
        raise cancelled(call, writes, outcomes)
    measures = call.part(TableMeasures)
    for one, outcome in zip(writes, outcomes, strict=True):
        measures.wrote(one.write.layout, outcome)
    return False, outcomes


def _decide_token(digest: str, now_ms: int) -> Decide:
    until_ms = now_ms + limits.TOKEN_SECONDS * 1000
    data = _encode_token(Token(digest, until_ms))
    item = Item(data, len(data), (IndexEntry(TOKEN_INDEX, b"", until_ms.to_bytes(8, "big")),))

    def decide(old: Item | None) -> Decision:
        if old is not None:
            token = _decode_token(old.data)
            if token.until_ms > now_ms:
                return Decision(answer=token, is_refused=True)
        return Decision(item)

    return decide


def _repeated(token: Token, digest: str, answers: tuple[Any, ...]) -> tuple[bool, list[Outcome]]:
    if token.digest != digest:
        raise api.IdempotentParameterMismatchException(
            "Request parameters do not match the parameters of the original request made with this token"
        )
    return True, [Outcome(answer.old, answer.old) for answer in answers]


def cancelled(call: Call, writes: list[TableWrite], outcomes: list[Outcome]) -> ServiceError:
    """Return the error that gives each write's reason."""
    reasons: list[dict[str, Any]] = []
    for one, outcome in zip(writes, outcomes, strict=True):
        error = outcome.error
        if error is None:
            reasons.append({"Code": "None"})
            continue
        if error.code == "ConditionalCheckFailedException":
            call.part(TableMeasures).failed(one.write.layout)
        reason: dict[str, Any] = {"Code": _CODES.get(error.code, error.code), "Message": error.message}
        item = error.members.get("item")
        if item is not None:
            reason["Item"] = item
        reasons.append(reason)
    return cancellation(reasons)


def cancellation(reasons: list[dict[str, Any]]) -> ServiceError:
    """Return the error of a transaction with these reasons."""
    listed = ", ".join(reason["Code"] for reason in reasons)
    return api.TransactionCanceledException(
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{listed}]",
        cancellation_reasons=reasons,
    )


def transaction_capacity(
    writes: list[TableWrite], outcomes: list[Outcome], detail: str, *, is_repeated: bool
) -> list[dict[str, Any]]:
    """Return what a transaction of writes has cost, by table: twice of each write.

    One that was repeated by its token has only read what it would have written ("ClientRequestToken").
    """
    by_table: dict[str, Consumed] = {}
    for one, outcome in zip(writes, outcomes, strict=True):
        consumed = by_table.setdefault(one.name, Consumed())
        if is_repeated:
            consumed.table += 2 * read_units(outcome.old.size if outcome.old else 0, is_consistent=True)
        else:
            consumed.add_write(one.write.layout, outcome.old, outcome.new, times=2)
    kind = "Read" if is_repeated else "Write"
    return [consumed.shown(name, detail, kind) for name, consumed in by_table.items()]


@operation
async def transact_get_items(call: Call, request: api.TransactGetItemsInput) -> Encoded:
    """Return items of several tables as they are at one moment.

    Raises:
        TransactionCanceledException: a key is not one of its table; the reasons say which.
    """
    layouts = _Layouts(call, "Read")
    wanted: list[tuple[api.Get, Layout, Attributes, Projection | None]] = []
    for one in request.transact_items:
        get = one.get
        if get.expression_attribute_names is not None:
            expressions = {"ProjectionExpression": get.projection_expression}
            check_parameters(get.expression_attribute_names, None, {}, expressions)
        key = read_key(get.key)
        projection = read_projection(_Wanted(get))
        layout = await layouts.find(get.table_name)
        wanted.append((get, layout, key, projection))
    keys = all_of([partial(layout.lookup_key, key) for _, layout, key, _ in wanted])
    places = [(layout.number, key) for (_, layout, _, _), key in zip(wanted, keys, strict=True)]
    if len(set(places)) < len(places):
        raise invalid(_SEVERAL_ON_ONE)
    found = await call.look(lambda inner: [inner.ask(GetItems(number, (key,)))[0] for number, key in places])
    check_bytes(sum(item.size for item in found if item is not None))
    measures = call.part(TableMeasures)
    by_table: dict[str, Consumed] = {}
    responses: list[dict[str, Any]] = []
    for (get, layout, _, projection), item in zip(wanted, found, strict=True):
        consumed = by_table.setdefault(get.table_name, Consumed())
        consumed.table += 2 * read_units(item.size if item else 0, is_consistent=True)
        measures.read(layout, item.size if item else 0, is_consistent=True)
        if item is None:
            responses.append({})
        elif projection is None:
            responses.append({"Item": msgspec.Raw(item.data)})
        else:
            responses.append({"Item": projection.apply(decode_item(item.data))})
    answer: dict[str, Any] = {"Responses": responses}
    if wants_capacity(request.return_consumed_capacity):
        detail = str(request.return_consumed_capacity)
        answer["ConsumedCapacity"] = [used.shown(name, detail, "Read") for name, used in by_table.items()]
    return Encoded(of=api.TransactGetItemsOutput, body=encode_item(answer))


class _Wanted:
    """A `Get` as the reader of projections takes it."""

    def __init__(self, get: api.Get) -> None:
        self.projection_expression = get.projection_expression
        self.expression_attribute_names = get.expression_attribute_names
        self.attributes_to_get = None
