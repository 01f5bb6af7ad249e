"""AWS::SQS::*: queues and their policies."""

from typing import cast

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.resources.calls import run_if_there, tag_changes, tag_map
from forebay.services.cloudformation.resources.contract import Existing, Made, Properties, ResourceType, Site
from forebay.services.cloudformation.resources.names import NameRule
from forebay.services.cloudformation.resources.schema import json_text

# SQS gives a deleted queue's name away after a minute.
_NAME_FREE_SECONDS = 70.0
_DELETED_RECENTLY = "QueueDeletedRecently"
_ATTRIBUTES = (
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "DelaySeconds",
    "FifoQueue",
    "FifoThroughputLimit",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
)
_DEFAULTS = {
    "ContentBasedDeduplication": "false",
    "DelaySeconds": "0",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "VisibilityTimeout": "30",
    # An empty text takes a policy away.
    "RedriveAllowPolicy": "",
    "RedrivePolicy": "",
    "KmsMasterKeyId": "",
}


def _attributes(properties: Properties) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for name in _ATTRIBUTES:
        value = properties.get(name)
        # A standard queue has no such attribute; "false" is only said in templates.
        if value is None or (name == "FifoQueue" and not value):
            continue
        attributes[name] = json_text(cast("object", value)) if isinstance(value, dict) else _text(value)
    return attributes


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


async def _create_queue(site: Site, properties: Properties) -> Made:
    name = properties.get("QueueName") or site.place.name
    params = {"QueueName": name, "Attributes": _attributes(properties), "tags": tag_map(properties.get("Tags")) or None}
    give_up_at = site.now() + _NAME_FREE_SECONDS
    while True:
        try:
            answer = await site.run("sqs", "CreateQueue", params)
        except ServiceError as error:
            # A stack that failed and is deployed again finds the names of its queues still blocked.
            if error.code != _DELETED_RECENTLY or site.now() >= give_up_at:
                raise
            await site.pause(1.0)
        else:
            return _made(site, answer["QueueUrl"])


def _made(site: Site, url: str) -> Made:
    name = url.partition("?")[0].rpartition("/")[2]
    arn = f"arn:aws:sqs:{site.place.region}:{site.place.account}:{name}"
    return Made(url, {"Arn": arn, "QueueName": name, "QueueUrl": url})


async def _update_queue(site: Site, existing: Existing, properties: Properties) -> Made:
    before, after = _attributes(existing.properties), _attributes(properties)
    gone = {name: _DEFAULTS[name] for name in before if name not in after and name in _DEFAULTS}
    changed = {name: value for name, value in after.items() if before.get(name) != value and name != "FifoQueue"}
    url = existing.physical_id
    if changed or gone:
        await site.run("sqs", "SetQueueAttributes", {"QueueUrl": url, "Attributes": {**gone, **changed}})
    tags, removed = tag_changes(existing.properties, properties)
    if tags:
        await site.run("sqs", "TagQueue", {"QueueUrl": url, "Tags": tags})
    if removed:
        await site.run("sqs", "UntagQueue", {"QueueUrl": url, "TagKeys": removed})
    return _made(site, url)


async def _delete_queue(site: Site, existing: Existing) -> None:
    await run_if_there(site, "sqs", "DeleteQueue", {"QueueUrl": existing.physical_id})


async def _find_queue(site: Site, properties: Properties) -> Made | None:
    name = properties.get("QueueName") or site.place.name
    answer = await run_if_there(site, "sqs", "GetQueueUrl", {"QueueName": name})
    return _made(site, answer["QueueUrl"]) if answer else None


async def _create_policy(site: Site, properties: Properties) -> Made:
    for url in properties["Queues"]:
        await _put_policy(site, url, json_text(properties["PolicyDocument"]))
    return Made(site.place.name, {"Id": site.place.name})


async def _update_policy(site: Site, existing: Existing, properties: Properties) -> Made:
    await _create_policy(site, properties)
    for url in existing.properties.get("Queues", []):
        if url not in properties["Queues"]:
            await run_if_there(site, "sqs", "SetQueueAttributes", {"QueueUrl": url, "Attributes": {"Policy": ""}})
    return Made(existing.physical_id, {"Id": existing.physical_id})


async def _delete_policy(site: Site, existing: Existing) -> None:
    for url in existing.properties.get("Queues", []):
        await run_if_there(site, "sqs", "SetQueueAttributes", {"QueueUrl": url, "Attributes": {"Policy": ""}})


async def _put_policy(site: Site, url: str, policy: str) -> None:
    await site.run("sqs", "SetQueueAttributes", {"QueueUrl": url, "Attributes": {"Policy": policy}})


async def _create_inline_policy(site: Site, properties: Properties) -> Made:
    await _put_policy(site, properties["Queue"], json_text(properties["PolicyDocument"]))
    return Made(properties["Queue"])


async def _update_inline_policy(site: Site, _existing: Existing, properties: Properties) -> Made:
    return await _create_inline_policy(site, properties)


async def _delete_inline_policy(site: Site, existing: Existing) -> None:
    await run_if_there(
        site, "sqs", "SetQueueAttributes", {"QueueUrl": existing.physical_id, "Attributes": {"Policy": ""}}
    )


TYPES = (
    ResourceType(
        name="AWS::SQS::Queue",
        create=_create_queue,
        update=_update_queue,
        delete=_delete_queue,
        find=_find_queue,
        naming=NameRule("QueueName", 80),
        attributes=frozenset({"QueueName"}),
        without_effect=frozenset({"KmsDataKeyReusePeriodSeconds", "KmsMasterKeyId", "SqsManagedSseEnabled"}),
    ),
    ResourceType(
        name="AWS::SQS::QueuePolicy",
        create=_create_policy,
        update=_update_policy,
        delete=_delete_policy,
        naming=NameRule("Id", 128),
    ),
    ResourceType(
        name="AWS::SQS::QueueInlinePolicy",
        create=_create_inline_policy,
        update=_update_inline_policy,
        delete=_delete_inline_policy,
    ),
)
