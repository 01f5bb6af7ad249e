"""Operations on log groups: create, describe, delete, retention, tags."""

from collections.abc import Mapping

from msgspec.structs import replace

from forebay.api import logs as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.pages import page_of
from forebay.operations.service import operation
from forebay.services.logs import limits
from forebay.services.logs.group import LOG_GROUP, LOG_STREAM, LogGroup, group_key, load_group, name_of_arn
from forebay.store.commands import DropLog
from forebay.store.records import key_prefix


@operation
def create_log_group(call: Call, request: api.CreateLogGroupRequest) -> None:
    """Create a log group that keeps its events until a retention is set."""
    if request.kms_key_id is not None:
        raise ServiceError.of("NotImplemented", "Encryption with kmsKeyId is not implemented by Forebay.", 501)
    if request.deletion_protection_enabled:
        raise ServiceError.of("NotImplemented", "deletionProtectionEnabled is not implemented by Forebay.", 501)
    key = group_key(call, request.log_group_name)
    if call.records.find(LOG_GROUP, key) is not None:
        raise api.ResourceAlreadyExistsException("The specified log group already exists")
    group = LogGroup(
        account=call.account,
        region=call.region,
        name=request.log_group_name,
        created_at_ms=call.now_ms,
        group_class=request.log_group_class or "STANDARD",
        tags=request.tags or {},
    )
    call.records.put(LOG_GROUP, key, group)


@operation(readonly=True)
def describe_log_groups(call: Call, request: api.DescribeLogGroupsRequest) -> api.DescribeLogGroupsResponse:
    """Return a page of log groups by name."""
    prefix, pattern = request.log_group_name_prefix, request.log_group_name_pattern
    if prefix is not None and pattern is not None:
        text = "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
        raise api.InvalidParameterException(text)
    wanted = {name_of_arn(each) if each.startswith("arn:") else each for each in request.log_group_identifiers or ()}
    groups = [
        group
        for _, group in call.reader.list(LOG_GROUP, key_prefix(call.account, call.region) + (prefix or ""))
        if (pattern or "").lower() in group.name.lower()
        and (not wanted or group.name in wanted)
        and request.log_group_class in (None, group.group_class)
    ]
    try:
        limit = request.limit or limits.PAGE_GROUPS_MAX
        found, token = page_of(groups, lambda group: group.name, request.next_token, limit)
    except ValueError:
        raise api.InvalidParameterException("The specified nextToken is invalid.") from None
    return api.DescribeLogGroupsResponse(log_groups=[group.described() for group in found], next_token=token)


@operation
def delete_log_group(call: Call, request: api.DeleteLogGroupRequest) -> None:
    """Delete a log group with its streams and events."""
    group = load_group(call, request.log_group_name)
    for key, stream in call.records.list(LOG_STREAM, key_prefix(call.account, call.region, group.name)):
        call.apply(DropLog(stream.log_name))
        call.records.delete(LOG_STREAM, key)
    call.records.delete(LOG_GROUP, group_key(call, group.name))


@operation
def put_retention_policy(call: Call, request: api.PutRetentionPolicyRequest) -> None:
    """Set how long events are kept. Older ones are hidden at once; those that come from now on are also deleted."""
    group = load_group(call, request.log_group_name)
    if request.retention_in_days not in limits.RETENTION_DAYS:
        days = ", ".join(str(each) for each in limits.RETENTION_DAYS)
        raise api.InvalidParameterException(
            f"1 validation error detected: Value '{request.retention_in_days}' at 'retentionInDays' failed to satisfy "
            f"constraint: Member must satisfy enum value set: [{days}]"
        )
    _put(call, replace(group, retention_days=request.retention_in_days))


@operation
def delete_retention_policy(call: Call, request: api.DeleteRetentionPolicyRequest) -> None:
    """Keep events that come from now on until the group is deleted."""
    _put(call, replace(load_group(call, request.log_group_name), retention_days=None))


@operation
def tag_resource(call: Call, request: api.TagResourceRequest) -> None:
    """Set tags of a log group, by its ARN."""
    _tag(call, name_of_arn(request.resource_arn), request.tags)


@operation
def untag_resource(call: Call, request: api.UntagResourceRequest) -> None:
    """Remove tags of a log group, by its ARN."""
    _untag(call, name_of_arn(request.resource_arn), request.tag_keys)


@operation(readonly=True)
def list_tags_for_resource(call: Call, request: api.ListTagsForResourceRequest) -> api.ListTagsForResourceResponse:
    """Return a log group's tags, by its ARN."""
    return api.ListTagsForResourceResponse(tags=dict(load_group(call, name_of_arn(request.resource_arn)).tags))


@operation
def tag_log_group(call: Call, request: api.TagLogGroupRequest) -> None:
    """Set tags of a log group."""
    _tag(call, request.log_group_name, request.tags)


@operation
def untag_log_group(call: Call, request: api.UntagLogGroupRequest) -> None:
    """Remove tags of a log group."""
    _untag(call, request.log_group_name, request.tags)


@operation(readonly=True)
def list_tags_log_group(call: Call, request: api.ListTagsLogGroupRequest) -> api.ListTagsLogGroupResponse:
    """Return a log group's tags."""
    return api.ListTagsLogGroupResponse(tags=dict(load_group(call, request.log_group_name).tags))


def _tag(call: Call, name: str, tags: Mapping[str, str]) -> None:
    group = load_group(call, name)
    merged = {**group.tags, **tags}
    if len(merged) > limits.TAGS_MAX:
        raise api.TooManyTagsException("The resource has too many tags.", resource_name=group.arn)
    _put(call, replace(group, tags=merged))


def _untag(call: Call, name: str, keys: list[str]) -> None:
    group = load_group(call, name)
    _put(call, replace(group, tags={key: value for key, value in group.tags.items() if key not in keys}))


def _put(call: Call, group: LogGroup) -> None:
    call.records.put(LOG_GROUP, group_key(call, group.name), group)
