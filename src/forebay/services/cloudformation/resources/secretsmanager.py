"""AWS::SecretsManager::*: secrets, generated ones too, and their policies."""

import json
from typing import Any

import msgspec

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.resources.calls import key_values, pick, run_if_there, tag_changes
from forebay.services.cloudformation.resources.contract import Existing, Made, Properties, ResourceType, Site
from forebay.services.cloudformation.resources.names import NameRule
from forebay.services.cloudformation.resources.schema import json_text

_PASSWORD = (
    "ExcludeCharacters",
    "ExcludeLowercase",
    "ExcludeNumbers",
    "ExcludePunctuation",
    "ExcludeUppercase",
    "IncludeSpace",
    "PasswordLength",
    "RequireEachIncludedType",
)


async def _secret_string(site: Site, properties: Properties) -> str | None:
    """Return the secret's text: given, or generated and put into the template's JSON."""
    rule = properties.get("GenerateSecretString")
    if rule is None:
        return properties.get("SecretString")
    answer = await site.run("secretsmanager", "GetRandomPassword", pick(rule, *_PASSWORD))
    password = answer["RandomPassword"]
    if rule.get("SecretStringTemplate") is None:
        return password
    try:
        values = msgspec.json.decode(rule["SecretStringTemplate"], type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise ServiceError.of("InvalidRequest", "SecretStringTemplate is not a JSON object.") from None
    return json.dumps({**values, rule["GenerateStringKey"]: password})


def _made(arn: str) -> Made:
    return Made(arn, {"Id": arn})


async def _create(site: Site, properties: Properties) -> Made:
    name = properties.get("Name") or site.place.name
    params = {
        **pick(properties, "Description", "KmsKeyId", "Tags", "Type"),
        "Name": name,
        "SecretString": await _secret_string(site, properties),
    }
    answer = await site.run("secretsmanager", "CreateSecret", params)
    return _made(answer["ARN"])


async def _find(site: Site, properties: Properties) -> Made | None:
    name = properties.get("Name") or site.place.name
    found = await run_if_there(site, "secretsmanager", "DescribeSecret", {"SecretId": name})
    return _made(found["ARN"]) if found and not found.get("DeletedDate") else None


async def _update(site: Site, existing: Existing, properties: Properties) -> Made:
    arn, old = existing.physical_id, existing.properties
    params = pick(properties, "Description", "KmsKeyId", "Type")
    if old.get("SecretString") != properties.get("SecretString"):
        params["SecretString"] = properties.get("SecretString")
    elif old.get("GenerateSecretString") != properties.get("GenerateSecretString"):
        params["SecretString"] = await _secret_string(site, properties)
    if params:
        await site.run("secretsmanager", "UpdateSecret", {**params, "SecretId": arn})
    tags, removed = tag_changes(old, properties)
    if tags:
        await site.run("secretsmanager", "TagResource", {"SecretId": arn, "Tags": key_values(tags)})
    if removed:
        await site.run("secretsmanager", "UntagResource", {"SecretId": arn, "TagKeys": removed})
    return _made(arn)


async def _delete(site: Site, existing: Existing) -> None:
    # CloudFormation deletes at once: a stack of the same name must be able to come back.
    params = {"SecretId": existing.physical_id, "ForceDeleteWithoutRecovery": True}
    await run_if_there(site, "secretsmanager", "DeleteSecret", params)


async def _put_policy(site: Site, properties: Properties) -> Made:
    secret = properties["SecretId"]
    params = {"SecretId": secret, "ResourcePolicy": json_text(properties["ResourcePolicy"])}
    await site.run("secretsmanager", "PutResourcePolicy", {**params, **pick(properties, "BlockPublicPolicy")})
    return Made(secret, {"Id": secret})


async def _update_policy(site: Site, _existing: Existing, properties: Properties) -> Made:
    return await _put_policy(site, properties)


async def _delete_policy(site: Site, existing: Existing) -> None:
    await run_if_there(site, "secretsmanager", "DeleteResourcePolicy", {"SecretId": existing.physical_id})


TYPES = (
    ResourceType(
        name="AWS::SecretsManager::Secret",
        create=_create,
        update=_update,
        delete=_delete,
        find=_find,
        naming=NameRule("Name", 128),
        without_effect=frozenset({"KmsKeyId", "ReplicaRegions"}),
    ),
    ResourceType(
        name="AWS::SecretsManager::ResourcePolicy",
        create=_put_policy,
        update=_update_policy,
        delete=_delete_policy,
    ),
)
