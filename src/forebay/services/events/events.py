"""Operations on events: PutEvents, and TestEventPattern."""

from forebay.api import events as api
from forebay.core.errors import ServiceError
from forebay.languages.event_pattern import matches
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.events import limits
from forebay.services.events.bus import BusAddress
from forebay.services.events.endpoint import ENDPOINT, GlobalEndpoint
from forebay.services.events.errors import validation_error
from forebay.services.events.event import (
    Failure,
    Origin,
    check_entry,
    entry_size,
    new_event,
    read_detail,
    read_document,
)
from forebay.services.events.router import Router, Routing
from forebay.services.events.rule import read_pattern
from forebay.store.joining import join
from forebay.store.records import key_prefix

# "The following fields are mandatory" (TestEventPattern), which names `resources`, too; AWS does without them.
_MANDATORY = frozenset({"id", "account", "source", "time", "region", "detail-type"})


@operation
async def put_events(call: Call, request: api.PutEventsRequest) -> api.PutEventsResponse:
    """Put up to ten events on their buses, all in one commit; entries that cannot be taken are answered as such.

    Events are matched at once: what is acknowledged has reached its queues, or the outbox.

    Raises:
        ValidationException: the entries are too many, or too large together.
    """
    entries = request.entries
    _check_request(request)
    endpoint = await _find_endpoint(call, request.endpoint_id)
    routing = call.part(Router).begin()
    results: list[api.PutEventsResultEntry] = []
    failed_count = 0
    for entry in entries:
        event_id = call.ids.event_id()
        failure = await _take(call, routing, entry, event_id, endpoint)
        if failure is None:
            results.append(api.PutEventsResultEntry(event_id=event_id))
        else:
            failed_count += 1
            results.append(api.PutEventsResultEntry(error_code=failure.code, error_message=failure.message))
    commands = join(await routing.commands())
    if commands:
        await call.submit(commands)
    return api.PutEventsResponse(failed_entry_count=failed_count, entries=results)


@operation(readonly=True)
def test_event_pattern(call: Call, request: api.TestEventPatternRequest) -> api.TestEventPatternResponse:  # noqa: ARG001 an operation takes its call
    """Tell whether an event matches a pattern.

    Raises:
        InvalidEventPatternException: the pattern is none.
        ValidationException: the event is no JSON object, or lacks a mandatory field.
    """
    pattern = read_pattern(request.event_pattern)
    event = read_document(request.event)
    if event is None or not event.keys() >= _MANDATORY:
        raise validation_error("Parameter Event is not valid.")
    return api.TestEventPatternResponse(result=matches(pattern, event))


async def _take(
    call: Call, routing: Routing, entry: api.PutEventsRequestEntry, event_id: str, endpoint: GlobalEndpoint | None
) -> Failure | None:
    """Put an entry's event on its bus, or return why it cannot be taken."""
    failure = check_entry(entry)
    if failure is not None:
        return failure
    assert entry.detail is not None
    detail = read_detail(entry.detail)
    if detail is None:
        return Failure("MalformedDetail", "Detail is malformed.")
    try:
        address = BusAddress.of(call, entry.event_bus_name)
    except ServiceError as error:
        return Failure("InvalidArgument", error.message)
    addresses = [address]
    if endpoint is not None:
        addresses = endpoint.addresses()
        if address.name != addresses[0].name:
            return Failure("InvalidArgument", f"Event bus {address.name} is not one of the endpoint {endpoint.name}.")
    event = new_event(entry, detail, Origin(event_id, call.account, call.region), call.now)
    for one in addresses:
        await routing.take(event, one)
    return None


async def _find_endpoint(call: Call, endpoint_id: str | None) -> GlobalEndpoint | None:
    if endpoint_id is None:
        return None
    endpoints = await call.look(lambda inner: inner.reader.list(ENDPOINT, key_prefix(call.account)))
    found = next((endpoint for _, endpoint in endpoints if endpoint.endpoint_id == endpoint_id), None)
    if found is None:
        raise validation_error(f"Endpoint '{endpoint_id}' does not exist.")
    return found


def _check_request(request: api.PutEventsRequest) -> None:
    count = len(request.entries)
    if not 1 <= count <= limits.ENTRIES_PER_REQUEST_MAX:
        # The wire has said so already; other callers have not.
        bound = "greater than or equal to 1" if count == 0 else "less than or equal to 10"
        raise validation_error(
            f"1 validation error detected: Value at 'entries' failed to satisfy constraint: "
            f"Member must have length {bound}"
        )
    if sum(map(entry_size, request.entries)) >= limits.ENTRIES_BYTES_MAX:
        raise validation_error("Total size of the entries in the request is over the limit.")
