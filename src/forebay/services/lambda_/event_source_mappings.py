"""Operations on event source mappings.

The states Creating, Updating and Deleting are those of the answers alone: what an answer tells is done when it is
given, and the poller follows the committed record.
"""

import msgspec

from forebay.api import lambda_ as api
from forebay.api import sqs as sqs_api
from forebay.core.arn import Arn
from forebay.core.errors import ServiceError
from forebay.delivery.stream import forgetting
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.lambda_ import limits
from forebay.services.lambda_.address import FunctionAddress, parse_address
from forebay.services.lambda_.errors import conflict, invalid, not_found
from forebay.services.lambda_.function import FUNCTION, Version
from forebay.services.lambda_.mapping import MAPPING, Mapping, changed, check_source
from forebay.services.lambda_.mapping_stream import first_settings
from forebay.services.lambda_.mappings import Mappings
from forebay.services.lambda_.pages import page
from forebay.services.lambda_.resolution import load_version
from forebay.services.lambda_.tags import check_tags
from forebay.store.records import key_prefix, record_key

_VISIBILITY = "VisibilityTimeout"


@operation
async def create_event_source_mapping(
    call: Call, request: api.CreateEventSourceMappingRequest
) -> api.EventSourceMappingConfiguration:
    """Let a function drain a queue, or read a stream.

    Raises:
        ResourceConflictException: the function has a mapping to this source already.
        InvalidParameterValueException: a setting does not do, or source or function are not there.
    """
    address = parse_address(call, request.function_name)
    source = check_source(request.event_source_arn)
    check_tags(request.tags or {})
    blank = Mapping(
        uuid=call.ids.uuid(),
        account=call.account,
        region=call.region,
        source_arn=str(source),
        function_arn=address.arn,
        modified_at=call.now,
        tags=request.tags or {},
    )
    if source.service == "dynamodb":
        blank = await _of_stream(call, blank, request)
    mapping = changed(blank, request)
    visibility_seconds = await _visibility_seconds(call, source) if mapping.stream is None else None

    def create(inner: Call) -> None:
        _check_function(inner, address, visibility_seconds)
        for _, other in inner.records.list(MAPPING, key_prefix(call.account, call.region)):
            if (other.source_arn, other.function_arn) == (mapping.source_arn, mapping.function_arn):
                raise _already_there(other, address)
        inner.records.put(MAPPING, mapping.key, mapping)

    await call.transact(create)
    return mapping.show("Creating")


@operation
async def get_event_source_mapping(
    call: Call, request: api.GetEventSourceMappingRequest
) -> api.EventSourceMappingConfiguration:
    """Return a mapping, with why nothing is read if that is so."""
    mapping = await call.look(lambda inner: _load(inner, request.uuid))
    return _show(call, mapping)


@operation
async def list_event_source_mappings(
    call: Call, request: api.ListEventSourceMappingsRequest
) -> api.ListEventSourceMappingsResponse:
    """List mappings: all, or those of a source, of a function, or of both."""
    prefix = key_prefix(call.account, call.region)
    found = await call.look(lambda inner: [mapping for _, mapping in inner.reader.list(MAPPING, prefix)])
    if request.event_source_arn:
        found = [mapping for mapping in found if mapping.source_arn == request.event_source_arn]
    if request.function_name:
        arn = parse_address(call, request.function_name).arn
        found = [mapping for mapping in found if mapping.function_arn == arn]
    items, marker = page(
        found, lambda mapping: mapping.uuid, request.marker, request.max_items, limits.MAPPINGS_PAGE_MAX
    )
    return api.ListEventSourceMappingsResponse(
        event_source_mappings=[_show(call, mapping) for mapping in items], next_marker=marker
    )


@operation
async def update_event_source_mapping(
    call: Call, request: api.UpdateEventSourceMappingRequest
) -> api.EventSourceMappingConfiguration:
    """Change a mapping; what is not given keeps its value. Batches that are under way end as they began."""
    mapping = await call.look(lambda inner: _load(inner, request.uuid))
    visibility_seconds = None
    if request.function_name and mapping.stream is None:
        visibility_seconds = await _visibility_seconds(call, Arn.parse(mapping.source_arn))

    def update(inner: Call) -> Mapping:
        mapping = changed(_load(inner, request.uuid), request)
        if request.function_name:
            address = parse_address(call, request.function_name)
            _check_function(inner, address, visibility_seconds)
            mapping = msgspec.structs.replace(mapping, function_arn=address.arn)
        mapping = msgspec.structs.replace(mapping, modified_at=call.now)
        inner.records.put(MAPPING, mapping.key, mapping)
        return mapping

    return (await call.transact(update)).show("Updating")


