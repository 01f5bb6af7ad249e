"""AWS::StepFunctions::*: state machines, their versions and aliases, and activities."""

import base64
import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.resources.calls import (
    any_tags,
    run_if_there,
    tag_changes,
    wait_until,
)
from forebay.services.cloudformation.resources.contract import Existing, Made, Properties, ResourceType, Site
from forebay.services.cloudformation.resources.names import NameRule
from forebay.services.cloudformation.resources.schema import json_text
from forebay.services.cloudformation.template.parsing import parse_value

_PLACEHOLDER = re.compile(r"\$\{([a-zA-Z0-9_.-]+)\}")

# --- AWS::StepFunctions::StateMachine ---


async def _create_machine(site: Site, properties: Properties) -> Made:
    name = properties.get("StateMachineName") or site.place.name
    params = {
        **await _settings(site, properties),
        "name": name,
        "type": properties.get("StateMachineType"),
        "tags": _tags(any_tags(properties)),
    }
    answer = await site.run("stepfunctions", "CreateStateMachine", params)
    return await _machine(site, answer["stateMachineArn"])


async def _update_machine(site: Site, existing: Existing, properties: Properties) -> Made:
    arn = existing.physical_id
    params = {**await _settings(site, properties), "stateMachineArn": arn}
    for name in ("loggingConfiguration", "tracingConfiguration", "encryptionConfiguration"):
        # What the template has no more gets its default.
        params[name] = params[name] or _DEFAULTS[name]
    await site.run("stepfunctions", "UpdateStateMachine", params)
    await _change_tags(site, arn, existing, properties)
    return await _machine(site, arn)


async def _machine(site: Site, arn: str) -> Made:
    shown = await site.run("stepfunctions", "DescribeStateMachine", {"stateMachineArn": arn})
    attributes = {"Arn": arn, "Name": shown["name"], "StateMachineRevisionId": shown.get("revisionId", "INITIAL")}
    return Made(arn, attributes)


async def _delete_machine(site: Site, existing: Existing) -> None:
    params = {"stateMachineArn": existing.physical_id}
    await site.run("stepfunctions", "DeleteStateMachine", params)

    async def look() -> bool:
        try:
            await site.run("stepfunctions", "DescribeStateMachine", params)
        except ServiceError as error:
            if error.code == "StateMachineDoesNotExist":
                return True
            raise
        return False

    await wait_until(site, look, f"the end of state machine {existing.physical_id}")


_DEFAULTS: Mapping[str, Any] = {
    "loggingConfiguration": {"level": "OFF", "includeExecutionData": False},
    "tracingConfiguration": {"enabled": False},
    "encryptionConfiguration": {"type": "AWS_OWNED_KEY"},
}


async def _settings(site: Site, properties: Properties) -> dict[str, Any]:
    """Return what creating and updating take alike."""
    logging = properties.get("LoggingConfiguration")
    tracing, encryption = properties.get("TracingConfiguration"), properties.get("EncryptionConfiguration")
    return {
        "definition": await _definition(site, properties),
        "roleArn": properties["RoleArn"],
        "loggingConfiguration": _lower(logging),
        "tracingConfiguration": _lower(tracing),
        "encryptionConfiguration": _lower(encryption),
    }


async def _definition(site: Site, properties: Properties) -> str:
    """Return the definition, from wherever the template has it, with its substitutions made.

    Raises:
        ServiceError: the template has none, or more than one.
    """
    given = [name for name in ("Definition", "DefinitionString", "DefinitionS3Location") if properties.get(name)]
    if len(given) != 1:
        raise ServiceError.of(
            "InvalidRequest",
            "Exactly one of Definition, DefinitionString and DefinitionS3Location must be specified.",
        )
    if "Definition" in given:
        text = json_text(properties["Definition"])
    elif "DefinitionString" in given:
        text = str(properties["DefinitionString"])
    else:
        place = properties["DefinitionS3Location"]
        params = {"Bucket": place["Bucket"], "Key": place["Key"], "VersionId": place.get("Version")}
        answer = await site.run("s3", "GetObject", params)
        text = _json(_object_text(answer["Body"]))
    return _substituted(text, properties.get("DefinitionSubstitutions") or {})


def _object_text(body: Any) -> str:
    return body.decode() if isinstance(body, bytes) else base64.b64decode(body).decode()


def _json(text: str) -> str:
    """Return a definition in a file as JSON; files may also have it in YAML."""
    if text.lstrip().startswith("{"):
        return text
    return json_text(parse_value(text))


def _substituted(text: str, values: Mapping[str, Any]) -> str:
    """Put values in the place of `${name}`; names that are not given stay (developer guide, "DefinitionSubstitutions").

    Booleans and numbers are written as JSON has them; texts stand inside quotes, so they are escaped.
    """

    def replace(match: re.Match[str]) -> str:
        if match[1] not in values:
            return match[0]
        value = values[match[1]]
        if isinstance(value, str):
            return msgspec.json.encode(value).decode()[1:-1]
        return msgspec.json.encode(value).decode()

    return _PLACEHOLDER.sub(replace, text) if values else text


