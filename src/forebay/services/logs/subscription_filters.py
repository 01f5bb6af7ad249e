"""Operations on subscription filters, which hand a group's new events to functions."""

from typing import NoReturn

from msgspec.structs import replace

from forebay.api import lambda_ as lambda_api
from forebay.api import logs as api
from forebay.core.arn import Arn
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.pages import page_of
from forebay.operations.service import operation
from forebay.services.logs import limits
from forebay.services.logs.filter_pattern import parse_filter_pattern
from forebay.services.logs.group import LOG_GROUP, LogGroup, group_key, load_group
from forebay.services.logs.subscription_filter import SubscriptionFilter

_NOT_HERE = ("apply_on_transformed_logs", "emit_system_fields", "field_selection_criteria")


@operation
async def put_subscription_filter(call: Call, request: api.PutSubscriptionFilterRequest) -> None:
    """Hand a group's events that match to a function from now on; a filter of the same name is replaced.

    Raises:
        InvalidParameterException: the pattern is none, the function is not there, or its own log is the group.
        LimitExceededException: the group has two filters already.
    """
    parse_filter_pattern(request.filter_pattern)
    await _check_destination(call, request)

    def work(inner: Call) -> None:
        group = load_group(inner, request.log_group_name)
        others = tuple(item for item in group.subscriptions if item.name != request.filter_name)
        if len(others) >= limits.SUBSCRIPTION_FILTERS_MAX:
            raise api.LimitExceededException("Resource limit exceeded.")
        subscription = SubscriptionFilter(
            name=request.filter_name,
            pattern=request.filter_pattern,
            destination_arn=request.destination_arn,
            created_at_ms=inner.now_ms,
            role_arn=request.role_arn,
            distribution=request.distribution,
        )
        _put(inner, replace(group, subscriptions=(*others, subscription)))

    await call.transact(work)


async def _check_destination(call: Call, request: api.PutSubscriptionFilterRequest) -> None:
    for member in _NOT_HERE:
        if getattr(request, member):
            _refuse(f"The member {member} of subscription filters is not implemented by Forebay.")
    try:
        arn = Arn.parse(request.destination_arn)
    except ValueError:
        raise api.InvalidParameterException("destinationArn is not a valid ARN.") from None
    if arn.service != "lambda":
        _refuse(f"Subscription filters of Forebay deliver to Lambda functions only, not to {arn.service}.")
    name = arn.resource.removeprefix("function:")
    if request.log_group_name == f"/aws/lambda/{name.partition(':')[0]}":
        text = "The log group provided is reserved for the function log of the destination function."
        raise api.InvalidParameterException(text)
    wanted = lambda_api.GetFunctionConfigurationRequest(function_name=request.destination_arn)
    try:
        await call.invoke("lambda", "GetFunctionConfiguration", wanted)
    except lambda_api.ResourceNotFoundException:
        text = (
            "Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute "
            "your function."
        )
        raise api.InvalidParameterException(text) from None


@operation(readonly=True)
def describe_subscription_filters(
    call: Call, request: api.DescribeSubscriptionFiltersRequest
) -> api.DescribeSubscriptionFiltersResponse:
    """Return a page of a group's filters by name."""
    group = load_group(call, request.log_group_name)
    prefix = request.filter_name_prefix or ""
    filters = sorted((item for item in group.subscriptions if item.name.startswith(prefix)), key=lambda item: item.name)
    try:
        limit = request.limit or limits.PAGE_GROUPS_MAX
        found, token = page_of(filters, lambda item: item.name, request.next_token, limit)
    except ValueError:
        raise api.InvalidParameterException("The specified nextToken is invalid.") from None
    described = [item.described(group.name) for item in found]
    return api.DescribeSubscriptionFiltersResponse(subscription_filters=described, next_token=token)


@operation
def delete_subscription_filter(call: Call, request: api.DeleteSubscriptionFilterRequest) -> None:
    """Hand over no more events by a filter; what is on its way arrives."""
    group = load_group(call, request.log_group_name)
    others = tuple(item for item in group.subscriptions if item.name != request.filter_name)
    if len(others) == len(group.subscriptions):
        raise api.ResourceNotFoundException("The specified subscription filter does not exist.")
    _put(call, replace(group, subscriptions=others))


def _put(call: Call, group: LogGroup) -> None:
    call.records.put(LOG_GROUP, group_key(call, group.name), group)


def _refuse(text: str) -> NoReturn:
    raise ServiceError.of("NotImplemented", text, 501)
