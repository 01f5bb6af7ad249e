"""Operations on events: PutEvents, and TestEventPattern."""

from collections.abc import Sequence
from typing import Any

from forebay.api import events as api
from forebay.core.errors import ServiceError
from forebay.delivery.trace import ARRIVALS
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
from forebay.services.events.router import Router
from forebay.services.events.rule import read_pattern
from forebay.store.commands import AppendLog, Command, LogEntry
from forebay.store.records import key_prefix

# "The following fields are mandatory" (TestEventPattern).
_MANDATORY = ("id", "account", "source", "time", "region", "resources", "detail-type")


@operation
async def put_events(call: Call, request: api.PutEventsRequest) -> api.PutEventsResponse:
    """Put up to ten events on their buses, all in one commit; entries that cannot be taken are answered as such.

    Events are matched at once: what is acknowledged has reached its queues, or the outbox.

    Raises:
        ValidationException: the entries are too many, or too large together.
    """
    entries = request.entries
    _check_request(request)
    router = call.part(Router)
    endpoint = await _find_endpoint(call, request.endpoint_id)
    results: list[api.PutEventsResultEntry] = []
    commands: list[Command[Any]] = []
    failed_count = 0
    for entry in entries:
        taken = await _take(call, router, entry, endpoint)
        if isinstance(taken, Failure):
            failed_count += 1
            results.append(api.PutEventsResultEntry(error_code=taken.code, error_message=taken.message))
        else:
            event_id, its_commands = taken
            commands += its_commands
            results.append(api.PutEventsResultEntry(event_id=event_id))
    if commands:
        await call.submit(_together(commands))
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
    if event is None:
        raise validation_error("Parameter Event is not valid. Reason: It is not a JSON object.")
    for name in _MANDATORY:
        if name not in event:
            raise validation_error(f"Parameter Event is not valid. Reason: Field {name} is missing.")
    return api.TestEventPatternResponse(result=matches(pattern, event))


async def _take(
    call: Call, router: Router, entry: api.PutEventsRequestEntry, endpoint: GlobalEndpoint | None
) -> tuple[str, list[Command[Any]]] | Failure:
    """Return an event's id and the commands by which its bus takes it, or why it cannot be taken."""
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
    origin = Origin(call.ids.uuid(), call.account, call.region)
    event = new_event(entry, detail, origin, call.now)
    if endpoint is None:
        return event.event_id, await router.route(event, address)
    addresses = endpoint.addresses()
    if address.name != addresses[0].name:
        return Failure("InvalidArgument", f"Event bus {address.name} is not one of the endpoint {endpoint.name}.")
    return event.event_id, [command for one in addresses for command in await router.route(event, one)]


def _together(commands: Sequence[Command[Any]]) -> list[Command[Any]]:
    """Return commands with those that show arrivals made one: it costs the store as much as one event's."""
    arrivals: list[LogEntry] = []
    others: list[Command[Any]] = []
    for command in commands:
        if isinstance(command, AppendLog) and command.stream == ARRIVALS:
            arrivals += command.entries
        else:
            others.append(command)
    return [*others, AppendLog(ARRIVALS, tuple(arrivals))] if arrivals else others


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
