"""The schemas of all kinds: what fields they have, of what type, and by which keys the entries of lists are told apart.

They are data (`definitions.json`, written by `tools/generate_kubernetes.py` from Kubernetes' OpenAPI and from the
definitions of KEDA's and Karpenter's kinds). Objects are held against them when they arrive: a field that no schema
knows is named, and never dropped without a word.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

from forebay.scaling.cluster.kinds import Object, Resource
from forebay.scaling.cluster.status import FieldError, StatusError, bad_request, invalid, required, shown, unsupported

Schema = Mapping[str, Any]

_PREFIX = "#/components/schemas/"
_ANYTHING: Schema = {}
_GO_TYPES = {"string": "string", "boolean": "bool", "array": "slice", "object": "map"}


@cache
def definitions() -> Mapping[str, Schema]:
    """Return all definitions by name."""
    return json.loads((Path(__file__).parent / "definitions.json").read_text(encoding="utf-8"))


def schema_of(resource: Resource) -> Schema:
    """Return the schema of a kind."""
    return definitions()[resource.definition]


def resolve(schema: Schema) -> Schema:
    """Follow a reference; what stands beside it (list keys, descriptions) is kept."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    target = definitions()[reference.removeprefix(_PREFIX)]
    return {**resolve(target), **{key: value for key, value in schema.items() if key != "$ref"}}


def member_of(schema: Schema, name: str) -> Schema | None:
    """Return the schema of an object's member, or None where it has no such one."""
    properties = cast("Mapping[str, Schema]", schema.get("properties", {}))
    if name in properties:
        return resolve(properties[name])
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        return resolve(cast("Schema", additional))
    return None if properties and not _is_open(schema) else _ANYTHING


def item_of(schema: Schema) -> Schema:
    """Return the schema of a list's items."""
    return resolve(schema.get("items", _ANYTHING))


def list_keys(schema: Schema) -> Sequence[str]:
    """Return the keys that tell a list's entries apart; none for lists that are one value."""
    if schema.get("x-kubernetes-list-type") == "map":
        return schema["x-kubernetes-list-map-keys"]
    if schema.get("x-kubernetes-patch-strategy", "").startswith("merge") and "x-kubernetes-patch-merge-key" in schema:
        return (schema["x-kubernetes-patch-merge-key"],)
    return ()


def is_set(schema: Schema) -> bool:
    """Return whether a list's entries are told apart by their value."""
    merges = "merge" in schema.get("x-kubernetes-patch-strategy", "") and not list_keys(schema)
    return schema.get("x-kubernetes-list-type") == "set" or merges


def is_atomic(schema: Schema) -> bool:
    """Return whether a value has one owner as a whole."""
    if schema.get("x-kubernetes-map-type") == "atomic":
        return True
    return schema.get("type") == "array" and not list_keys(schema) and not is_set(schema)


def _is_open(schema: Schema) -> bool:
    return bool(schema.get("x-kubernetes-preserve-unknown-fields")) or "properties" not in schema


@dataclass(frozen=True)
class Mistyped:
    """A value of another type: Go's decoder stops at it, and a custom kind's schema names it."""

    path: str
    kind: str
    go_type: str
    value: object

    def as_field_error(self) -> FieldError:
        """Return what a custom kind's schema says of it."""
        have = _json_type(self.value)
        named = shown(self.value) if isinstance(self.value, str) else f'"{have}"'
        text = f'Invalid value: "{have}": {self.path} in body must be of type {self.kind}: {named}'
        return FieldError(self.path, "FieldValueTypeInvalid", text)


@dataclass
class Findings:
    """What does not fit: fields that no schema knows, and values of another type."""

    unknown: list[str] = field(default_factory=list[str])
    mistyped: list[Mistyped] = field(default_factory=list[Mistyped])
    missing: list[FieldError] = field(default_factory=list[FieldError])


def inspect(resource: Resource, given: Object) -> tuple[Object, Findings]:
    """Return an object without the fields that its schema does not know, and all that does not fit."""
    findings = Findings()
    kept = _inspect(schema_of(resource), given, "", findings)
    return cast("Object", kept), findings


def check_types(resource: Resource, name: str, findings: Findings) -> None:
    """Refuse values of another type, and for custom kinds what is missing, in the words of each sort of kind.

    Raises:
        StatusError: something does not fit.
    """
    if resource.is_custom and (findings.mistyped or findings.missing):
        raise invalid(resource, name, [*(each.as_field_error() for each in findings.mistyped), *findings.missing])
    if findings.mistyped:
        raise _cannot_unmarshal(resource, findings.mistyped[0])


def unknown_field_error(resource: Resource, unknown: Sequence[str]) -> StatusError:
    """Return the refusal of unknown fields that strict field validation asks for."""
    text = "strict decoding error: " + ", ".join(f'unknown field "{path}"' for path in unknown)
    if resource.is_custom:
        return bad_request(text)
    return bad_request(
        f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {text}'
    )


def _cannot_unmarshal(resource: Resource, found: Mistyped) -> StatusError:
    text = (
        f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: json: '
        f"cannot unmarshal {_json_type(found.value)} into Go struct field {resource.kind}.{found.path} "
        f"of type {found.go_type}"
    )
    return bad_request(text)


def _inspect(schema: Schema, value: object, path: str, findings: Findings) -> object:
    schema = resolve(schema)
    kind = schema.get("type")
    if value is None or (kind is None and "properties" not in schema):
        return value
    if isinstance(value, dict) and kind == "object":
        return _inspect_object(schema, cast("Object", value), path, findings)
    if isinstance(value, list) and kind == "array":
        items = cast("list[object]", value)
        each = schema.get("items", _ANYTHING)
        return [_inspect(each, item, f"{path}[{index}]", findings) for index, item in enumerate(items)]
    plain = cast("object", value)
    if not _fits(kind, plain):
        findings.mistyped.append(_mistyped(schema, plain, path))
    elif "enum" in schema and plain not in schema["enum"] and path not in {"apiVersion", "kind"}:
        findings.missing.append(unsupported(path, plain, schema["enum"]))
    return plain


def _inspect_object(schema: Schema, given: Object, path: str, findings: Findings) -> Object:
    kept: Object = {}
    for name, value in given.items():
        below = f"{path}.{name}" if path else name
        member = member_of(schema, name)
        if member is None:
            findings.unknown.append(below)
        else:
            kept[name] = _inspect(member, value, below, findings)
    for name in schema.get("required", ()):
        if given.get(name) is None:
            findings.missing.append(required(f"{path}.{name}" if path else name))
    return kept


def _fits(kind: str | None, value: object) -> bool:  # noqa: PLR0911 - one case a type
    match kind:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            return is_whole and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case _:
            return True


def _mistyped(schema: Schema, value: object, path: str) -> Mistyped:
    kind = schema["type"]
    return Mistyped(path, kind, schema.get("format", _GO_TYPES.get(kind, kind)), value)


def _json_type(value: object) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case int() | float():
            return "number"
        case list():
            return "array"
        case _:
            return "object"
