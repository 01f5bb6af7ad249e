"""AWS::Events::*: buses, rules with their targets, bus policies, archives, connections, API destinations, endpoints."""

import json
from typing import Any

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.resources.calls import (
    key_values,
    omit,
    pick,
    run_if_there,
    tag_changes,
)
from forebay.services.cloudformation.resources.contract import Existing, Made, Properties, ResourceType, Site
from forebay.services.cloudformation.resources.names import NameRule
from forebay.services.cloudformation.resources.schema import json_text

# --- AWS::Events::EventBus ---


async def _create_bus(site: Site, properties: Properties) -> Made:
    answer = await site.run("events", "CreateEventBus", omit(properties, "Policy"))
    name = str(properties["Name"])
    made = Made(name, {"Arn": answer["EventBusArn"], "Name": name})
    await site.record(made)
    if properties.get("Policy") is not None:
        await _put_bus_policy(site, name, properties["Policy"])
    return made


async def _update_bus(site: Site, existing: Existing, properties: Properties) -> Made:
    name = existing.physical_id
    given = pick(properties, "Description", "KmsKeyIdentifier", "DeadLetterConfig", "LogConfig")
    removed = {"Description": ""} if "Description" in existing.properties and "Description" not in properties else {}
    if given or removed:
        await site.run("events", "UpdateEventBus", {"Name": name, **removed, **given})
    if properties.get("Policy") is not None:
        await _put_bus_policy(site, name, properties["Policy"])
    elif existing.properties.get("Policy") is not None:
        await site.run("events", "RemovePermission", {"EventBusName": name, "RemoveAllPermissions": True})
    arn = existing.attributes.get("Arn") or f"arn:aws:events:{site.place.region}:{site.place.account}:event-bus/{name}"
    await _change_tags(site, arn, existing.properties, properties)
    return Made(name, {"Arn": arn, "Name": name})


async def _put_bus_policy(site: Site, name: str, policy: object) -> None:
    await site.run("events", "PutPermission", {"EventBusName": name, "Policy": json_text(policy)})


async def _delete_bus(site: Site, existing: Existing) -> None:
    await run_if_there(site, "events", "DeleteEventBus", {"Name": existing.physical_id})


async def _change_tags(site: Site, arn: str, old: Properties, new: Properties) -> None:
    tags, removed = tag_changes(old, new)
    if tags:
        await site.run("events", "TagResource", {"ResourceARN": arn, "Tags": key_values(tags)})
    if removed:
        await site.run("events", "UntagResource", {"ResourceARN": arn, "TagKeys": removed})


# --- AWS::Events::Rule ---


def _bus(properties: Properties) -> dict[str, Any]:
    return pick(properties, "EventBusName")


def _rule_id(name: str, properties: Properties) -> str:
    bus = str(properties.get("EventBusName") or "default")
    bus = bus.rpartition("event-bus/")[2]
    return name if bus == "default" else f"{bus}|{name}"


async def _put_rule(site: Site, name: str, properties: Properties, tags: object, *, is_new: bool) -> Made:
    rule = pick(properties, "Description", "EventBusName", "RoleArn", "ScheduleExpression", "State")
    pattern = properties.get("EventPattern")
    if pattern is not None:
        rule["EventPattern"] = json_text(pattern)
    answer = await site.run("events", "PutRule", {**rule, "Name": name, "Tags": tags})
    made = Made(_rule_id(name, properties), {"Arn": answer["RuleArn"], "RuleName": name})
    if is_new:
        await site.record(made)
    targets = _targets(properties)
    # PutTargets takes ten at a time of the same shape as the template's.
    for start in range(0, len(targets), 10):
        entries = targets[start : start + 10]
        answered = await site.run("events", "PutTargets", {"Rule": name, "Targets": entries, **_bus(properties)})
        _check_entries(answered)
    return made


def _targets(properties: Properties) -> list[dict[str, Any]]:
    return properties.get("Targets") or []


def _check_entries(answer: dict[str, Any]) -> None:
    failed = answer.get("FailedEntries")
    if failed:
        raise ServiceError.of(failed[0].get("ErrorCode", "InternalFailure"), failed[0].get("ErrorMessage", ""))