@operation
def delete_event_source_mapping(
    call: Call, request: api.DeleteEventSourceMappingRequest
) -> api.EventSourceMappingConfiguration:
    """Stop reading a source for a function. Batches that are under way end as they began."""
    mapping = _load(call, request.uuid)
    call.records.delete(MAPPING, mapping.key)
    if mapping.stream is not None:
        call.apply(forgetting(mapping.uuid, mapping.stream.lanes))
    return mapping.show("Deleting")


def _load(call: Call, uuid: str) -> Mapping:
    mapping = call.reader.find(MAPPING, record_key(call.account, call.region, uuid))
    if mapping is None:
        raise not_found("The resource you requested does not exist.")
    return mapping


def _show(call: Call, mapping: Mapping) -> api.EventSourceMappingConfiguration:
    state = "Enabled" if mapping.is_enabled else "Disabled"
    return mapping.show(state, *call.part(Mappings).status_of(mapping))


async def _of_stream(call: Call, blank: Mapping, request: api.CreateEventSourceMappingRequest) -> Mapping:
    """Return a new mapping of a stream, with the place at which it begins to read.

    Raises:
        InvalidParameterValueException: there is no such stream, or the place is not right.
    """
    settings = first_settings(request, call.now)
    stream = await call.platform.open_stream(Arn.parse(blank.source_arn))
    if stream is None:
        raise invalid(f"Stream not found: {blank.source_arn}")
    if settings.starting_position == "LATEST":
        settings = msgspec.structs.replace(settings, starts_after=await stream.last_position())
    return msgspec.structs.replace(blank, stream=settings, batch_size=limits.MAPPING_STREAM_BATCH)


def _already_there(other: Mapping, address: FunctionAddress) -> api.ResourceConflictException:
    existing = f"Please update or delete the existing mapping with UUID {other.uuid}"
    if other.stream is not None:
        return conflict(
            f'The event source arn (" {other.source_arn} ") and function (" {address.name} ") provided mapping '
            f"already exists. {existing}"
        )
    return conflict(
        f'An event source mapping with SQS arn (" {other.source_arn} ") and function (" {address.name} ") already '
        f"exists. {existing}"
    )


def _check_function(call: Call, address: FunctionAddress, visibility_seconds: int | None) -> None:
    """Check that a mapping's function is there and, where it drains a queue, ends before its messages come back.

    Raises:
        InvalidParameterValueException: it is not, or does not.
    """
    function = call.records.find(FUNCTION, address.key)
    if function is None:
        raise invalid("Function does not exist")
    version: Version = load_version(call, address, function)
    if visibility_seconds is not None and visibility_seconds < version.timeout_seconds:
        raise invalid(
            f"Queue visibility timeout: {visibility_seconds} seconds is less than "
            f"Function timeout: {version.timeout_seconds} seconds"
        )


async def _visibility_seconds(call: Call, source: Arn) -> int:
    """Return the visibility timeout of a queue.

    Raises:
        InvalidParameterValueException: there is no such queue.
    """
    caller = call.caller.elsewhere(account=source.account, region=source.region)
    url = f"{call.caller.endpoint}/{source.account}/{source.resource}"
    wanted = sqs_api.GetQueueAttributesRequest(queue_url=url, attribute_names=[_VISIBILITY])
    try:
        answer = await call.platform.table.run(caller, "sqs", "GetQueueAttributes", wanted)
    except ServiceError as error:
        code = error.query_code or error.code
        raise invalid(
            f"Error occurred while ReceiveMessage. SQS Error Code: {code}. SQS Error Message: {error.message}"
        ) from error
    assert isinstance(answer, sqs_api.GetQueueAttributesResult)
    return int((answer.attributes or {})[_VISIBILITY])
