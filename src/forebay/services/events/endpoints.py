"""Operations on global endpoints."""

from collections.abc import Sequence

from msgspec.structs import asdict, replace

from forebay.api import events as api
from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.events.bus import BusAddress, load_bus
from forebay.services.events.endpoint import ENDPOINT, GlobalEndpoint, load_endpoint
from forebay.services.events.errors import validation_error
from forebay.services.events.pages import page
from forebay.store.records import key_prefix, record_key


@operation
def create_endpoint(call: Call, request: api.CreateEndpointRequest) -> api.CreateEndpointResponse:
    """Create a global endpoint. The Region that creates it is the primary one.

    Raises:
        ResourceAlreadyExistsException: there is an endpoint of this name.
        ValidationException: the buses are not two of one name, in this Region and the secondary one.
    """
    buses = [bus.event_bus_arn for bus in request.event_buses]
    _check_buses(call, buses, request.routing_config)
    if call.records.find(ENDPOINT, record_key(call.account, call.region, request.name)) is not None:
        raise api.ResourceAlreadyExistsException(f"Endpoint {request.name} already exists.")
    endpoint = GlobalEndpoint(
        account=call.account,
        region=call.region,
        name=request.name,
        endpoint_id=f"{call.ids.hex(10)}.{call.ids.hex(3)}",
        routing=request.routing_config,
        buses=tuple(buses),
        replicates=_replicates(request.replication_config),
        role=request.role_arn,
        created_at=call.now,
        modified_at=call.now,
        description=request.description or None,
    )
    call.records.put(ENDPOINT, endpoint.key(), endpoint)
    return api.CreateEndpointResponse(
        name=endpoint.name,
        arn=endpoint.arn(),
        routing_config=endpoint.routing,
        replication_config=_replication(endpoint),
        event_buses=_buses(endpoint),
        role_arn=endpoint.role,
        state="ACTIVE",
    )


@operation(readonly=True)
def describe_endpoint(call: Call, request: api.DescribeEndpointRequest) -> api.DescribeEndpointResponse:
    """Return a global endpoint."""
    # The same members, in a shape of its own.
    return api.DescribeEndpointResponse(**asdict(_listed(load_endpoint(call, request.name))))


@operation
def update_endpoint(call: Call, request: api.UpdateEndpointRequest) -> api.UpdateEndpointResponse:
    """Change a global endpoint; what is not named keeps its value."""
    endpoint = load_endpoint(call, request.name)
    routing = request.routing_config or endpoint.routing
    buses = [bus.event_bus_arn for bus in request.event_buses] if request.event_buses else list(endpoint.buses)
    _check_buses(call, buses, routing)
    config = request.replication_config
    endpoint = replace(
        endpoint,
        routing=routing,
        buses=tuple(buses),
        replicates=endpoint.replicates if config is None else _replicates(config),
        role=request.role_arn or endpoint.role,
        description=endpoint.description if request.description is None else request.description or None,
        modified_at=call.now,
    )
    call.records.put(ENDPOINT, endpoint.key(), endpoint)
    return api.UpdateEndpointResponse(
        name=endpoint.name,
        arn=endpoint.arn(),
        routing_config=endpoint.routing,
        replication_config=_replication(endpoint),
        event_buses=_buses(endpoint),
        role_arn=endpoint.role,
        endpoint_id=endpoint.endpoint_id,
        endpoint_url=endpoint.url(),
        state="ACTIVE",
    )


@operation
def delete_endpoint(call: Call, request: api.DeleteEndpointRequest) -> api.DeleteEndpointResponse:
    """Delete a global endpoint; its buses stay."""
    call.records.delete(ENDPOINT, load_endpoint(call, request.name).key())
    return api.DeleteEndpointResponse()


@operation(readonly=True)
def list_endpoints(call: Call, request: api.ListEndpointsRequest) -> api.ListEndpointsResponse:
    """List global endpoints by name."""
    endpoints = [endpoint for _, endpoint in call.reader.list(ENDPOINT, key_prefix(call.account, call.region))]
    found = [endpoint for endpoint in endpoints if endpoint.name.startswith(request.name_prefix or "")]
    shown, next_token = page(found, lambda endpoint: endpoint.name, request.next_token, request.max_results)
    return api.ListEndpointsResponse(endpoints=[_listed(endpoint) for endpoint in shown], next_token=next_token)


def _listed(endpoint: GlobalEndpoint) -> api.Endpoint:
    return api.Endpoint(
        name=endpoint.name,
        description=endpoint.description,
        arn=endpoint.arn(),
        routing_config=endpoint.routing,
        replication_config=_replication(endpoint),
        event_buses=_buses(endpoint),
        role_arn=endpoint.role,
        endpoint_id=endpoint.endpoint_id,
        endpoint_url=endpoint.url(),
        state="ACTIVE",
        creation_time=endpoint.created_at,
        last_modified_time=endpoint.modified_at,
    )


def _buses(endpoint: GlobalEndpoint) -> list[api.EndpointEventBus]:
    return [api.EndpointEventBus(event_bus_arn=arn) for arn in endpoint.buses]


def _replicates(config: api.ReplicationConfig | None) -> bool:
    """Return whether events go to both buses, which is so unless it is switched off (CreateEndpoint)."""
    return config is None or config.state != "DISABLED"


def _replication(endpoint: GlobalEndpoint) -> api.ReplicationConfig:
    return api.ReplicationConfig(state="ENABLED" if endpoint.replicates else "DISABLED")


def _check_buses(call: Call, arns: Sequence[str], routing: api.RoutingConfig) -> None:
    addresses = [BusAddress.at(Arn.parse(arn)) for arn in arns]
    regions = {address.region for address in addresses}
    if len({address.name for address in addresses}) != 1 or any(one.account != call.account for one in addresses):
        raise validation_error("Event buses of an endpoint must have the same name and account.")
    if regions != {call.region, routing.failover_config.secondary.route} or len(regions) != len(addresses):
        raise validation_error("Event buses of an endpoint must be in its primary and its secondary Region.")
    for address in addresses:
        load_bus(call, address)
