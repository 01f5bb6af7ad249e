"""Operations on one item: put, get, update, delete."""

from typing import Any

from forebay.api import dynamodb as api
from forebay.core.shapes import Encoded
from forebay.languages.dynamodb.errors import invalid
from forebay.languages.dynamodb.value import Item as Attributes
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.dynamodb.address import find_layout
from forebay.services.dynamodb.capacity import Consumed, read_units, wants_capacity
from forebay.services.dynamodb.effects import effects_of
from forebay.services.dynamodb.item_collections import collection_metrics
from forebay.services.dynamodb.layout import Layout, decode_item, encode_item
from forebay.services.dynamodb.measures import TableMeasures
from forebay.services.dynamodb.parameters import (
    check_key_untouched,
    check_parameters,
    read_change,
    read_guard,
    read_item,
    read_key,
    read_legacy_change,
    read_legacy_guard,
    read_projection,
)
from forebay.services.dynamodb.writing import (
    Change,
    Guard,
    Outcome,
    Write,
    commit,
    decide_delete,
    decide_plain_put,
    decide_put,
    decide_update,
)
from forebay.store.items import GetItems, Item

_ONLY_OLD = "ReturnValues can only be ALL_OLD or NONE"
_EMPTY_PUT = Encoded(of=api.PutItemOutput, body=b"{}")
_EMPTY_UPDATE = Encoded(of=api.UpdateItemOutput, body=b"{}")
_EMPTY_DELETE = Encoded(of=api.DeleteItemOutput, body=b"{}")
_EMPTY_GET = Encoded(of=api.GetItemOutput, body=b"{}")


@operation
async def put_item(call: Call, request: api.PutItemInput) -> Encoded:
    """Put an item in the place of the one with its key, if there is one and it meets the condition.

    Raises:
        ConditionalCheckFailedException: it does not.
        ResourceNotFoundException: there is no such table.
    """
    expressions = {"ConditionExpression": request.condition_expression}
    legacy = {"Expected": request.expected, "ConditionalOperator": request.conditional_operator}
    check_parameters(request.expression_attribute_names, request.expression_attribute_values, legacy, expressions)
    item, size = read_item(request.item)
    if request.return_values not in {None, "NONE", "ALL_OLD"}:
        raise invalid(_ONLY_OLD)
    guard = read_legacy_guard(request) or read_guard(request)
    layout = await find_layout(call, request.table_name, "Write")
    outcome = await commit(call, prepare_put(call, layout, item, size, guard))
    old = outcome.old if request.return_values == "ALL_OLD" else None
    call.part(TableMeasures).wrote(layout, outcome)
    if old is None and request.return_consumed_capacity is None and request.return_item_collection_metrics is None:
        return _EMPTY_PUT
    answer: dict[str, Any] = {} if old is None else {"Attributes": decode_item(old.data)}
    return await _answer(call, request, layout, answer, outcome, api.PutItemOutput)


def prepare_put(call: Call, layout: Layout, item: Attributes, size: int, guard: Guard | None) -> Write:
    """Return the write that puts an item, which was checked but for its keys."""
    key = layout.item_key(item)
    stored = Item(encode_item(item), size, () if layout.is_plain else layout.entries(item, key))
    if guard is None and not layout.has_effects:
        return Write(layout, key, item, decide_plain_put(stored), size)
    effects = effects_of(call, layout, layout.key_of(item), key)
    return Write(layout, key, item, decide_put(stored, guard, effects), size)


@operation
async def get_item(call: Call, request: api.GetItemInput) -> Encoded:
    """Return the item with a key, or the parts of it that are asked for; nothing where there is none."""
    if request.attributes_to_get is not None or request.expression_attribute_names is not None:
        expressions = {"ProjectionExpression": request.projection_expression}
        legacy = {"AttributesToGet": request.attributes_to_get}
        check_parameters(request.expression_attribute_names, None, legacy, expressions)
    key = read_key(request.key)
    projection = read_projection(request)
    layout = await find_layout(call, request.table_name, "Read")
    query = GetItems(layout.number, (layout.lookup_key(key),))
    (found,) = await call.platform.store.ask(query)
    call.part(TableMeasures).read(layout, found.size if found else 0, is_consistent=bool(request.consistent_read))
    if projection is None and not wants_capacity(request.return_consumed_capacity):
        return _EMPTY_GET if found is None else Encoded(of=api.GetItemOutput, body=b'{"Item":' + found.data + b"}")
    answer: dict[str, Any] = {}
    if found is not None:
        item = decode_item(found.data)
        answer["Item"] = item if projection is None else projection.apply(item)
    if wants_capacity(request.return_consumed_capacity):
        consumed = Consumed()
        consumed.table = read_units(found.size if found else 0, is_consistent=bool(request.consistent_read))
        answer["ConsumedCapacity"] = consumed.shown(request.table_name, str(request.return_consumed_capacity))
    return Encoded(of=api.GetItemOutput, body=encode_item(answer))


