"""Operations on several items at once, each by itself: batches of reads and of writes."""

from itertools import islice
from typing import Any

import msgspec

from forebay.api import dynamodb as api
from forebay.core.errors import ServiceError
from forebay.core.shapes import Encoded
from forebay.languages.dynamodb.errors import invalid
from forebay.languages.dynamodb.projection import Projection
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.dynamodb import limits
from forebay.services.dynamodb.address import check_names, find_layout
from forebay.services.dynamodb.capacity import Consumed, read_units, wants_capacity
from forebay.services.dynamodb.item_collections import collection_metrics
from forebay.services.dynamodb.items import prepare_delete, prepare_put
from forebay.services.dynamodb.layout import Layout, decode_item, encode_item
from forebay.services.dynamodb.measures import TableMeasures
from forebay.services.dynamodb.parameters import (
    check_parameters,
    check_plain_item,
    check_plain_key,
    read_key,
    read_projection,
)
from forebay.services.dynamodb.throttle import Kind, is_throttled
from forebay.services.dynamodb.writing import Outcome, Write
from forebay.store.items import GetItems, Item, ItemKey, WriteItems

_SEVERAL = (
    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
)
_DUPLICATES = "Provided list of item keys contains duplicates"

# A `WriteRequest` by its wire names.
_PlainWrite = dict[str, dict[str, Any]]


class _Throttling:
    """Finds a batch's tables; those that have no units left are left out, unless all are."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._error: ServiceError | None = None
        self.refused: list[str] = []

    async def find(self, name: str, kind: Kind) -> Layout | None:
        try:
            return await find_layout(self._call, name, kind)
        except ServiceError as error:
            if not is_throttled(error):
                raise
            self._error = error
            self.refused.append(name)
            return None

    def check(self, has_some: bool) -> None:  # noqa: FBT001  what is left is the question
        if self._error is not None and not has_some:
            raise self._error


@operation
async def batch_get_item(call: Call, request: api.BatchGetItemInput) -> Encoded:
    """Return items by key, of several tables; keys for which 16 MB leave no room are given back unprocessed."""
    check_names(request.request_items)
    count = sum(len(wanted.keys) for wanted in request.request_items.values())
    projections = {name: _read_wanted(wanted) for name, wanted in request.request_items.items()}
    keys = {name: [read_key(key) for key in wanted.keys] for name, wanted in request.request_items.items()}
    if count > limits.BATCH_GET_KEYS_MAX:
        raise invalid("Too many items requested for the BatchGetItem call")
    throttling = _Throttling(call)
    reads: list[tuple[str, Layout, tuple[ItemKey, ...]]] = []
    for name in request.request_items:
        layout = await throttling.find(name, "Read")
        if layout is None:
            continue
        places = tuple(layout.lookup_key(key) for key in keys[name])
        if len(set(places)) < len(places):
            raise invalid(_DUPLICATES)
        reads.append((name, layout, places))
    found = await call.look(lambda inner: [inner.ask(GetItems(layout.number, places)) for _, layout, places in reads])
    gathering = _Gathering(call, request)
    for name in throttling.refused:
        gathering.leave_table(name)
    for (name, layout, _), items in zip(reads, found, strict=True):
        gathering.add_table(name, layout, items, projections[name])
    return gathering.answer()


def _read_wanted(wanted: api.KeysAndAttributes) -> Projection | None:
    expressions = {"ProjectionExpression": wanted.projection_expression}
    check_parameters(
        wanted.expression_attribute_names, None, {"AttributesToGet": wanted.attributes_to_get}, expressions
    )
    return read_projection(wanted)


class _Gathering:
    """Gathers a batch's answer."""

    def __init__(self, call: Call, request: api.BatchGetItemInput) -> None:
        self._call = call
        self._request = request
        self._room = limits.BATCH_GET_BYTES_MAX
        self._responses: list[bytes] = []
        self._unprocessed: dict[str, Any] = {}
        self._consumed: list[dict[str, Any]] = []

    def add_table(
        self, name: str, layout: Layout, items: tuple[Item | None, ...], projection: Projection | None
    ) -> None:
        wanted = self._request.request_items[name]
        is_consistent = bool(wanted.consistent_read)
        consumed, given, left = Consumed(), list[bytes](), list[Any]()
        for key, item in zip(wanted.keys, items, strict=True):
            size = item.size if item else 0
            if size > self._room:
                left.append(key)
                continue
            self._room -= size
            consumed.table += read_units(size, is_consistent=is_consistent)
            self._call.part(TableMeasures).read(layout, size, is_consistent=is_consistent)
            if item is not None:
                data = item.data if projection is None else encode_item(projection.apply(decode_item(item.data)))
                given.append(data)
        self._responses.append(encode_item(name) + b":[" + b",".join(given) + b"]")
        if left:
            self._unprocessed[name] = {
                **{field: value for field, value in _wire(wanted).items() if field != "Keys"},
                "Keys": [_wire(key) for key in left],
            }
        detail = self._request.return_consumed_capacity
        if wants_capacity(detail):
            self._consumed.append(consumed.shown(name, str(detail)))

    def leave_table(self, name: str) -> None:
        self._unprocessed[name] = _wire(self._request.request_items[name])

    def answer(self) -> Encoded:
        rest: dict[str, Any] = {"UnprocessedKeys": self._unprocessed}
        if self._consumed:
            rest["ConsumedCapacity"] = self._consumed
        parts = (b'{"Responses":{', b",".join(self._responses), b"},", encode_item(rest)[1:])
        return Encoded(of=api.BatchGetItemOutput, body=b"".join(parts))


