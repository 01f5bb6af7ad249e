"""Operations that take PartiQL: one statement, a batch of them, a transaction of them."""

import hashlib
from typing import Any

import msgspec

from forebay.api import dynamodb as api
from forebay.core.errors import ServiceError
from forebay.core.shapes import Encoded
from forebay.languages.dynamodb.errors import invalid
from forebay.languages.dynamodb.partiql.statement import Select
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.dynamodb.capacity import Consumed, read_units, wants_capacity
from forebay.services.dynamodb.layout import decode_item, encode_item
from forebay.services.dynamodb.measures import TableMeasures
from forebay.services.dynamodb.reading import consumed_by
from forebay.services.dynamodb.statements import (
    Prepared,
    decode_token,
    inserted_error,
    prepare,
    prepare_check,
    prepare_write,
    returned,
    select,
    whole_key,
)
from forebay.services.dynamodb.transactions import (
    TableWrite,
    cancellation,
    run_transaction,
    transaction_capacity,
)
from forebay.services.dynamodb.writing import commit
from forebay.store.items import GetItems

# The codes of errors inside a batch.
_CODES = {
    "ConditionalCheckFailedException": "ConditionalCheckFailed",
    "ValidationException": "ValidationError",
    "ResourceNotFoundException": "ResourceNotFound",
    "DuplicateItemException": "DuplicateItem",
}
_MIXED = "Transactional or batch statements must be all reads or all writes"


@operation
async def execute_statement(call: Call, request: api.ExecuteStatementInput) -> Encoded:
    """Run a statement: a page of what a SELECT finds, or one item's write.

    Raises:
        ConditionalCheckFailedException: the item does not meet the rest of the WHERE.
        DuplicateItemException: the item to insert is there already.
    """
    prepared = await prepare(call, request.statement, request.parameters)
    if not isinstance(prepared.statement, Select):
        return await _execute_write(call, request, prepared)
    if prepared.statement.is_existence:
        raise invalid("EXISTS can only be used in a transaction")
    is_consistent = bool(request.consistent_read)
    token = None if request.next_token is None else decode_token(request.next_token, request.statement)
    page = await select(
        call, prepared, request.statement, token=token, limit=request.limit, is_consistent=is_consistent
    )
    call.part(TableMeasures).read(prepared.layout, page.found.size, is_consistent=is_consistent)
    rest: dict[str, Any] = {}
    if page.token is not None:
        rest["NextToken"] = page.token
    if page.found.last is not None:
        rest["LastEvaluatedKey"] = page.found.last
    if wants_capacity(request.return_consumed_capacity):
        consumed = consumed_by(page.reading, page.found, is_consistent=is_consistent)
        rest["ConsumedCapacity"] = consumed.shown(prepared.statement.table, str(request.return_consumed_capacity))
    items = b",".join(page.found.items)
    tail = b"," + encode_item(rest)[1:] if rest else b"}"
    return Encoded(of=api.ExecuteStatementOutput, body=b'{"Items":[' + items + b"]" + tail)


async def _execute_write(call: Call, request: api.ExecuteStatementInput, prepared: Prepared) -> Encoded:
    shows_item = request.return_values_on_condition_check_failure == "ALL_OLD"
    write, change = prepare_write(call, prepared, shows_item=shows_item)
    try:
        outcome = await commit(call, write)
    except ServiceError as error:
        raise inserted_error(prepared.statement, error) from None
    call.part(TableMeasures).wrote(prepared.layout, outcome)
    item = returned(prepared.statement, outcome, change)
    answer: dict[str, Any] = {"Items": [item] if item else []}
    if wants_capacity(request.return_consumed_capacity):
        consumed = Consumed()
        consumed.add_write(prepared.layout, outcome.old, outcome.new)
        answer["ConsumedCapacity"] = consumed.shown(prepared.statement.table, str(request.return_consumed_capacity))
    return Encoded(of=api.ExecuteStatementOutput, body=encode_item(answer))


class _Batch:
    """Gathers a batch's answers and what it has cost."""

    def __init__(self) -> None:
        self.responses: list[dict[str, Any]] = []
        self.consumed: dict[str, Consumed] = {}

    def of(self, table: str) -> Consumed:
        return self.consumed.setdefault(table, Consumed())


@operation
async def batch_execute_statement(call: Call, request: api.BatchExecuteStatementInput) -> Encoded:
    """Run statements one by one, all reads of single items or all writes; each has its own answer or error."""
    batch = _Batch()
    kinds: set[bool] = set()
    for one in request.statements:
        table: str | None = None
        try:
            prepared = await prepare(call, one.statement, one.parameters)
            table = prepared.statement.table
            kinds.add(isinstance(prepared.statement, Select))
            if len(kinds) > 1:
                raise invalid(_MIXED)
            item = await _run_in_batch(call, one, prepared, batch)
            batch.responses.append({"TableName": table, **({"Item": item} if item is not None else {})})
        except ServiceError as error:
            batch.responses.append(_failure(table, error))
    answer: dict[str, Any] = {"Responses": batch.responses}
    if wants_capacity(request.return_consumed_capacity):
        detail = str(request.return_consumed_capacity)
        answer["ConsumedCapacity"] = [consumed.shown(name, detail) for name, consumed in batch.consumed.items()]
    return Encoded(of=api.BatchExecuteStatementOutput, body=encode_item(answer))