async def _create_rule(site: Site, properties: Properties) -> Made:
    return await _put_rule(
        site, properties.get("Name") or site.place.name, properties, properties.get("Tags"), is_new=True
    )


async def _update_rule(site: Site, existing: Existing, properties: Properties) -> Made:
    name = existing.physical_id.rpartition("|")[2]
    made = await _put_rule(site, name, properties, None, is_new=False)
    kept = {target["Id"] for target in _targets(properties)}
    gone = [target["Id"] for target in _targets(existing.properties) if target["Id"] not in kept]
    if gone:
        await site.run("events", "RemoveTargets", {"Rule": name, "Ids": gone, **_bus(properties)})
    await _change_tags(site, made.attributes["Arn"], existing.properties, properties)
    return made


async def _delete_rule(site: Site, existing: Existing) -> None:
    name, bus = existing.physical_id.rpartition("|")[2], _bus(existing.properties)
    listed = await run_if_there(site, "events", "ListTargetsByRule", {"Rule": name, **bus})
    ids = [target["Id"] for target in listed.get("Targets", [])]
    if ids:
        await run_if_there(site, "events", "RemoveTargets", {"Rule": name, "Ids": ids, **bus})
    await run_if_there(site, "events", "DeleteRule", {"Name": name, **bus})


# --- AWS::Events::EventBusPolicy ---


async def _create_bus_policy(site: Site, properties: Properties) -> Made:
    name = properties.get("EventBusName") or "default"
    statement = properties.get("Statement")
    if statement is None:
        params = pick(properties, "Action", "Condition", "EventBusName", "Principal", "StatementId")
        await site.run("events", "PutPermission", params)
    else:
        kept = [item for item in await _statements(site, name) if item.get("Sid") != properties["StatementId"]]
        added = {**statement, "Sid": properties["StatementId"]}
        await _put_bus_policy(site, name, {"Version": "2012-10-17", "Statement": [*kept, added]})
    return Made(f"{name}|{properties['StatementId']}")


async def _statements(site: Site, bus: str) -> list[dict[str, Any]]:
    policy = (await site.run("events", "DescribeEventBus", {"Name": bus})).get("Policy")
    return json.loads(policy)["Statement"] if policy else []


async def _update_bus_policy(site: Site, _existing: Existing, properties: Properties) -> Made:
    return await _create_bus_policy(site, properties)


async def _delete_bus_policy(site: Site, existing: Existing) -> None:
    bus, _, statement = existing.physical_id.partition("|")
    await run_if_there(site, "events", "RemovePermission", {"EventBusName": bus, "StatementId": statement})


# --- AWS::Events::Archive ---


def _archive(properties: Properties) -> dict[str, Any]:
    archive = pick(properties, "Description", "RetentionDays", "KmsKeyIdentifier")
    pattern = properties.get("EventPattern")
    return archive if pattern is None else {**archive, "EventPattern": json_text(pattern)}


async def _create_archive(site: Site, properties: Properties) -> Made:
    name = properties.get("ArchiveName") or site.place.name
    params = {"ArchiveName": name, "EventSourceArn": properties["SourceArn"], **_archive(properties)}
    answer = await site.run("events", "CreateArchive", params)
    return Made(name, {"Arn": answer["ArchiveArn"], "ArchiveName": name})


async def _update_archive(site: Site, existing: Existing, properties: Properties) -> Made:
    name = existing.physical_id
    answer = await site.run("events", "UpdateArchive", {"ArchiveName": name, **_archive(properties)})
    return Made(name, {"Arn": answer["ArchiveArn"], "ArchiveName": name})


async def _delete_archive(site: Site, existing: Existing) -> None:
    await run_if_there(site, "events", "DeleteArchive", {"ArchiveName": existing.physical_id})


# --- AWS::Events::Connection and ApiDestination ---


def _connection_attributes(answer: dict[str, Any]) -> dict[str, Any]:
    arn = str(answer["ConnectionArn"])
    return {"Arn": arn, "ArnForPolicy": arn.rpartition("/")[0], "SecretArn": answer.get("SecretArn", "")}