def _lower(value: Any) -> Any:
    """Return properties with the member names of the API: with a small first letter."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {name[:1].lower() + name[1:]: _lower(item) for name, item in members.items()}
    return [_lower(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


# --- AWS::StepFunctions::StateMachineVersion ---


async def _create_version(site: Site, properties: Properties) -> Made:
    params = {
        "stateMachineArn": properties["StateMachineArn"],
        "revisionId": properties.get("StateMachineRevisionId"),
        "description": properties.get("Description"),
    }
    answer = await site.run("stepfunctions", "PublishStateMachineVersion", params)
    arn = answer["stateMachineVersionArn"]
    return Made(arn, {"Arn": arn})


async def _delete_version(site: Site, existing: Existing) -> None:
    params = {"stateMachineVersionArn": existing.physical_id}
    await run_if_there(site, "stepfunctions", "DeleteStateMachineVersion", params)


# --- AWS::StepFunctions::StateMachineAlias ---


async def _create_alias(site: Site, properties: Properties) -> Made:
    name = properties.get("Name") or site.place.name
    params = {
        "name": name,
        "description": properties.get("Description"),
        "routingConfiguration": _routing(site, properties),
    }
    answer = await site.run("stepfunctions", "CreateStateMachineAlias", params)
    arn = answer["stateMachineAliasArn"]
    return Made(arn, {"Arn": arn})


async def _update_alias(site: Site, existing: Existing, properties: Properties) -> Made:
    arn = existing.physical_id
    params = {
        "stateMachineAliasArn": arn,
        "description": properties.get("Description") or "",
        "routingConfiguration": _routing(site, properties),
    }
    await site.run("stepfunctions", "UpdateStateMachineAlias", params)
    return Made(arn, {"Arn": arn})


async def _delete_alias(site: Site, existing: Existing) -> None:
    try:
        await site.run("stepfunctions", "DeleteStateMachineAlias", {"stateMachineAliasArn": existing.physical_id})
    except ServiceError as error:
        if error.code != "ResourceNotFound":
            raise


def _routing(site: Site, properties: Properties) -> list[dict[str, Any]]:
    """Return what an alias routes to: as given, or all to the version that a deployment ends with.

    Deployments here are at once: traffic is not shifted in steps.
    """
    preference = properties.get("DeploymentPreference")
    if preference is not None:
        if preference.get("Type", "ALL_AT_ONCE") != "ALL_AT_ONCE":
            site.note("DeploymentPreference: traffic goes to the new version at once, not in steps.")
        return [{"stateMachineVersionArn": preference["StateMachineVersionArn"], "weight": 100}]
    return [_lower(route) for route in properties.get("RoutingConfiguration") or ()]


# --- AWS::StepFunctions::Activity ---


async def _create_activity(site: Site, properties: Properties) -> Made:
    name = properties["Name"]
    params = {
        "name": name,
        "tags": _tags(any_tags(properties)),
        "encryptionConfiguration": _lower(properties.get("EncryptionConfiguration")),
    }
    answer = await site.run("stepfunctions", "CreateActivity", params)
    arn = answer["activityArn"]
    return Made(arn, {"Arn": arn, "Name": name})


async def _update_activity(site: Site, existing: Existing, properties: Properties) -> Made:
    await _change_tags(site, existing.physical_id, existing, properties)
    return Made(existing.physical_id, {"Arn": existing.physical_id, "Name": properties["Name"]})


async def _delete_activity(site: Site, existing: Existing) -> None:
    await site.run("stepfunctions", "DeleteActivity", {"activityArn": existing.physical_id})


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]] | None:
    return [{"key": key, "value": value} for key, value in tags.items()] or None


async def _change_tags(site: Site, arn: str, existing: Existing, properties: Properties) -> None:
    tags, removed = tag_changes(existing.properties, properties)
    if tags:
        await site.run("stepfunctions", "TagResource", {"resourceArn": arn, "tags": _tags(tags)})
    if removed:
        await site.run("stepfunctions", "UntagResource", {"resourceArn": arn, "tagKeys": removed})


TYPES = (
    ResourceType(
        name="AWS::StepFunctions::StateMachine",
        create=_create_machine,
        update=_update_machine,
        delete=_delete_machine,
        naming=NameRule("StateMachineName", 80),
        without_effect=frozenset({"EncryptionConfiguration", "TracingConfiguration"}),
    ),
    ResourceType(name="AWS::StepFunctions::StateMachineVersion", create=_create_version, delete=_delete_version),
    ResourceType(
        name="AWS::StepFunctions::StateMachineAlias",
        create=_create_alias,
        update=_update_alias,
        delete=_delete_alias,
        naming=NameRule("Name", 80),
    ),
    ResourceType(
        name="AWS::StepFunctions::Activity",
        create=_create_activity,
        update=_update_activity,
        delete=_delete_activity,
        attributes=frozenset({"Name"}),
        without_effect=frozenset({"EncryptionConfiguration"}),
    ),
)
