"""AWS::SNS::*: topics, their policies, and subscriptions."""

from typing import Any

from forebay.services.cloudformation.resources.calls import any_tags, key_values, pick, run_if_there, tag_changes
from forebay.services.cloudformation.resources.contract import Existing, Made, Properties, ResourceType, Site
from forebay.services.cloudformation.resources.names import NameRule
from forebay.services.cloudformation.resources.schema import json_text

_TOPIC_ATTRIBUTES = (
    "ArchivePolicy",
    "ContentBasedDeduplication",
    "DisplayName",
    "FifoThroughputScope",
    "FifoTopic",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "SignatureVersion",
    "TracingConfig",
)
_SUBSCRIPTION_ATTRIBUTES = (
    "DeliveryPolicy",
    "FilterPolicy",
    "FilterPolicyScope",
    "RawMessageDelivery",
    "RedrivePolicy",
    "ReplayPolicy",
    "SubscriptionRoleArn",
)


_LOG_PREFIXES = {
    "application": "Application", "firehose": "Firehose", "http/s": "HTTP", "lambda": "Lambda", "sqs": "SQS",
}  # fmt: skip


def _attributes(properties: Properties, names: tuple[str, ...]) -> dict[str, str]:
    return {name: _text(properties[name]) for name in names if properties.get(name) is not None}


def _topic_attributes(properties: Properties) -> dict[str, str]:
    """Return a topic's attributes, those of its delivery status logs among them."""
    attributes = _attributes(properties, _TOPIC_ATTRIBUTES)
    for log in properties.get("DeliveryStatusLogging") or ():
        prefix = _LOG_PREFIXES[log["Protocol"]]
        given = pick(log, "SuccessFeedbackRoleArn", "SuccessFeedbackSampleRate", "FailureFeedbackRoleArn")
        attributes |= {f"{prefix}{name}": _text(value) for name, value in given.items()}
    return attributes


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else json_text(value)


# --- AWS::SNS::Topic ---


async def _create_topic(site: Site, properties: Properties) -> Made:
    attributes = _topic_attributes(properties)
    # A standard topic has no such attribute; "false" is only said in templates.
    if attributes.get("FifoTopic") == "false":
        del attributes["FifoTopic"]
    name = properties.get("TopicName") or site.place.name
    given = {"Name": name, "Attributes": attributes, "Tags": key_values(any_tags(properties))}
    if properties.get("DataProtectionPolicy") is not None:
        given["DataProtectionPolicy"] = json_text(properties["DataProtectionPolicy"])
    answer = await site.run("sns", "CreateTopic", given)
    made = _topic(answer["TopicArn"])
    await site.record(made)
    for endpoint in properties.get("Subscription") or ():
        await _subscribe_endpoint(site, made.physical_id, endpoint)
    return made


def _topic(arn: str) -> Made:
    return Made(arn, {"TopicArn": arn, "TopicName": arn.rpartition(":")[2]})


async def _subscribe_endpoint(site: Site, topic: str, endpoint: Properties) -> None:
    await site.run("sns", "Subscribe", {"TopicArn": topic, **pick(endpoint, "Protocol", "Endpoint")})


async def _update_topic(site: Site, existing: Existing, properties: Properties) -> Made:
    arn = existing.physical_id
    before, after = (_topic_attributes(one) for one in (existing.properties, properties))
    for name in {**before, **after}:
        if before.get(name) != after.get(name) and name != "FifoTopic":
            await _set_topic_attribute(site, arn, name, after.get(name, ""))
    await _update_endpoints(site, existing, properties)
    tags, removed = tag_changes(existing.properties, properties)
    if tags:
        await site.run("sns", "TagResource", {"ResourceArn": arn, "Tags": key_values(tags)})
    if removed:
        await site.run("sns", "UntagResource", {"ResourceArn": arn, "TagKeys": removed})
    return _topic(arn)


async def _set_topic_attribute(site: Site, arn: str, name: str, value: str) -> None:
    params = {"TopicArn": arn, "AttributeName": name, "AttributeValue": value}
    await site.run("sns", "SetTopicAttributes", params)


async def _update_endpoints(site: Site, existing: Existing, properties: Properties) -> None:
    """Subscribe the endpoints that a topic's own list has gained, and end those that it has lost."""
    before = [pick(one, "Protocol", "Endpoint") for one in existing.properties.get("Subscription") or ()]
    after = [pick(one, "Protocol", "Endpoint") for one in properties.get("Subscription") or ()]
    for endpoint in after:
        if endpoint not in before:
            await _subscribe_endpoint(site, existing.physical_id, endpoint)
    for endpoint in before:
        if endpoint not in after:
            await _end_endpoint(site, existing.physical_id, endpoint)


async def _end_endpoint(site: Site, topic: str, endpoint: Properties) -> None:
    arn = await _find_subscription_arn(site, topic, endpoint)
    if arn is not None:
        await run_if_there(site, "sns", "Unsubscribe", {"SubscriptionArn": arn})


async def _find_subscription_arn(site: Site, topic: str, endpoint: Properties) -> str | None:
    """Return the ARN of a topic's confirmed subscription of an endpoint, or None."""
    token: str | None = None
    while True:
        answer = await run_if_there(site, "sns", "ListSubscriptionsByTopic", {"TopicArn": topic, "NextToken": token})
        for one in answer.get("Subscriptions") or ():
            same = (one["Protocol"], one["Endpoint"]) == (endpoint["Protocol"], endpoint.get("Endpoint"))
            if same and one["SubscriptionArn"].startswith("arn:"):
                return one["SubscriptionArn"]
        token = answer.get("NextToken")
        if token is None:
            return None


