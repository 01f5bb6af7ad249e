"""Operations on what belongs to a table beside its items: tags, policies, time to live, recovery, and what is not."""

from msgspec.structs import replace

from forebay.api import dynamodb as api
from forebay.core.arn import Arn
from forebay.languages.dynamodb.errors import invalid
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.dynamodb.address import load_table
from forebay.services.dynamodb.effects import changes_log
from forebay.services.dynamodb.errors import check_own, no_resource, not_implemented
from forebay.services.dynamodb.indexing import index_timer
from forebay.services.dynamodb.resource_checks import check_policy, check_tags
from forebay.services.dynamodb.table import STREAM, TABLE, Recovery, Table, TimeToLive, table_key
from forebay.store.commands import DropLog, PutTimers
from forebay.store.records import record_key

_TAG_PAGE = 10
# Recovery goes back to any second but the last five minutes ("Point-in-time recovery").
_RECOVERY_LAG_SECONDS = 300
# "It can take up to one hour for a change to TTL to fully process"; another change meanwhile is refused.
_TTL_CHANGE_SECONDS = 3600


def _load_by_arn(call: Call, text: str) -> Table:
    """Return the table of an ARN, inside a transaction or view."""
    try:
        arn = Arn.parse(text)
    except ValueError:
        raise invalid(f"Invalid TableArn: Invalid ResourceArn provided as input {text}") from None
    name = arn.resource.removeprefix("table/")
    if arn.service != "dynamodb" or not arn.resource.startswith("table/") or not name:
        raise invalid(f"Invalid TableArn: Invalid ResourceArn provided as input {text}")
    check_own(call, arn)
    table = call.reader.find(TABLE, table_key(arn.account, arn.region, name.partition("/")[0]))
    if table is None:
        raise api.ResourceNotFoundException(f"Requested resource not found: ResourcArn: {text} not found")
    return table


@operation
def tag_resource(call: Call, request: api.TagResourceInput) -> None:
    """Add tags to a table, or change those it has."""
    if not request.tags:
        raise invalid("Atleast one Tag needs to be provided as Input.")
    table = _load_by_arn(call, request.resource_arn)
    tags = {**table.tags, **{tag.key: tag.value for tag in request.tags}}
    check_tags(tags)
    call.records.put(TABLE, table.key(), replace(table, tags=tags))


@operation
def untag_resource(call: Call, request: api.UntagResourceInput) -> None:
    """Take tags from a table; those it has not are passed over."""
    if not request.tag_keys:
        raise invalid("Atleast one Tag Key needs to be provided as Input.")
    table = _load_by_arn(call, request.resource_arn)
    tags = {key: value for key, value in table.tags.items() if key not in request.tag_keys}
    call.records.put(TABLE, table.key(), replace(table, tags=tags))


@operation(readonly=True)
def list_tags_of_resource(call: Call, request: api.ListTagsOfResourceInput) -> api.ListTagsOfResourceOutput:
    """List a table's tags, ten a page."""
    table = _load_by_arn(call, request.resource_arn)
    keys = sorted(table.tags)
    start = 0
    if request.next_token is not None:
        if request.next_token not in table.tags:
            raise invalid("Invalid NextToken")
        start = keys.index(request.next_token) + 1
    page = keys[start : start + _TAG_PAGE]
    return api.ListTagsOfResourceOutput(
        tags=[api.Tag(key=key, value=table.tags[key]) for key in page],
        next_token=page[-1] if start + _TAG_PAGE < len(keys) else None,
    )


# --- Resource policies: kept and shown, but this node does not decide by them ---


def _load_policy_owner(call: Call, arn: str) -> Table:
    if "/stream/" in arn:
        parsed = Arn.parse(arn)
        check_own(call, parsed)
        name, _, label = parsed.resource.removeprefix("table/").partition("/stream/")
        if call.reader.find(STREAM, record_key(parsed.account, parsed.region, name, label)) is None:
            raise no_resource()
        raise not_implemented("A resource policy of a stream")
    return _load_by_arn(call, arn)