async def _create_connection(site: Site, properties: Properties) -> Made:
    name = properties.get("Name") or site.place.name
    await site.run("events", "CreateConnection", {**properties, "Name": name})
    return Made(name, _connection_attributes(await site.run("events", "DescribeConnection", {"Name": name})))


async def _update_connection(site: Site, existing: Existing, properties: Properties) -> Made:
    name = existing.physical_id
    await site.run("events", "UpdateConnection", {**properties, "Name": name})
    return Made(name, _connection_attributes(await site.run("events", "DescribeConnection", {"Name": name})))


async def _delete_connection(site: Site, existing: Existing) -> None:
    await run_if_there(site, "events", "DeleteConnection", {"Name": existing.physical_id})


def _destination(name: str, answer: dict[str, Any]) -> Made:
    arn = str(answer["ApiDestinationArn"])
    return Made(name, {"Arn": arn, "ArnForPolicy": arn.rpartition("/")[0]})


async def _create_destination(site: Site, properties: Properties) -> Made:
    name = properties.get("Name") or site.place.name
    return _destination(name, await site.run("events", "CreateApiDestination", {**properties, "Name": name}))


async def _update_destination(site: Site, existing: Existing, properties: Properties) -> Made:
    name = existing.physical_id
    return _destination(name, await site.run("events", "UpdateApiDestination", {**properties, "Name": name}))


async def _delete_destination(site: Site, existing: Existing) -> None:
    await run_if_there(site, "events", "DeleteApiDestination", {"Name": existing.physical_id})


# --- AWS::Events::Endpoint ---


async def _endpoint(site: Site, name: str) -> Made:
    answer = await site.run("events", "DescribeEndpoint", {"Name": name})
    return Made(name, pick(answer, "Arn", "EndpointId", "EndpointUrl", "State", "StateReason"))


async def _create_endpoint(site: Site, properties: Properties) -> Made:
    name = properties.get("Name") or site.place.name
    await site.run("events", "CreateEndpoint", {**properties, "Name": name})
    return await _endpoint(site, name)


async def _update_endpoint(site: Site, existing: Existing, properties: Properties) -> Made:
    name = existing.physical_id
    removed = {"Description": ""} if "Description" in existing.properties and "Description" not in properties else {}
    await site.run("events", "UpdateEndpoint", {**removed, **properties, "Name": name})
    return await _endpoint(site, name)


async def _delete_endpoint(site: Site, existing: Existing) -> None:
    await run_if_there(site, "events", "DeleteEndpoint", {"Name": existing.physical_id})


TYPES = (
    ResourceType(
        name="AWS::Events::Endpoint",
        create=_create_endpoint,
        update=_update_endpoint,
        delete=_delete_endpoint,
        naming=NameRule("Name", 64),
        without_effect=frozenset({"RoleArn"}),
    ),
    ResourceType(
        name="AWS::Events::EventBus",
        create=_create_bus,
        update=_update_bus,
        delete=_delete_bus,
        attributes=frozenset({"Name", "Policy"}),
        without_effect=frozenset({"DeadLetterConfig", "KmsKeyIdentifier"}),
    ),
    ResourceType(
        name="AWS::Events::Rule",
        create=_create_rule,
        update=_update_rule,
        delete=_delete_rule,
        naming=NameRule("Name", 64),
        # The registry calls this conditional: a rule cannot move to another bus.
        replaces=lambda old, new: old.get("EventBusName") != new.get("EventBusName"),
    ),
    ResourceType(
        name="AWS::Events::EventBusPolicy",
        create=_create_bus_policy,
        update=_update_bus_policy,
        delete=_delete_bus_policy,
    ),
    ResourceType(
        name="AWS::Events::Archive",
        create=_create_archive,
        update=_update_archive,
        delete=_delete_archive,
        naming=NameRule("ArchiveName", 48),
        attributes=frozenset({"ArchiveName"}),
    ),
    ResourceType(
        name="AWS::Events::Connection",
        create=_create_connection,
        update=_update_connection,
        delete=_delete_connection,
        naming=NameRule("Name", 64),
    ),
    ResourceType(
        name="AWS::Events::ApiDestination",
        create=_create_destination,
        update=_update_destination,
        delete=_delete_destination,
        naming=NameRule("Name", 64),
    ),
)
