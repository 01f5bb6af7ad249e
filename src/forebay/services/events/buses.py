"""Operations on event buses."""

from msgspec.structs import replace

from forebay.api import events as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.events import limits
from forebay.services.events.archive import ARCHIVE
from forebay.services.events.bus import BUS, DEFAULT, BusAddress, EventBus, check_name, find_bus, load_bus
from forebay.services.events.dead_letter import check_dead_letter
from forebay.services.events.errors import too_many, validation_error
from forebay.services.events.pages import page
from forebay.services.events.partners import no_event_source
from forebay.services.events.rule import RULE, RULE_COUNT
from forebay.services.events.tags import merge_tags
from forebay.store.records import key_prefix


@operation
def create_event_bus(call: Call, request: api.CreateEventBusRequest) -> api.CreateEventBusResponse:
    """Create a custom bus.

    Raises:
        ResourceAlreadyExistsException: there is a bus of this name.
        LimitExceededException: the account has as many buses as AWS allows.
    """
    if request.event_source_name is not None:
        raise no_event_source(request.event_source_name)
    check_name(request.name)
    check_dead_letter(request.dead_letter_config)
    address = BusAddress(call.account, call.region, request.name)
    known = call.records.list(BUS, key_prefix(call.account, call.region))
    if any(bus.name == request.name for _, bus in known):
        raise api.ResourceAlreadyExistsException(f"Event bus {request.name} already exists.")
    if sum(bus.name != DEFAULT for _, bus in known) >= limits.BUSES_MAX:
        raise too_many()
    bus = EventBus(
        account=address.account,
        region=address.region,
        name=address.name,
        created_at=call.now,
        modified_at=call.now,
        description=request.description or None,
        kms_key=request.kms_key_identifier or None,
        dead_letter=request.dead_letter_config,
        log_config=request.log_config,
        tags=merge_tags({}, request.tags),
    )
    call.records.put(BUS, address.key(), bus)
    return api.CreateEventBusResponse(
        event_bus_arn=bus.arn(),
        description=bus.description,
        kms_key_identifier=bus.kms_key,
        dead_letter_config=bus.dead_letter,
        log_config=bus.log_config,
    )


@operation
def update_event_bus(call: Call, request: api.UpdateEventBusRequest) -> api.UpdateEventBusResponse:
    """Change settings of a bus; those that are not named keep their values, empty texts take them away."""
    bus = load_bus(call, BusAddress.of(call, request.name))
    check_dead_letter(request.dead_letter_config)
    bus = replace(bus, modified_at=call.now)
    if request.description is not None:
        bus = replace(bus, description=request.description or None)
    if request.kms_key_identifier is not None:
        bus = replace(bus, kms_key=request.kms_key_identifier or None)
    if request.dead_letter_config is not None:
        given = request.dead_letter_config
        bus = replace(bus, dead_letter=given if given.arn else None)
    if request.log_config is not None:
        bus = replace(bus, log_config=request.log_config)
    call.records.put(BUS, bus.address().key(), bus)
    return api.UpdateEventBusResponse(
        arn=bus.arn(),
        name=bus.name,
        description=bus.description,
        kms_key_identifier=bus.kms_key,
        dead_letter_config=bus.dead_letter,
        log_config=bus.log_config,
    )


@operation
def delete_event_bus(call: Call, request: api.DeleteEventBusRequest) -> None:
    """Delete a custom bus; one that is not there is as good as deleted.

    Raises:
        ValidationException: it is the default bus, or has rules or archives.
    """
    if request.name == DEFAULT:
        raise validation_error("Cannot delete event bus default.")
    address = BusAddress.of(call, request.name)
    if call.records.list(RULE, key_prefix(address.key()), limit=1):
        raise validation_error("EventBus can't be deleted since it has rules.")
    archives = call.records.list(ARCHIVE, key_prefix(address.account, address.region))
    if any(archive.bus == address.name for _, archive in archives):
        # Each archive has a rule on its bus that AWS manages.
        raise validation_error("EventBus can't be deleted since it has rules.")
    call.records.delete(BUS, address.key())
    call.records.delete(RULE_COUNT, address.key())


@operation(readonly=True)
def describe_event_bus(call: Call, request: api.DescribeEventBusRequest) -> api.DescribeEventBusResponse:
    """Return a bus by name or ARN; without either, the default bus."""
    bus = load_bus(call, BusAddress.of(call, request.name))
    return api.DescribeEventBusResponse(
        name=bus.name,
        arn=bus.arn(),
        description=bus.description,
        kms_key_identifier=bus.kms_key,
        dead_letter_config=bus.dead_letter,
        policy=bus.policy,
        log_config=bus.log_config,
        creation_time=bus.created_at,
        last_modified_time=bus.modified_at,
    )


@operation(readonly=True)
def list_event_buses(call: Call, request: api.ListEventBusesRequest) -> api.ListEventBusesResponse:
    """List the buses of the account and region by name, the default bus among them."""
    stored = [bus for _, bus in call.reader.list(BUS, key_prefix(call.account, call.region))]
    default = find_bus(call, BusAddress(call.account, call.region, DEFAULT))
    assert default is not None
    buses = [default, *(bus for bus in stored if bus.name != DEFAULT)]
    prefix = request.name_prefix or ""
    found = sorted((bus for bus in buses if bus.name.startswith(prefix)), key=lambda bus: bus.name)
    shown, next_token = page(found, lambda bus: bus.name, request.next_token, request.limit)
    return api.ListEventBusesResponse(event_buses=[_listed(bus) for bus in shown], next_token=next_token)


def _listed(bus: EventBus) -> api.EventBus:
    return api.EventBus(
        name=bus.name,
        arn=bus.arn(),
        description=bus.description,
        policy=bus.policy,
        creation_time=bus.created_at,
        last_modified_time=bus.modified_at,
    )