@operation
def put_resource_policy(call: Call, request: api.PutResourcePolicyInput) -> api.PutResourcePolicyOutput:
    """Keep a policy for a table."""
    table = _load_policy_owner(call, request.resource_arn)
    check_policy(request.policy)
    _check_revision(table, request.expected_revision_id)
    revision = str(call.now_ms)
    call.records.put(TABLE, table.key(), replace(table, policy=request.policy, policy_revision=revision))
    return api.PutResourcePolicyOutput(revision_id=revision)


@operation(readonly=True)
def get_resource_policy(call: Call, request: api.GetResourcePolicyInput) -> api.GetResourcePolicyOutput:
    """Return a table's policy."""
    table = _load_policy_owner(call, request.resource_arn)
    if table.policy is None:
        raise _no_policy(request.resource_arn)
    return api.GetResourcePolicyOutput(policy=table.policy, revision_id=table.policy_revision)


@operation
def delete_resource_policy(call: Call, request: api.DeleteResourcePolicyInput) -> api.DeleteResourcePolicyOutput:
    """Delete a table's policy, if it has one."""
    table = _load_policy_owner(call, request.resource_arn)
    _check_revision(table, request.expected_revision_id)
    revision = table.policy_revision
    call.records.put(TABLE, table.key(), replace(table, policy=None, policy_revision=None))
    return api.DeleteResourcePolicyOutput(revision_id=revision)


def _check_revision(table: Table, expected: str | None) -> None:
    if expected is not None and expected != (table.policy_revision or "NO_POLICY"):
        raise api.PolicyNotFoundException(
            f"The RevisionId {expected} does not match the RevisionId of the policy attached to the resource"
        )


def _no_policy(arn: str) -> Exception:
    return api.PolicyNotFoundException(f"Resource-based policy not found for the provided ResourceArn: {arn}")


# --- Time to live ---


@operation
def update_time_to_live(call: Call, request: api.UpdateTimeToLiveInput) -> api.UpdateTimeToLiveOutput:
    """Say which attribute tells when items expire, or that none does."""
    specification = request.time_to_live_specification
    table = load_table(call, request.table_name)
    _check_change(table.ttl, specification, call.now)
    if specification.enabled:
        number = call.records.next_number("dynamodb.table")
        ttl = TimeToLive(specification.attribute_name, number, changed_at=call.now)
        call.apply(PutTimers((index_timer(table, number, call.now_ms),)))
    else:
        assert table.ttl is not None
        ttl = replace(table.ttl, is_enabled=False, changed_at=call.now)
        call.apply(PutTimers((index_timer(table, ttl.number, call.now_ms, is_deletion=True),)))
    call.records.put(TABLE, table.key(), replace(table, ttl=ttl))
    return api.UpdateTimeToLiveOutput(time_to_live_specification=specification)


def _check_change(present: TimeToLive | None, wanted: api.TimeToLiveSpecification, now: float) -> None:
    """Refuse what changes nothing, is about another attribute, or follows another change too soon."""
    is_enabled = present is not None and present.is_enabled
    if not is_enabled and not wanted.enabled:
        raise invalid("TimeToLive is already disabled")
    if present is None:
        return
    if is_enabled and present.attribute != wanted.attribute_name:
        raise invalid(
            f"TimeToLive is active on a different AttributeName: current AttributeName is {present.attribute}"
        )
    if is_enabled and wanted.enabled:
        raise invalid("TimeToLive is already enabled")
    if now - present.changed_at < _TTL_CHANGE_SECONDS:
        raise invalid("Time to live has been modified multiple times within a fixed interval")


@operation(readonly=True)
def describe_time_to_live(call: Call, request: api.DescribeTimeToLiveInput) -> api.DescribeTimeToLiveOutput:
    """Return whether a table's items expire, and by which attribute."""
    table = load_table(call, request.table_name)
    if table.ttl is None or not table.ttl.is_enabled:
        description = api.TimeToLiveDescription(time_to_live_status="DISABLED")
    else:
        description = api.TimeToLiveDescription(time_to_live_status="ENABLED", attribute_name=table.ttl.attribute)
    return api.DescribeTimeToLiveOutput(time_to_live_description=description)


# --- Point-in-time recovery ---


def _load_backed_up(call: Call, name: str) -> Table:
    try:
        return load_table(call, name)
    except api.ResourceNotFoundException:
        raise api.TableNotFoundException(f"Table not found: {name}") from None


