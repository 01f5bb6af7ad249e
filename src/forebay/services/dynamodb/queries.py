"""Operations that read many items: query and scan."""

from dataclasses import replace
from typing import Any

from forebay.api import dynamodb as api
from forebay.core.errors import ServiceError
from forebay.core.shapes import Encoded
from forebay.languages.dynamodb.condition import CompiledCondition, compile_condition
from forebay.languages.dynamodb.errors import invalid
from forebay.languages.dynamodb.key_condition import (
    CompiledKeyCondition,
    KeyCondition,
    compile_key_condition,
    read_range,
)
from forebay.languages.dynamodb.legacy import CONDITIONS_COUNT, read_filter, read_key_conditions
from forebay.languages.dynamodb.placeholders import check_used, read_names, read_values
from forebay.languages.dynamodb.projection import Projection, compile_projection
from forebay.languages.dynamodb.scope import Values
from forebay.languages.dynamodb.value import Item as Attributes
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.dynamodb.address import find_layout
from forebay.services.dynamodb.capacity import wants_capacity
from forebay.services.dynamodb.layout import encode_item
from forebay.services.dynamodb.measures import TableMeasures
from forebay.services.dynamodb.parameters import (
    check_conditional_operator,
    check_parameters,
    read_attributes_to_get,
    read_key,
)
from forebay.services.dynamodb.reading import (
    Filter,
    Found,
    Reading,
    check_select,
    check_start,
    consumed_by,
    find_index,
    read_page,
    read_start,
)


@operation
async def query(call: Call, request: api.QueryInput) -> Encoded:
    """Return a page of the items of one partition of a table or index, in order of their sort keys."""
    check_parameters(
        request.expression_attribute_names,
        request.expression_attribute_values,
        {
            "AttributesToGet": request.attributes_to_get,
            "QueryFilter": request.query_filter,
            "ConditionalOperator": request.conditional_operator,
            "KeyConditions": request.key_conditions,
        },
        {
            "ProjectionExpression": request.projection_expression,
            "FilterExpression": request.filter_expression,
            "KeyConditionExpression": request.key_condition_expression,
        },
    )
    start = read_start_key(request.exclusive_start_key)
    parsed = _read_expressions(request, request.key_condition_expression)
    if request.key_conditions is not None:
        parsed.conditions = read_key_conditions(request.key_conditions)
    if request.query_filter is not None:
        parsed.take_legacy("QueryFilter", read_filter(request.query_filter, request.conditional_operator))
    check_conditional_operator(request.conditional_operator, (request.query_filter,))
    if parsed.conditions is None:
        raise invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
    check_select_parameters(request.select, parsed.projection, request.attributes_to_get)
    layout = await find_layout(call, request.table_name, "Read")
    is_consistent = bool(request.consistent_read)
    index = find_index(layout, request.index_name, is_consistent=is_consistent)
    key = layout.key if index is None else index.key
    # Only global indexes of several attributes have more to ask for.
    if request.key_conditions is not None and len(parsed.conditions) > max(len(key.names), 2):
        raise invalid(CONDITIONS_COUNT)
    bounds = read_range(key, parsed.conditions)
    parsed.check_filter(key.names)
    reading = Reading(
        layout,
        index,
        bounds,
        limit=request.limit,
        is_backward=request.scan_index_forward is False,
        filter=parsed.filter(),
        projection=parsed.projection,
        fetches=check_select(index, request.select, parsed.projection),
        is_counting=request.select == "COUNT",
    )
    return await _answer(call, request, reading, start, api.QueryOutput)


@operation
async def scan(call: Call, request: api.ScanInput) -> Encoded:
    """Return a page of the items of a table or index, all or those of one segment."""
    check_parameters(
        request.expression_attribute_names,
        request.expression_attribute_values,
        {
            "AttributesToGet": request.attributes_to_get,
            "ScanFilter": request.scan_filter,
            "ConditionalOperator": request.conditional_operator,
        },
        {
            "ProjectionExpression": request.projection_expression,
            "FilterExpression": request.filter_expression,
        },
    )
    start = read_start_key(request.exclusive_start_key)
    parsed = _read_expressions(request, None)
    if request.scan_filter is not None:
        parsed.take_legacy("ScanFilter", read_filter(request.scan_filter, request.conditional_operator))
    check_conditional_operator(request.conditional_operator, (request.scan_filter,))
    segment = _segment(request)
    check_select_parameters(request.select, parsed.projection, request.attributes_to_get)
    layout = await find_layout(call, request.table_name, "Read")
    index = find_index(layout, request.index_name, is_consistent=bool(request.consistent_read))
    reading = Reading(
        layout,
        index,
        segment=segment,
        limit=request.limit,
        filter=parsed.filter(),
        projection=parsed.projection,
        fetches=check_select(index, request.select, parsed.projection),
        is_counting=request.select == "COUNT",
    )
    return await _answer(call, request, reading, start, api.ScanOutput)