@operation
async def update_item(call: Call, request: api.UpdateItemInput) -> Encoded:
    """Change attributes of an item, which is made where there is none, if what is there meets the condition.

    Raises:
        ConditionalCheckFailedException: it does not.
        ResourceNotFoundException: there is no such table.
    """
    expressions = {
        "UpdateExpression": request.update_expression,
        "ConditionExpression": request.condition_expression,
    }
    legacy = {
        "AttributeUpdates": request.attribute_updates,
        "Expected": request.expected,
        "ConditionalOperator": request.conditional_operator,
    }
    check_parameters(request.expression_attribute_names, request.expression_attribute_values, legacy, expressions)
    key = read_key(request.key)
    change = read_legacy_change(request)
    guard = read_legacy_guard(request)
    if change.update is None and guard is None:
        change, guard = read_change(request)
    layout = await find_layout(call, request.table_name, "Write")
    outcome = await commit(call, prepare_update(call, layout, key, change, guard))
    call.part(TableMeasures).wrote(layout, outcome)
    attributes = returned_attributes(request.return_values, change, outcome)
    answer: dict[str, Any] = {"Attributes": attributes} if attributes else {}
    if not answer and request.return_consumed_capacity is None and request.return_item_collection_metrics is None:
        return _EMPTY_UPDATE
    return await _answer(call, request, layout, answer, outcome, api.UpdateItemOutput)


def prepare_update(call: Call, layout: Layout, key: Attributes, change: Change, guard: Guard | None) -> Write:
    """Return the write that changes an item."""
    if change.update is not None:
        check_key_untouched(change.update.attributes, layout.key.names)
    item_key = layout.lookup_key(key)
    effects = effects_of(call, layout, key, item_key)
    return Write(layout, item_key, key, decide_update(layout, (item_key, key), change, guard, effects))


def returned_attributes(wanted: str | None, change: Change | None, outcome: Outcome) -> Attributes:
    """Return a write's attributes as `ReturnValues` asks for them."""
    if wanted is None or wanted == "NONE":
        return {}
    source = outcome.old if wanted.endswith("OLD") else outcome.new
    if source is None:
        return {}
    item = decode_item(source.data)
    if not wanted.startswith("UPDATED"):
        return item
    return {} if change is None or change.update is None else change.update.touched.apply(item)


@operation
async def delete_item(call: Call, request: api.DeleteItemInput) -> Encoded:
    """Delete the item with a key, if there is one and it meets the condition.

    Raises:
        ConditionalCheckFailedException: it does not.
        ResourceNotFoundException: there is no such table.
    """
    expressions = {"ConditionExpression": request.condition_expression}
    legacy = {"Expected": request.expected, "ConditionalOperator": request.conditional_operator}
    check_parameters(request.expression_attribute_names, request.expression_attribute_values, legacy, expressions)
    key = read_key(request.key)
    if request.return_values not in {None, "NONE", "ALL_OLD"}:
        raise invalid(_ONLY_OLD)
    guard = read_legacy_guard(request) or read_guard(request)
    layout = await find_layout(call, request.table_name, "Write")
    outcome = await commit(call, prepare_delete(call, layout, key, guard))
    call.part(TableMeasures).wrote(layout, outcome)
    old = outcome.old if request.return_values == "ALL_OLD" else None
    if old is None and request.return_consumed_capacity is None and request.return_item_collection_metrics is None:
        return _EMPTY_DELETE
    answer: dict[str, Any] = {} if old is None else {"Attributes": decode_item(old.data)}
    return await _answer(call, request, layout, answer, outcome, api.DeleteItemOutput)


def prepare_delete(call: Call, layout: Layout, key: Attributes, guard: Guard | None) -> Write:
    """Return the write that deletes an item."""
    item_key = layout.lookup_key(key)
    return Write(layout, item_key, key, decide_delete(guard, effects_of(call, layout, key, item_key)))


async def _answer(
    call: Call,
    request: api.PutItemInput | api.UpdateItemInput | api.DeleteItemInput,
    layout: Layout,
    answer: dict[str, Any],
    outcome: Outcome,
    of: type[api.PutItemOutput | api.UpdateItemOutput | api.DeleteItemOutput],
) -> Encoded:
    """Return a write's answer with what else the request wants to know."""
    if wants_capacity(request.return_consumed_capacity):
        consumed = Consumed()
        consumed.add_write(layout, outcome.old, outcome.new)
        answer["ConsumedCapacity"] = consumed.shown(request.table_name, str(request.return_consumed_capacity))
    if request.return_item_collection_metrics == "SIZE" and layout.has_locals:
        source = outcome.new or outcome.old
        key = request.item if isinstance(request, api.PutItemInput) else request.key
        if source is not None or key:
            answer["ItemCollectionMetrics"] = await collection_metrics(
                call, layout, read_key({layout.partition: key[layout.partition]})
            )
    return Encoded(of=of, body=encode_item(answer))
