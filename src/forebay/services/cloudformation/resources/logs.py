"""AWS::Logs::*: log groups and streams, resource policies, subscription and metric filters."""

from typing import Any, cast

from forebay.services.cloudformation.resources.calls import omit, pick, run_if_there, tag_changes, tag_map
from forebay.services.cloudformation.resources.contract import Existing, Made, Properties, ResourceType, Site
from forebay.services.cloudformation.resources.names import NameRule
from forebay.services.cloudformation.resources.schema import json_text


def _camel(params: Properties) -> dict[str, Any]:
    """Return properties with CloudWatch Logs' own spelling: names there begin with a small letter."""
    return {name[0].lower() + name[1:]: value for name, value in params.items() if value is not None}


def _deep_camel(value: Any) -> Any:
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {name[0].lower() + name[1:]: _deep_camel(item) for name, item in members.items()}
    return [_deep_camel(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


# --- AWS::Logs::LogGroup ---


def _group(site: Site, name: str) -> Made:
    return Made(name, {"Arn": f"arn:aws:logs:{site.place.region}:{site.place.account}:log-group:{name}:*"})


async def _create_group(site: Site, properties: Properties) -> Made:
    name = properties.get("LogGroupName") or site.place.name
    params = _camel(pick(properties, "KmsKeyId", "LogGroupClass"))
    tags = tag_map(properties.get("Tags"))
    await site.run("logs", "CreateLogGroup", {**params, "logGroupName": name, "tags": tags or None})
    await site.record(_group(site, name))
    await _put_retention(site, name, {}, properties)
    return _group(site, name)


async def _put_retention(site: Site, name: str, old: Properties, new: Properties) -> None:
    days = new.get("RetentionInDays")
    if days == old.get("RetentionInDays"):
        return
    if days is None:
        await site.run("logs", "DeleteRetentionPolicy", {"logGroupName": name})
    else:
        await site.run("logs", "PutRetentionPolicy", {"logGroupName": name, "retentionInDays": days})


async def _update_group(site: Site, existing: Existing, properties: Properties) -> Made:
    name = existing.physical_id
    await _put_retention(site, name, existing.properties, properties)
    tags, removed = tag_changes(existing.properties, properties)
    arn = f"arn:aws:logs:{site.place.region}:{site.place.account}:log-group:{name}"
    if tags:
        await site.run("logs", "TagResource", {"resourceArn": arn, "tags": tags})
    if removed:
        await site.run("logs", "UntagResource", {"resourceArn": arn, "tagKeys": removed})
    return _group(site, name)


async def _delete_group(site: Site, existing: Existing) -> None:
    await run_if_there(site, "logs", "DeleteLogGroup", {"logGroupName": existing.physical_id})


# --- AWS::Logs::LogStream ---


async def _create_stream(site: Site, properties: Properties) -> Made:
    name = properties.get("LogStreamName") or site.place.name
    await site.run("logs", "CreateLogStream", {"logGroupName": properties["LogGroupName"], "logStreamName": name})
    return Made(name)


async def _delete_stream(site: Site, existing: Existing) -> None:
    params = {"logGroupName": existing.properties["LogGroupName"], "logStreamName": existing.physical_id}
    await run_if_there(site, "logs", "DeleteLogStream", params)


# --- AWS::Logs::ResourcePolicy ---


async def _put_policy(site: Site, properties: Properties) -> Made:
    params = {"policyName": properties["PolicyName"], "policyDocument": json_text(properties["PolicyDocument"])}
    await site.run("logs", "PutResourcePolicy", params)
    return Made(properties["PolicyName"])


async def _update_policy(site: Site, _existing: Existing, properties: Properties) -> Made:
    return await _put_policy(site, properties)


async def _delete_policy(site: Site, existing: Existing) -> None:
    await run_if_there(site, "logs", "DeleteResourcePolicy", {"policyName": existing.physical_id})


# --- AWS::Logs::SubscriptionFilter ---


async def _put_filter(site: Site, properties: Properties) -> Made:
    name = properties.get("FilterName") or site.place.name
    await site.run("logs", "PutSubscriptionFilter", {**_deep_camel(dict(properties)), "filterName": name})
    return Made(name)


async def _update_filter(site: Site, existing: Existing, properties: Properties) -> Made:
    params = _deep_camel(omit(properties, "FilterName"))
    await site.run("logs", "PutSubscriptionFilter", {**params, "filterName": existing.physical_id})
    return Made(existing.physical_id)


async def _delete_filter(site: Site, existing: Existing) -> None:
    params = {"logGroupName": existing.properties["LogGroupName"], "filterName": existing.physical_id}
    await run_if_there(site, "logs", "DeleteSubscriptionFilter", params)


TYPES = (
    ResourceType(
        name="AWS::Logs::LogGroup",
        create=_create_group,
        update=_update_group,
        delete=_delete_group,
        naming=NameRule("LogGroupName", 512),
        without_effect=frozenset(
            {
                "BearerTokenAuthenticationEnabled",
                "DataProtectionPolicy",
                "DeletionProtectionEnabled",
                "FieldIndexPolicies",
                "KmsKeyId",
                "LogGroupClass",
            }
        ),
        unsupported=frozenset({"ResourcePolicyDocument"}),
    ),
    ResourceType(
        name="AWS::Logs::LogStream",
        create=_create_stream,
        delete=_delete_stream,
        naming=NameRule("LogStreamName", 512),
    ),
    ResourceType(name="AWS::Logs::ResourcePolicy", create=_put_policy, update=_update_policy, delete=_delete_policy),
    ResourceType(
        name="AWS::Logs::SubscriptionFilter",
        create=_put_filter,
        update=_update_filter,
        delete=_delete_filter,
        naming=NameRule("FilterName", 512),
        unsupported=frozenset({"ApplyOnTransformedLogs", "EmitSystemFields", "FieldSelectionCriteria"}),
    ),
)