async def _delete_topic(site: Site, existing: Existing) -> None:
    topic = {"TopicArn": existing.physical_id}
    if existing.properties.get("ArchivePolicy"):
        # A topic with an archive is not deleted.
        change = {**topic, "AttributeName": "ArchivePolicy", "AttributeValue": "{}"}
        await run_if_there(site, "sns", "SetTopicAttributes", change)
    await run_if_there(site, "sns", "DeleteTopic", topic)


async def _find_topic(site: Site, properties: Properties) -> Made | None:
    name = properties.get("TopicName") or site.place.name
    arn = f"arn:aws:sns:{site.place.region}:{site.place.account}:{name}"
    answer = await run_if_there(site, "sns", "GetTopicAttributes", {"TopicArn": arn})
    return _topic(answer["Attributes"]["TopicArn"]) if answer else None


# --- AWS::SNS::Subscription ---


async def _create_subscription(site: Site, properties: Properties) -> Made:
    params = {
        **pick(properties, "TopicArn", "Protocol", "Endpoint"),
        "Attributes": _attributes(properties, _SUBSCRIPTION_ATTRIBUTES),
        "ReturnSubscriptionArn": True,
    }
    arn = (await site.run("sns", "Subscribe", params))["SubscriptionArn"]
    return Made(arn, {"Arn": arn})


async def _update_subscription(site: Site, existing: Existing, properties: Properties) -> Made:
    before, after = (_attributes(one, _SUBSCRIPTION_ATTRIBUTES) for one in (existing.properties, properties))
    changed = {name: after.get(name, "") for name in {**before, **after} if before.get(name) != after.get(name)}
    if {"FilterPolicy", "FilterPolicyScope"} <= changed.keys():
        # Neither may stand with the other's old value, so there is none between.
        await _set_attribute(site, existing, "FilterPolicy", "")
    for name in sorted(changed, key=lambda name: name == "FilterPolicy"):
        await _set_attribute(site, existing, name, changed[name])
    return Made(existing.physical_id, existing.attributes)


async def _set_attribute(site: Site, existing: Existing, name: str, value: str) -> None:
    params = {"SubscriptionArn": existing.physical_id, "AttributeName": name, "AttributeValue": value}
    await site.run("sns", "SetSubscriptionAttributes", params)


async def _delete_subscription(site: Site, existing: Existing) -> None:
    await run_if_there(site, "sns", "Unsubscribe", {"SubscriptionArn": existing.physical_id})


# --- AWS::SNS::TopicPolicy, AWS::SNS::TopicInlinePolicy ---


async def _create_policy(site: Site, properties: Properties) -> Made:
    for arn in properties["Topics"]:
        await _set_topic_attribute(site, arn, "Policy", json_text(properties["PolicyDocument"]))
    return Made(site.place.name, {"Id": site.place.name})


async def _update_policy(site: Site, existing: Existing, properties: Properties) -> Made:
    await _create_policy(site, properties)
    gone = [arn for arn in existing.properties.get("Topics", ()) if arn not in properties["Topics"]]
    await _take_policies(site, gone)
    return Made(existing.physical_id, {"Id": existing.physical_id})


async def _delete_policy(site: Site, existing: Existing) -> None:
    await _take_policies(site, existing.properties.get("Topics", []))


async def _take_policies(site: Site, topics: list[str]) -> None:
    for arn in topics:
        params = {"TopicArn": arn, "AttributeName": "Policy", "AttributeValue": ""}
        await run_if_there(site, "sns", "SetTopicAttributes", params)


async def _create_inline_policy(site: Site, properties: Properties) -> Made:
    arn = properties["TopicArn"]
    await _set_topic_attribute(site, arn, "Policy", json_text(properties["PolicyDocument"]))
    return Made(arn)


async def _update_inline_policy(site: Site, _existing: Existing, properties: Properties) -> Made:
    return await _create_inline_policy(site, properties)


async def _delete_inline_policy(site: Site, existing: Existing) -> None:
    await _take_policies(site, [existing.physical_id])


TYPES = (
    ResourceType(
        name="AWS::SNS::Topic",
        create=_create_topic,
        update=_update_topic,
        delete=_delete_topic,
        find=_find_topic,
        naming=NameRule("TopicName", 256),
        attributes=frozenset({"TopicName"}),
        without_effect=frozenset({"DataProtectionPolicy", "KmsMasterKeyId", "TracingConfig"}),
    ),
    ResourceType(
        name="AWS::SNS::Subscription",
        create=_create_subscription,
        update=_update_subscription,
        delete=_delete_subscription,
        without_effect=frozenset({"Region", "SubscriptionRoleArn"}),
    ),
    ResourceType(
        name="AWS::SNS::TopicPolicy",
        create=_create_policy,
        update=_update_policy,
        delete=_delete_policy,
        naming=NameRule("Id", 128),
    ),
    ResourceType(
        name="AWS::SNS::TopicInlinePolicy",
        create=_create_inline_policy,
        update=_update_inline_policy,
        delete=_delete_inline_policy,
    ),
)
