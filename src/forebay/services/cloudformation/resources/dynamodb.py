"""AWS::DynamoDB::*: tables, and global tables as far as they are in one region."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.resources.calls import (
    any_tags,
    key_values,
    pick,
    run_if_there,
    tag_changes,
    wait_until,
)
from forebay.services.cloudformation.resources.contract import (
    Existing,
    Made,
    Properties,
    ResourceType,
    Site,
    is_not_found,
)
from forebay.services.cloudformation.resources.names import NameRule
from forebay.services.cloudformation.resources.schema import json_text

_SAME_NAMES = (
    "AttributeDefinitions",
    "BillingMode",
    "DeletionProtectionEnabled",
    "KeySchema",
    "LocalSecondaryIndexes",
    "OnDemandThroughput",
    "ProvisionedThroughput",
    "TableClass",
    "WarmThroughput",
)


def _sse(properties: Properties) -> dict[str, Any] | None:
    given = properties.get("SSESpecification")
    if given is None:
        return None
    return {"Enabled": given.get("SSEEnabled", False), **pick(given, "SSEType", "KMSMasterKeyId")}


def _stream(properties: Properties) -> dict[str, Any] | None:
    given = properties.get("StreamSpecification")
    return None if given is None else {"StreamEnabled": True, "StreamViewType": given["StreamViewType"]}


def _index(properties: Mapping[str, Any]) -> dict[str, Any]:
    names = ("IndexName", "KeySchema", "Projection", "ProvisionedThroughput", "OnDemandThroughput", "WarmThroughput")
    return pick(properties, *names)


def _indexes(properties: Properties) -> list[dict[str, Any]]:
    given = cast("Sequence[Mapping[str, Any]]", properties.get("GlobalSecondaryIndexes") or ())
    return [_index(index) for index in given]


async def _create_table(site: Site, properties: Properties) -> Made:
    name = properties.get("TableName") or site.place.name
    params = {
        "TableName": name,
        **pick(properties, *_SAME_NAMES),
        "GlobalSecondaryIndexes": _indexes(properties) or None,
        "SSESpecification": _sse(properties),
        "StreamSpecification": _stream(properties),
        "Tags": key_values(any_tags(properties)) or None,
        "ResourcePolicy": _policy(properties),
    }
    await site.run("dynamodb", "CreateTable", params)
    made = await _wait_made(site, name)
    await site.record(made)
    await _set_expiry(site, name, {}, properties)
    await _set_recovery(site, name, properties)
    return made


def _policy(properties: Properties) -> str | None:
    given = properties.get("ResourcePolicy")
    return None if given is None else json_text(given["PolicyDocument"])


async def _describe(site: Site, name: str) -> dict[str, Any]:
    return cast("dict[str, Any]", (await site.run("dynamodb", "DescribeTable", {"TableName": name}))["Table"])


async def _wait_made(site: Site, name: str) -> Made:
    """Wait until a table is active and return it as made."""
    shown: dict[str, Any] = {}

    async def look() -> bool:
        shown.update(await _describe(site, name))
        return shown["TableStatus"] == "ACTIVE"

    await wait_until(site, look, f"table {name} to be active")
    attributes = {"Arn": shown["TableArn"], "TableId": shown["TableId"]}
    if shown.get("LatestStreamArn"):
        attributes["StreamArn"] = shown["LatestStreamArn"]
    return Made(name, attributes)


async def _set_expiry(site: Site, name: str, old: Properties, new: Properties) -> None:
    was, will = _expiring(old), _expiring(new)
    if was == will:
        return
    for attribute, enabled in ((was, False), (will, True)):
        if attribute is not None:
            setting = {"AttributeName": attribute, "Enabled": enabled}
            await site.run("dynamodb", "UpdateTimeToLive", {"TableName": name, "TimeToLiveSpecification": setting})


def _expiring(properties: Properties) -> str | None:
    specification = cast("dict[str, Any]", properties.get("TimeToLiveSpecification") or {})
    return cast("str | None", specification.get("AttributeName")) if specification.get("Enabled") else None


async def _set_recovery(site: Site, name: str, properties: Properties, old: Properties | None = None) -> None:
    wanted = properties.get("PointInTimeRecoverySpecification")
    if wanted is None:
        if old is None or old.get("PointInTimeRecoverySpecification") is None:
            return
        wanted = {"PointInTimeRecoveryEnabled": False}
    setting = {"PointInTimeRecoveryEnabled": False, **wanted}
    params = {"TableName": name, "PointInTimeRecoverySpecification": setting}
    await site.run("dynamodb", "UpdateContinuousBackups", params)


async def _update_table(site: Site, existing: Existing, properties: Properties) -> Made:
    name, old = existing.physical_id, existing.properties
    await _update_settings(site, name, old, properties)
    await _update_stream(site, name, old, properties)
    await _update_indexes(site, name, old, properties)
    await _set_expiry(site, name, old, properties)
    if old.get("PointInTimeRecoverySpecification") != properties.get("PointInTimeRecoverySpecification"):
        await _set_recovery(site, name, properties, old)
    made = await _wait_made(site, name)
    arn = made.attributes["Arn"]
    tags, removed = tag_changes(old, properties)
    if tags:
        await site.run("dynamodb", "TagResource", {"ResourceArn": arn, "Tags": key_values(tags)})
    if removed:
        await site.run("dynamodb", "UntagResource", {"ResourceArn": arn, "TagKeys": removed})
    await _update_policy(site, arn, old, properties)
    return made


async def _update_settings(site: Site, name: str, old: Properties, new: Properties) -> None:
    """Change what UpdateTable takes beside streams and indexes, in one call."""
    params: dict[str, Any] = {}
    if _mode(new) != _mode(old):
        params["BillingMode"] = _mode(new)
        # Units of the table and of its indexes come and go together.
        kept = {index["IndexName"] for index in _indexes(old)}
        units = [index for index in _indexes(new) if index["IndexName"] in kept and "ProvisionedThroughput" in index]
        updates = [{"Update": pick(index, "IndexName", "ProvisionedThroughput")} for index in units]
        params["GlobalSecondaryIndexUpdates"] = updates or None
    for field in ("ProvisionedThroughput", "OnDemandThroughput", "TableClass", "WarmThroughput"):
        if new.get(field) is not None and new.get(field) != old.get(field):
            params[field] = new[field]
    if bool(new.get("DeletionProtectionEnabled")) != bool(old.get("DeletionProtectionEnabled")):
        params["DeletionProtectionEnabled"] = bool(new.get("DeletionProtectionEnabled"))
    if _sse(new) != _sse(old):
        params["SSESpecification"] = _sse(new) or {"Enabled": False}
    if params:
        await site.run("dynamodb", "UpdateTable", {"TableName": name, **params})


def _mode(properties: Properties) -> str:
    return str(properties.get("BillingMode") or "PROVISIONED")


async def _update_stream(site: Site, name: str, old: Properties, new: Properties) -> None:
    before, after = _stream(old), _stream(new)
    if before == after:
        return
    for setting in ({"StreamEnabled": False} if before else None, after):
        if setting is not None:
            await site.run("dynamodb", "UpdateTable", {"TableName": name, "StreamSpecification": setting})


async def _update_indexes(site: Site, name: str, old: Properties, new: Properties) -> None:
    """Delete, change and create indexes, one after the other, as DynamoDB has it."""
    before = {index["IndexName"]: index for index in _indexes(old)}
    after = {index["IndexName"]: index for index in _indexes(new)}
    fixed = ("KeySchema", "Projection")
    if _mode(old) != _mode(new):
        # Their units were changed with the table's.
        for name_of in before.keys() & after.keys():
            before[name_of] = {**before[name_of], "ProvisionedThroughput": after[name_of].get("ProvisionedThroughput")}
            after[name_of].setdefault("ProvisionedThroughput", None)
    steps: list[dict[str, Any]] = []
    for index_name, index in before.items():
        kept = after.get(index_name)
        if kept is None or any(kept.get(field) != index.get(field) for field in fixed):
            steps.append({"Delete": {"IndexName": index_name}})
        elif kept != index:
            changed = {
                field: value for field, value in kept.items() if field not in fixed and value != index.get(field)
            }
            steps.append({"Update": {"IndexName": index_name, **changed}})
    deleted = {step["Delete"]["IndexName"] for step in steps if "Delete" in step}
    steps += [
        {"Create": index} for index_name, index in after.items() if index_name not in before or index_name in deleted
    ]
    for step in steps:
        params = {"TableName": name, "GlobalSecondaryIndexUpdates": [step]}
        if "Create" in step:
            params["AttributeDefinitions"] = new["AttributeDefinitions"]
        await site.run("dynamodb", "UpdateTable", params)
        await _wait_made(site, name)


async def _update_policy(site: Site, arn: str, old: Properties, new: Properties) -> None:
    before, after = _policy(old), _policy(new)
    if after is not None and after != before:
        await site.run("dynamodb", "PutResourcePolicy", {"ResourceArn": arn, "Policy": after})
    elif before is not None and after is None:
        await site.run("dynamodb", "DeleteResourcePolicy", {"ResourceArn": arn})


async def _delete_table(site: Site, existing: Existing) -> None:
    await run_if_there(site, "dynamodb", "DeleteTable", {"TableName": existing.physical_id})


async def _find_table(site: Site, properties: Properties) -> Made | None:
    name = properties.get("TableName") or site.place.name
    try:
        return await _wait_made(site, name)
    except ServiceError as error:
        if is_not_found(error):
            return None
        raise


def _replaces(old: Properties, new: Properties) -> bool:
    fixed = ("KeySchema", "LocalSecondaryIndexes")
    return any(old.get(field) != new.get(field) for field in fixed)


# --- Global tables: of one region, this one ---


def _as_table(site: Site, properties: Properties) -> dict[str, Any]:
    """Return a global table's properties as those of a table.

    Raises:
        ServiceError: it has replicas in other regions.
    """
    replicas = cast("Sequence[Mapping[str, Any]]", properties.get("Replicas") or ())
    regions = [replica.get("Region") for replica in replicas]
    if regions != [site.place.region]:
        raise ServiceError.of(
            "ValidationError",
            f"Forebay has global tables of one region only: Replicas must be {site.place.region} and no other, "
            f"not {', '.join(map(str, regions))}.",
        )
    (replica,) = replicas
    names = ("TableName", "AttributeDefinitions", "BillingMode", "KeySchema", "LocalSecondaryIndexes")
    table = pick(properties, *names, "StreamSpecification", "SSESpecification", "TimeToLiveSpecification")
    own = ("DeletionProtectionEnabled", "PointInTimeRecoverySpecification", "ResourcePolicy", "TableClass", "Tags")
    table |= pick(replica, *own)
    table |= pick(properties, "WarmThroughput")
    of_replica = cast("Sequence[Mapping[str, Any]]", replica.get("GlobalSecondaryIndexes") or ())
    by_name = {index["IndexName"]: index for index in of_replica}
    indexes = cast("Sequence[Mapping[str, Any]]", properties.get("GlobalSecondaryIndexes") or ())
    table["GlobalSecondaryIndexes"] = [
        {**_index(index), **_capacity(properties, index, by_name.get(index["IndexName"], {}))} for index in indexes
    ]
    return {**table, **_capacity(properties, properties, replica)}


def _capacity(properties: Properties, whole: Mapping[str, Any], replica: Mapping[str, Any]) -> dict[str, Any]:
    """Return provisioned units, where the table has such: those that auto scaling would begin with."""
    if properties.get("BillingMode") == "PAY_PER_REQUEST":
        return {}
    writes = _units(whole.get("WriteProvisionedThroughputSettings"), "Write")
    reads = _units(
        replica.get("ReadProvisionedThroughputSettings") or whole.get("ReadProvisionedThroughputSettings"), "Read"
    )
    return {"ProvisionedThroughput": {"ReadCapacityUnits": reads, "WriteCapacityUnits": writes}}


def _units(settings: Mapping[str, Any] | None, kind: str) -> int:
    given: Mapping[str, Any] = settings or {}
    scaling = cast("Mapping[str, Any]", given.get(f"{kind}CapacityAutoScalingSettings") or {})
    return int(given.get(f"{kind}CapacityUnits") or scaling.get("SeedCapacity") or scaling.get("MinCapacity") or 1)


async def _create_global(site: Site, properties: Properties) -> Made:
    return await _create_table(site, _as_table(site, properties))


async def _update_global(site: Site, existing: Existing, properties: Properties) -> Made:
    before = Existing(existing.physical_id, _as_table(site, existing.properties), existing.attributes)
    return await _update_table(site, before, _as_table(site, properties))


TYPES = (
    ResourceType(
        name="AWS::DynamoDB::Table",
        create=_create_table,
        update=_update_table,
        delete=_delete_table,
        find=_find_table,
        naming=NameRule("TableName", 255),
        replaces=_replaces,
        without_effect=frozenset({"SSESpecification", "ResourcePolicy"}),
        unsupported=frozenset(
            {
                "ContributorInsightsSpecification",
                "ImportSourceSpecification",
                "KinesisStreamSpecification",
                "VectorIndexes",
            }
        ),
    ),
    ResourceType(
        name="AWS::DynamoDB::GlobalTable",
        create=_create_global,
        update=_update_global,
        delete=_delete_table,
        find=_find_table,
        naming=NameRule("TableName", 255),
        replaces=_replaces,
        without_effect=frozenset(
            {"SSESpecification", "ReadOnDemandThroughputSettings", "WriteOnDemandThroughputSettings"}
        ),
        unsupported=frozenset(
            {"GlobalTableSourceArn", "GlobalTableWitnesses", "MultiRegionConsistency", "VectorIndexes"}
        ),
    ),
)