def _failure(table: str | None, error: ServiceError) -> dict[str, Any]:
    shown: dict[str, Any] = {"Code": _CODES.get(error.code, error.code), "Message": error.message}
    if error.members.get("item") is not None:
        shown["Item"] = error.members["item"]
    return {"Error": shown, **({"TableName": table} if table is not None else {})}


async def _run_in_batch(call: Call, one: api.BatchStatementRequest, prepared: Prepared, batch: _Batch) -> Any:
    statement = prepared.statement
    if isinstance(statement, Select):
        key = whole_key(prepared, statement.where)
        if key is None or statement.index is not None:
            raise invalid(
                "Select statements within BatchExecuteStatement must specify the primary key in the where clause."
            )
        is_consistent = bool(one.consistent_read)
        page = await select(call, prepared, one.statement, token=None, limit=None, is_consistent=is_consistent)
        batch.of(statement.table).table += read_units(page.found.size, is_consistent=is_consistent)
        return msgspec.Raw(page.found.items[0]) if page.found.items else None
    shows_item = one.return_values_on_condition_check_failure == "ALL_OLD"
    write, change = prepare_write(call, prepared, shows_item=shows_item)
    try:
        outcome = await commit(call, write)
    except ServiceError as error:
        raise inserted_error(statement, error) from None
    call.part(TableMeasures).wrote(prepared.layout, outcome)
    batch.of(statement.table).add_write(prepared.layout, outcome.old, outcome.new)
    return returned(statement, outcome, change) or None


@operation
async def execute_transaction(call: Call, request: api.ExecuteTransactionInput) -> Encoded:
    """Run statements all or none: reads of single items at one moment, or writes and EXISTS checks.

    Raises:
        TransactionCanceledException: one of the statements was refused; the reasons say which.
    """
    prepared = [await prepare(call, one.statement, one.parameters) for one in request.transact_statements]
    reads = [isinstance(one.statement, Select) and not one.statement.is_existence for one in prepared]
    if all(reads):
        return await _transact_reads(call, request, prepared)
    if any(reads):
        raise invalid(_MIXED)
    writes: list[TableWrite] = []
    for one, parsed in zip(request.transact_statements, prepared, strict=True):
        shows_item = one.return_values_on_condition_check_failure == "ALL_OLD"
        is_check = isinstance(parsed.statement, Select)
        write = (
            prepare_check(parsed, shows_item=shows_item)
            if is_check
            else prepare_write(call, parsed, shows_item=shows_item)[0]
        )
        writes.append(TableWrite(parsed.statement.table, write, is_check))
    digest = hashlib.sha256(encode_item(request.transact_statements)).hexdigest()
    try:
        is_repeated, outcomes = await run_transaction(call, writes, request.client_request_token, digest)
    except api.TransactionCanceledException as error:
        raise _with_duplicates(error, prepared) from None
    answer: dict[str, Any] = {"Responses": [{} for _ in writes]}
    if wants_capacity(request.return_consumed_capacity):
        detail = str(request.return_consumed_capacity)
        answer["ConsumedCapacity"] = transaction_capacity(writes, outcomes, detail, is_repeated=is_repeated)
    return Encoded(of=api.ExecuteTransactionOutput, body=encode_item(answer))


def _with_duplicates(error: ServiceError, prepared: list[Prepared]) -> ServiceError:
    """Word the reasons of INSERTs as PartiQL does."""
    reasons: Any = error.members["cancellation_reasons"]
    for reason, one in zip(reasons, prepared, strict=True):
        if reason["Code"] == "ConditionalCheckFailed":
            failure = api.ConditionalCheckFailedException(reason["Message"])
            worded = inserted_error(one.statement, failure)
            reason["Code"] = _CODES.get(worded.code, worded.code)
            reason["Message"] = worded.message
    return cancellation(reasons)


async def _transact_reads(call: Call, request: api.ExecuteTransactionInput, prepared: list[Prepared]) -> Encoded:
    keys = [whole_key(one, one.statement.where) if isinstance(one.statement, Select) else None for one in prepared]
    places: list[tuple[int, Any]] = []
    for one, key in zip(prepared, keys, strict=True):
        if key is None:
            raise invalid(
                "Select statements within ExecuteTransaction must specify the primary key in the where clause."
            )
        places.append((one.layout.number, one.layout.lookup_key(key)))
    found = await call.look(lambda inner: [inner.ask(GetItems(number, (key,)))[0] for number, key in places])
    by_table: dict[str, Consumed] = {}
    responses: list[dict[str, Any]] = []
    for one, item in zip(prepared, found, strict=True):
        consumed = by_table.setdefault(one.statement.table, Consumed())
        consumed.table += 2 * read_units(item.size if item else 0, is_consistent=True)
        shown = None if item is None else one.shown(decode_item(item.data))
        responses.append({} if shown is None else {"Item": shown})
    answer: dict[str, Any] = {"Responses": responses}
    if wants_capacity(request.return_consumed_capacity):
        detail = str(request.return_consumed_capacity)
        answer["ConsumedCapacity"] = [used.shown(name, detail, "Read") for name, used in by_table.items()]
    return Encoded(of=api.ExecuteTransactionOutput, body=encode_item(answer))
