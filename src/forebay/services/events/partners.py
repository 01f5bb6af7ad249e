"""Operations on partner event sources, as AWS answers them where no partner has made any, and nobody is a partner."""

from forebay.api import events as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.events.pages import page


@operation(readonly=True)
def list_event_sources(call: Call, request: api.ListEventSourcesRequest) -> api.ListEventSourcesResponse:  # noqa: ARG001 an operation takes its call
    """List the partner event sources that were shared with the account: none."""
    page(list[str](), str, request.next_token, request.limit)
    return api.ListEventSourcesResponse(event_sources=[])


@operation(readonly=True)
def describe_event_source(call: Call, request: api.DescribeEventSourceRequest) -> api.DescribeEventSourceResponse:  # noqa: ARG001 an operation takes its call
    """Say that there is no such partner event source."""
    raise no_event_source(request.name)


@operation(readonly=True)
def activate_event_source(call: Call, request: api.ActivateEventSourceRequest) -> None:  # noqa: ARG001 an operation takes its call
    """Say that there is no such partner event source."""
    raise no_event_source(request.name)


@operation(readonly=True)
def deactivate_event_source(call: Call, request: api.DeactivateEventSourceRequest) -> None:  # noqa: ARG001 an operation takes its call
    """Say that there is no such partner event source."""
    raise no_event_source(request.name)


@operation(readonly=True)
def create_partner_event_source(
    call: Call,
    request: api.CreatePartnerEventSourceRequest,  # noqa: ARG001 - whatever it says
) -> api.CreatePartnerEventSourceResponse:
    """Say that the account is no partner."""
    raise _no_partner(call)


@operation(readonly=True)
def delete_partner_event_source(call: Call, request: api.DeletePartnerEventSourceRequest) -> None:  # noqa: ARG001 whatever it says
    """Say that the account is no partner."""
    raise _no_partner(call)


@operation(readonly=True)
def describe_partner_event_source(
    call: Call,  # noqa: ARG001 - an operation takes its call
    request: api.DescribePartnerEventSourceRequest,
) -> api.DescribePartnerEventSourceResponse:
    """Say that there is no such partner event source."""
    raise no_event_source(request.name)


@operation(readonly=True)
def list_partner_event_sources(
    call: Call,  # noqa: ARG001 - an operation takes its call
    request: api.ListPartnerEventSourcesRequest,
) -> api.ListPartnerEventSourcesResponse:
    """List the partner event sources that the account has made: none."""
    page(list[str](), str, request.next_token, request.limit)
    return api.ListPartnerEventSourcesResponse(partner_event_sources=[])


@operation(readonly=True)
def list_partner_event_source_accounts(
    call: Call,  # noqa: ARG001 - an operation takes its call
    request: api.ListPartnerEventSourceAccountsRequest,
) -> api.ListPartnerEventSourceAccountsResponse:
    """Say that there is no such partner event source."""
    raise no_event_source(request.event_source_name)


@operation(readonly=True)
def put_partner_events(call: Call, request: api.PutPartnerEventsRequest) -> api.PutPartnerEventsResponse:  # noqa: ARG001 whatever it says
    """Say that the account is no partner."""
    raise _no_partner(call)


def no_event_source(name: str) -> ServiceError:
    """Return the answer about a partner event source that is not there."""
    return api.ResourceNotFoundException(f"Event source {name} does not exist.")


def _no_partner(call: Call) -> ServiceError:
    return ServiceError.of(
        "AccessDeniedException", f"Account {call.account} is not registered as an Amazon EventBridge partner."
    )
