"""Looks up what dynamic references stand for, on the way from a stack's records to the services."""

from collections.abc import Mapping
from typing import Any

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.resources.contract import Properties, Site
from forebay.services.cloudformation.template.dynamic_references import (
    DynamicReference,
    dynamic_references_in,
    replace_dynamic_references,
    secret_value,
)


async def resolve_dynamic_references(site: Site, properties: Properties) -> Properties:
    """Return properties with every `{{resolve:...}}` replaced by the parameter's or secret's value.

    Raises:
        ServiceError: there is no such parameter or secret.
    """
    found = dynamic_references_in(dict(properties))
    if not found:
        return properties
    values = {
        reference.text: await _look_up(site, reference) for reference in sorted(found, key=lambda item: item.text)
    }
    return replace_dynamic_references(dict(properties), values)


async def _look_up(site: Site, reference: DynamicReference) -> str:
    if reference.service == "secretsmanager":
        params = {
            "SecretId": reference.name,
            "VersionId": reference.version_id,
            "VersionStage": reference.version_stage,
        }
        answer = await site.run("secretsmanager", "GetSecretValue", params)
        return secret_value(reference, _secret_string(answer, reference))
    name = reference.name if reference.version is None else f"{reference.name}:{reference.version}"
    params = {"Name": name, "WithDecryption": reference.service == "ssm-secure" or None}
    answer = await site.run("ssm", "GetParameter", params)
    return str(answer["Parameter"]["Value"])


def _secret_string(answer: Mapping[str, Any], reference: DynamicReference) -> str:
    value = answer.get("SecretString")
    if value is None:
        raise ServiceError.of("InvalidRequest", f"Secret {reference.name} has no SecretString")
    return str(value)