def _wire(value: Any) -> Any:
    return msgspec.to_builtins(value)


@operation
async def batch_write_item(call: Call, request: api.BatchWriteItemInput) -> Encoded:
    """Put and delete items, each by itself, in one commit; all are processed."""
    check_names(request.request_items)
    count = sum(len(requests) for requests in request.request_items.values())
    plain: dict[str, list[_PlainWrite]] = _wire(request.request_items)
    parsed = {name: [_read_write(one) for one in requests] for name, requests in plain.items()}
    if count > limits.BATCH_WRITE_REQUESTS_MAX:
        raise invalid("Too many items requested for the BatchWriteItem call")
    throttling = _Throttling(call)
    prepared: list[tuple[str, Layout, list[Write]]] = []
    for name, requests in parsed.items():
        layout = await throttling.find(name, "Write")
        if layout is None:
            continue
        writes = [
            prepare_put(call, layout, item, size, None)
            if size is not None
            else prepare_delete(call, layout, item, None)
            for item, size in requests
        ]
        if len({write.key for write in writes}) < len(writes):
            raise invalid(_DUPLICATES)
        prepared.append((name, layout, writes))
    throttling.check(bool(prepared))
    # Nothing in a batch has a condition, so nothing is refused, and one command does for all.
    every = [write for _, _, writes in prepared for write in writes]
    items = tuple([write.item_write() for write in every])
    written = await call.run(WriteItems(items, weight=sum([write.weight for write in every])))
    outcomes: list[Outcome] = list(written.answers)
    left = {name: plain[name] for name in throttling.refused}
    return await _written(call, request, prepared, outcomes, left)


def _read_write(request: _PlainWrite) -> tuple[dict[str, Any], int | None]:
    """Return an item to put and its size, or a key to delete and None."""
    if len(request) != 1:
        raise invalid(_SEVERAL)
    if "PutRequest" in request:
        return check_plain_item(request["PutRequest"]["Item"])
    return check_plain_key(request["DeleteRequest"]["Key"]), None


async def _written(
    call: Call,
    request: api.BatchWriteItemInput,
    prepared: list[tuple[str, Layout, list[Write]]],
    outcomes: list[Outcome],
    left: dict[str, Any],
) -> Encoded:
    answer: dict[str, Any] = {"UnprocessedItems": left}
    measures = call.part(TableMeasures)
    is_wanted = wants_capacity(request.return_consumed_capacity)
    capacities: list[dict[str, Any]] = []
    metrics: dict[str, list[dict[str, Any]]] = {}
    following = iter(outcomes)
    for name, layout, writes in prepared:
        of_table = list(islice(following, len(writes)))
        measures.wrote(layout, *of_table)
        if is_wanted:
            consumed = Consumed()
            for outcome in of_table:
                consumed.add_write(layout, outcome.old, outcome.new)
            capacities.append(consumed.shown(name, str(request.return_consumed_capacity)))
        if request.return_item_collection_metrics == "SIZE" and layout.has_locals:
            partitions = {write.key.partition: write.key_values for write in writes}
            metrics[name] = [await collection_metrics(call, layout, key) for key in partitions.values()]
    if capacities:
        answer["ConsumedCapacity"] = capacities
    if metrics:
        answer["ItemCollectionMetrics"] = metrics
    return Encoded(of=api.BatchWriteItemOutput, body=encode_item(answer))
