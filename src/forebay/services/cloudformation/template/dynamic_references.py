"""Dynamic references: `{{resolve:ssm:name:version}}`, `{{resolve:secretsmanager:id:SecretString:key:stage:version}}`.

They stay in the stack's records as written, so that no secret is kept there; their values are put in on the way to the
service only.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from forebay.services.cloudformation.template.errors import invalid

_REFERENCE = re.compile(r"\{\{resolve:([a-z-]+):([^{}]+)\}\}")


class DynamicReference(msgspec.Struct, frozen=True):
    """One reference: the whole text and its parts."""

    text: str
    service: str
    name: str
    version: str | None = None
    json_key: str | None = None
    version_stage: str | None = None
    version_id: str | None = None


def dynamic_references_in(value: object) -> set[DynamicReference]:
    """Return every dynamic reference in a value.

    Raises:
        ServiceError: one is malformed or of an unknown service.
    """
    if isinstance(value, str):
        return {_parse(match) for match in _REFERENCE.finditer(value)}
    found: set[DynamicReference] = set()
    items: list[object] = []
    if isinstance(value, dict):
        items = list(cast("dict[str, object]", value).values())
    elif isinstance(value, list):
        items = cast("list[object]", value)
    for item in items:
        found |= dynamic_references_in(item)
    return found


def _parse(match: re.Match[str]) -> DynamicReference:
    text, service, rest = match.group(0), match.group(1), match.group(2)
    if service in {"ssm", "ssm-secure"}:
        name, colon, version = rest.rpartition(":")
        if colon and version.isdecimal():
            return DynamicReference(text, service, name, version)
        return DynamicReference(text, service, rest)
    if service == "secretsmanager":
        return _parse_secret(text, rest)
    raise invalid(f"Template error: dynamic reference {text} is not supported")


def _parse_secret(text: str, rest: str) -> DynamicReference:
    # A secret may be named by its ARN, which has six colons of its own.
    parts = rest.split(":")
    count = 7 if rest.startswith("arn:") else 1
    name, options = ":".join(parts[:count]), parts[count:]
    if options and options[0] not in {"SecretString", ""}:
        raise invalid(f"Template error: Incorrect format is used in the following dynamic reference: {text}")
    kind, key, stage, version = (*options, "", "", "", "")[:4]
    del kind
    return DynamicReference(text, "secretsmanager", name, None, key or None, stage or None, version or None)


def secret_value(reference: DynamicReference, secret: str) -> str:
    """Return what a reference takes of a secret: all of it, or one key of its JSON.

    Raises:
        ServiceError: the secret is not JSON or has no such key.
    """
    if reference.json_key is None:
        return secret
    try:
        value = cast("dict[str, Any]", json.loads(secret))[reference.json_key]
    except (ValueError, KeyError, RecursionError, TypeError):
        raise invalid(
            f"Could not find a value associated with JSONKey in SecretString: {reference.json_key} of {reference.name}"
        ) from None
    return value if isinstance(value, str) else json.dumps(value)


def replace_dynamic_references(value: Any, values: Mapping[str, str]) -> Any:
    """Return a value with every reference replaced by what it stands for."""
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: values[match.group(0)], value)
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {key: replace_dynamic_references(item, values) for key, item in members.items()}
    if isinstance(value, list):
        return [replace_dynamic_references(item, values) for item in cast("list[Any]", value)]
    return value