@operation
def update_continuous_backups(
    call: Call, request: api.UpdateContinuousBackupsInput
) -> api.UpdateContinuousBackupsOutput:
    """Begin or end keeping what point-in-time recovery needs."""
    table = _load_backed_up(call, request.table_name)
    wanted = request.point_in_time_recovery_specification
    recovery = table.recovery
    if wanted.point_in_time_recovery_enabled:
        since = call.now if recovery is None else recovery.since
        recovery = Recovery(since, wanted.recovery_period_in_days or (recovery.days if recovery else 35))
    elif recovery is not None:
        call.apply(DropLog(changes_log(table.id)))
        recovery = None
    table = replace(table, recovery=recovery)
    call.records.put(TABLE, table.key(), table)
    return api.UpdateContinuousBackupsOutput(continuous_backups_description=_backups(call, table))


@operation(readonly=True)
def describe_continuous_backups(
    call: Call, request: api.DescribeContinuousBackupsInput
) -> api.DescribeContinuousBackupsOutput:
    """Return whether a table can be restored to a point in time, and to which."""
    table = _load_backed_up(call, request.table_name)
    return api.DescribeContinuousBackupsOutput(continuous_backups_description=_backups(call, table))


def _backups(call: Call, table: Table) -> api.ContinuousBackupsDescription:
    if table.recovery is None:
        description = api.PointInTimeRecoveryDescription(point_in_time_recovery_status="DISABLED")
    else:
        earliest = max(table.recovery.since, call.now - table.recovery.days * 24 * 3600)
        description = api.PointInTimeRecoveryDescription(
            point_in_time_recovery_status="ENABLED",
            recovery_period_in_days=table.recovery.days,
            earliest_restorable_date_time=earliest,
            latest_restorable_date_time=max(call.now - _RECOVERY_LAG_SECONDS, earliest),
        )
    return api.ContinuousBackupsDescription(
        continuous_backups_status="ENABLED", point_in_time_recovery_description=description
    )


# --- What this node does not have; the answers are those of an account that does not use it ---


@operation(readonly=True)
def describe_contributor_insights(
    call: Call, request: api.DescribeContributorInsightsInput
) -> api.DescribeContributorInsightsOutput:
    """Return that contributor insights are off."""
    table = load_table(call, request.table_name)
    return api.DescribeContributorInsightsOutput(
        table_name=table.name, index_name=request.index_name, contributor_insights_status="DISABLED"
    )


@operation(readonly=True)
def list_contributor_insights(
    _call: Call, _request: api.ListContributorInsightsInput
) -> api.ListContributorInsightsOutput:
    """Return that there are none."""
    return api.ListContributorInsightsOutput(contributor_insights_summaries=[])


@operation
def update_contributor_insights(
    call: Call, request: api.UpdateContributorInsightsInput
) -> api.UpdateContributorInsightsOutput:
    """Refuse to turn contributor insights on; off they are."""
    table = load_table(call, request.table_name)
    if request.contributor_insights_action == "ENABLE":
        raise not_implemented("CloudWatch Contributor Insights for DynamoDB")
    return api.UpdateContributorInsightsOutput(
        table_name=table.name, index_name=request.index_name, contributor_insights_status="DISABLED"
    )


@operation(readonly=True)
def describe_kinesis_streaming_destination(
    call: Call, request: api.DescribeKinesisStreamingDestinationInput
) -> api.DescribeKinesisStreamingDestinationOutput:
    """Return that a table streams to no Kinesis stream."""
    table = load_table(call, request.table_name)
    return api.DescribeKinesisStreamingDestinationOutput(table_name=table.name, kinesis_data_stream_destinations=[])


@operation(readonly=True)
def list_global_tables(_call: Call, _request: api.ListGlobalTablesInput) -> api.ListGlobalTablesOutput:
    """Return that there are no global tables of the old version."""
    return api.ListGlobalTablesOutput(global_tables=[])


@operation(readonly=True)
def describe_global_table(_call: Call, request: api.DescribeGlobalTableInput) -> api.DescribeGlobalTableOutput:
    """Refuse: there is no such global table."""
    raise api.GlobalTableNotFoundException(
        f"Global table not found: Global table with name: '{request.global_table_name}' does not exist."
    )
