"""AWS::Lambda::*: what stands around a function: permissions, mappings, versions, aliases, layers, URLs."""

from typing import Any

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.resources.calls import (
    omit,
    pick,
    run_if_there,
    tag_changes,
    tag_map,
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
from forebay.services.cloudformation.resources.lambda_function import FUNCTION
from forebay.services.cloudformation.resources.names import NameRule

# --- AWS::Lambda::Permission ---


async def _create_permission(site: Site, properties: Properties) -> Made:
    statement = site.place.name
    await site.run("lambda", "AddPermission", {**properties, "StatementId": statement})
    return Made(statement, {"Id": statement})


async def _find_permission(site: Site, properties: Properties) -> Made | None:
    policy = await run_if_there(site, "lambda", "GetPolicy", {"FunctionName": properties["FunctionName"]})
    return (
        Made(site.place.name, {"Id": site.place.name}) if f'"{site.place.name}"' in policy.get("Policy", "") else None
    )


async def _delete_permission(site: Site, existing: Existing) -> None:
    params = {"FunctionName": existing.properties["FunctionName"], "StatementId": existing.physical_id}
    await run_if_there(site, "lambda", "RemovePermission", params)


# --- AWS::Lambda::EventSourceMapping ---


def _mapping(properties: Properties) -> dict[str, Any]:
    params = omit(properties, "Tags", "KmsKeyArn")
    return {**params, "KMSKeyArn": properties.get("KmsKeyArn")}


def _mapping_made(answer: dict[str, Any]) -> Made:
    uuid = answer["UUID"]
    return Made(uuid, {"Id": uuid, "EventSourceMappingArn": answer.get("EventSourceMappingArn", "")})


async def _create_mapping(site: Site, properties: Properties) -> Made:
    params = {**_mapping(properties), "Tags": tag_map(properties.get("Tags")) or None}
    answer = await site.run("lambda", "CreateEventSourceMapping", params)
    await site.record(_mapping_made(answer))
    await _wait_for_mapping(site, answer["UUID"])
    return _mapping_made(answer)


async def _find_mapping(site: Site, properties: Properties) -> Made | None:
    params = pick(properties, "FunctionName", "EventSourceArn")
    found = (await run_if_there(site, "lambda", "ListEventSourceMappings", params)).get("EventSourceMappings", [])
    return _mapping_made(found[0]) if found else None


async def _update_mapping(site: Site, existing: Existing, properties: Properties) -> Made:
    fixed = (
        "EventSourceArn",
        "StartingPosition",
        "StartingPositionTimestamp",
        "SelfManagedEventSource",
        "Queues",
        "Topics",
    )
    params = {"Enabled": True, **omit(_mapping(properties), *fixed), "UUID": existing.physical_id}
    # What the template no longer gives goes back to "no filter", "no limit".
    for name in ("FilterCriteria", "ScalingConfig", "DestinationConfig"):
        if name in existing.properties and name not in properties:
            params[name] = {}
    if "FunctionResponseTypes" in existing.properties and "FunctionResponseTypes" not in properties:
        params["FunctionResponseTypes"] = []
    answer = await site.run("lambda", "UpdateEventSourceMapping", params)
    await _wait_for_mapping(site, existing.physical_id)
    arn = answer.get("EventSourceMappingArn")
    tags, removed = tag_changes(existing.properties, properties)
    if tags:
        await site.run("lambda", "TagResource", {"Resource": arn, "Tags": tags})
    if removed:
        await site.run("lambda", "UntagResource", {"Resource": arn, "TagKeys": removed})
    return _mapping_made(answer)


async def _wait_for_mapping(site: Site, uuid: str) -> None:
    async def look() -> bool:
        state = await site.run("lambda", "GetEventSourceMapping", {"UUID": uuid})
        return state.get("State") not in {"Creating", "Enabling", "Disabling", "Updating"}

    await wait_until(site, look, f"event source mapping {uuid}")


async def _delete_mapping(site: Site, existing: Existing) -> None:
    uuid = existing.physical_id
    await run_if_there(site, "lambda", "DeleteEventSourceMapping", {"UUID": uuid})

    async def look() -> bool:
        try:
            await site.run("lambda", "GetEventSourceMapping", {"UUID": uuid})
        except ServiceError as error:
            if is_not_found(error):
                return True
            raise
        return False

    await wait_until(site, look, f"the end of event source mapping {uuid}")


# --- AWS::Lambda::Version and Alias ---


async def _create_version(site: Site, properties: Properties) -> Made:
    params = {**pick(properties, "FunctionName", "Description"), "CodeSha256": properties.get("CodeSha256")}
    answer = await site.run("lambda", "PublishVersion", params)
    arn, version = answer["FunctionArn"], answer["Version"]
    return Made(arn, {"Version": version, "FunctionArn": arn})


async def _delete_version(site: Site, existing: Existing) -> None:
    function, _, version = existing.physical_id.rpartition(":")
    try:
        await run_if_there(site, "lambda", "DeleteFunction", {"FunctionName": function, "Qualifier": version})
    except ServiceError as error:
        # AWS's handler too leaves a version that an alias still needs to go with its function.
        if error.code != "ResourceConflictException":
            raise


def _alias(properties: Properties) -> dict[str, Any]:
    params = pick(properties, "FunctionName", "Name", "FunctionVersion", "Description")
    routing = properties.get("RoutingConfig")
    if routing is not None:
        weights = {
            item["FunctionVersion"]: item["FunctionWeight"] for item in routing.get("AdditionalVersionWeights", [])
        }
        params["RoutingConfig"] = {"AdditionalVersionWeights": weights}
    return params


async def _create_alias(site: Site, properties: Properties) -> Made:
    answer = await site.run("lambda", "CreateAlias", _alias(properties))
    return Made(answer["AliasArn"], {"AliasArn": answer["AliasArn"]})


async def _update_alias(site: Site, existing: Existing, properties: Properties) -> Made:
    params = _alias(properties)
    if "RoutingConfig" in existing.properties and "RoutingConfig" not in properties:
        params["RoutingConfig"] = {"AdditionalVersionWeights": {}}
    answer = await site.run("lambda", "UpdateAlias", params)
    return Made(answer["AliasArn"], {"AliasArn": answer["AliasArn"]})


async def _delete_alias(site: Site, existing: Existing) -> None:
    params = pick(existing.properties, "FunctionName", "Name")
    await run_if_there(site, "lambda", "DeleteAlias", params)


# --- AWS::Lambda::LayerVersion and its permission ---


async def _create_layer(site: Site, properties: Properties) -> Made:
    params = {**properties, "LayerName": properties.get("LayerName") or site.place.name}
    answer = await site.run("lambda", "PublishLayerVersion", params)
    arn = answer["LayerVersionArn"]
    return Made(arn, {"LayerVersionArn": arn})


def _layer(arn: str) -> dict[str, Any]:
    name, _, version = arn.rpartition(":")
    return {"LayerName": name, "VersionNumber": int(version)}


async def _delete_layer(site: Site, existing: Existing) -> None:
    await run_if_there(site, "lambda", "DeleteLayerVersion", _layer(existing.physical_id))


async def _create_layer_permission(site: Site, properties: Properties) -> Made:
    params = {
        **omit(properties, "LayerVersionArn"),
        **_layer(properties["LayerVersionArn"]),
        "StatementId": site.place.name,
    }
    await site.run("lambda", "AddLayerVersionPermission", params)
    identifier = f"{properties['LayerVersionArn']}#{site.place.name}"
    return Made(identifier, {"Id": identifier})


async def _delete_layer_permission(site: Site, existing: Existing) -> None:
    arn, _, statement = existing.physical_id.partition("#")
    await run_if_there(site, "lambda", "RemoveLayerVersionPermission", {**_layer(arn), "StatementId": statement})


# --- AWS::Lambda::EventInvokeConfig ---


async def _put_invoke_config(site: Site, properties: Properties) -> Made:
    await site.run("lambda", "PutFunctionEventInvokeConfig", properties)
    return Made(f"{properties['FunctionName']}|{properties['Qualifier']}")


async def _update_invoke_config(site: Site, _existing: Existing, properties: Properties) -> Made:
    return await _put_invoke_config(site, properties)


async def _delete_invoke_config(site: Site, existing: Existing) -> None:
    params = pick(existing.properties, "FunctionName", "Qualifier")
    await run_if_there(site, "lambda", "DeleteFunctionEventInvokeConfig", params)


# --- AWS::Lambda::Url ---


def _url_params(properties: Properties) -> dict[str, Any]:
    return {**omit(properties, "TargetFunctionArn"), "FunctionName": properties["TargetFunctionArn"]}


def _url_made(answer: dict[str, Any]) -> Made:
    arn = answer["FunctionArn"]
    return Made(arn, {"FunctionArn": arn, "FunctionUrl": answer["FunctionUrl"]})


async def _create_url(site: Site, properties: Properties) -> Made:
    return _url_made(await site.run("lambda", "CreateFunctionUrlConfig", _url_params(properties)))


async def _update_url(site: Site, _existing: Existing, properties: Properties) -> Made:
    return _url_made(await site.run("lambda", "UpdateFunctionUrlConfig", _url_params(properties)))


async def _delete_url(site: Site, existing: Existing) -> None:
    params = {"FunctionName": existing.properties["TargetFunctionArn"], **pick(existing.properties, "Qualifier")}
    await run_if_there(site, "lambda", "DeleteFunctionUrlConfig", params)


TYPES = (
    FUNCTION,
    ResourceType(
        name="AWS::Lambda::Permission",
        create=_create_permission,
        delete=_delete_permission,
        find=_find_permission,
        naming=NameRule("Id", 100),
    ),
    ResourceType(
        name="AWS::Lambda::EventSourceMapping",
        create=_create_mapping,
        update=_update_mapping,
        delete=_delete_mapping,
        find=_find_mapping,
        without_effect=frozenset({"KmsKeyArn", "LoggingConfig", "MetricsConfig", "ProvisionedPollerConfig"}),
    ),
    ResourceType(
        name="AWS::Lambda::Version",
        create=_create_version,
        delete=_delete_version,
        without_effect=frozenset({"ProvisionedConcurrencyConfig", "RuntimePolicy"}),
        unsupported=frozenset({"FunctionScalingConfig"}),
    ),
    ResourceType(
        name="AWS::Lambda::Alias",
        create=_create_alias,
        update=_update_alias,
        delete=_delete_alias,
        without_effect=frozenset({"ProvisionedConcurrencyConfig"}),
    ),
    ResourceType(
        name="AWS::Lambda::LayerVersion",
        create=_create_layer,
        delete=_delete_layer,
        naming=NameRule("LayerName", 140),
    ),
    ResourceType(
        name="AWS::Lambda::LayerVersionPermission",
        create=_create_layer_permission,
        delete=_delete_layer_permission,
        naming=NameRule("Id", 100),
    ),
    ResourceType(
        name="AWS::Lambda::EventInvokeConfig",
        create=_put_invoke_config,
        update=_update_invoke_config,
        delete=_delete_invoke_config,
    ),
    ResourceType(name="AWS::Lambda::Url", create=_create_url, update=_update_url, delete=_delete_url),
)