def _segment(request: api.ScanInput) -> tuple[int, int] | None:
    segment, total = request.segment, request.total_segments
    if segment is None and total is None:
        return None
    if total is None:
        raise invalid(
            "The TotalSegments parameter is required but was not present in the request "
            "when Segment parameter is present"
        )
    if segment is None:
        raise invalid(
            "The Segment parameter is required but was not present in the request "
            "when parameter TotalSegments is present"
        )
    if segment >= total:
        raise invalid(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            f"Segment: {segment} is not less than TotalSegments: {total}"
        )
    return segment, total


class _Parsed:
    """A request's conditions and projection, whichever way they came."""

    def __init__(self) -> None:
        self.conditions: tuple[KeyCondition, ...] | None = None
        self.projection: Projection | None = None
        self._filter: CompiledCondition | None = None
        self._values: Values = {}
        self._what = "Filter Expression"

    def take(self, condition: CompiledCondition | None, values: Values) -> None:
        self._filter, self._values = condition, values

    def take_legacy(self, what: str, legacy: Any) -> None:
        self._what = what
        if legacy is not None:
            self._filter, self._values = legacy.compiled, legacy.values

    def filter(self) -> Filter | None:
        if self._filter is None:
            return None
        test, values = self._filter.test, self._values
        return lambda item: test(item, values)

    def check_filter(self, key_names: tuple[str, ...]) -> None:
        """Refuse a query's filter on an attribute of the key that is queried."""
        for name in key_names:
            if self._filter is not None and name in self._filter.attributes:
                raise invalid(
                    f"{self._what} can only contain non-primary key attributes: Primary key attribute: {name}"
                )


def _read_expressions(request: api.QueryInput | api.ScanInput, key_condition: str | None) -> _Parsed:
    parsed = _Parsed()
    names = read_names(request.expression_attribute_names)
    values = read_values(request.expression_attribute_values)
    used: list[Any] = []
    if key_condition is not None:
        keys: CompiledKeyCondition = compile_key_condition(key_condition, names)
        parsed.conditions = keys.conditions(values)
        used.append(keys)
    if request.filter_expression is not None:
        condition = compile_condition("FilterExpression", request.filter_expression, names)
        condition.check(values)
        parsed.take(condition, values)
        used.append(condition)
    if request.projection_expression is not None:
        parsed.projection = compile_projection(request.projection_expression, names)
        used.append(parsed.projection)
    else:
        parsed.projection = read_attributes_to_get(request.attributes_to_get)
    check_used(names, values, used)
    return parsed


def check_select_parameters(select: str | None, projection: Projection | None, older: object) -> None:
    """Refuse a `Select` that contradicts the projection."""
    if projection is not None and select not in {None, "SPECIFIC_ATTRIBUTES"}:
        what = "AttributesToGet" if older is not None else "ProjectionExpression"
        got = "only the Count" if select == "COUNT" else str(select)
        raise invalid(f"Cannot specify the {what} when choosing to get {got}")
    if select == "SPECIFIC_ATTRIBUTES" and projection is None:
        raise invalid(
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
        )


def read_start_key(shapes: Any) -> Attributes | None:
    """Return `ExclusiveStartKey` with its values checked."""
    if shapes is None:
        return None
    try:
        return read_key(shapes)
    except ServiceError as error:
        raise invalid(f"The provided starting key is invalid: {error.message}") from None


async def _answer(
    call: Call,
    request: api.QueryInput | api.ScanInput,
    reading: Reading,
    start: Attributes | None,
    of: type[api.QueryOutput | api.ScanOutput],
) -> Encoded:
    if start is not None:
        reading = replace(reading, start=read_start(reading.layout, reading.index, start))
        check_start(reading)
    found = await read_page(call, reading)
    is_consistent = bool(request.consistent_read)
    call.part(TableMeasures).read(reading.layout, found.size, is_consistent=is_consistent)
    rest: dict[str, Any] = {"Count": found.count, "ScannedCount": found.scanned}
    if found.last is not None:
        rest["LastEvaluatedKey"] = found.last
    if wants_capacity(request.return_consumed_capacity):
        consumed = consumed_by(reading, found, is_consistent=is_consistent)
        rest["ConsumedCapacity"] = consumed.shown(request.table_name, str(request.return_consumed_capacity))
    return Encoded(of=of, body=page_body(reading, found, rest))


def page_body(reading: Reading, found: Found, rest: dict[str, Any]) -> bytes:
    """Return a page's JSON: the items as they are, and what else is said."""
    if reading.is_counting:
        return encode_item(rest)
    return b"".join((b'{"Items":[', b",".join(found.items), b"],", encode_item(rest)[1:]))
