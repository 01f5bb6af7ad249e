"""AWS's published schema of a resource type: its property tree, attributes, and what needs a replacement.

The files in `schemas/` are written by `tools/resource_schemas.py`. Checking is by name and JSON type; patterns and
bounds are the services' own business.
"""

import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any, cast

import msgspec

Node = Any
"""The short form of a property: a JSON type's name, `[item]`, `{member: ...}`, `{"*": value}` or `#Definition`."""


class Schema(msgspec.Struct, frozen=True):
    """One type."""

    properties: dict[str, Node]
    definitions: dict[str, Node] = {}
    required: tuple[str, ...] = ()
    create_only: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    identifier: tuple[str, ...] = ()

    @property
    def settable(self) -> frozenset[str]:
        """The properties that a template may give."""
        return frozenset(self.properties) - frozenset(self.read_only)


def load_schemas(service: str) -> dict[str, Schema]:
    """Return the types of one service (`sqs`), by type name."""
    file = resources.files("forebay.services.cloudformation.resources") / "schemas" / f"{service}.json"
    return msgspec.json.decode(file.read_bytes(), type=dict[str, Schema])


def load_known_types() -> frozenset[str]:
    """Return every type that AWS knows, so that a misspelt type is told from one that is not built here."""
    file = resources.files("forebay.services.cloudformation.resources") / "schemas" / "types.txt"
    return frozenset(file.read_text().split())


def unknown_properties(schema: Schema, properties: Mapping[str, Any]) -> list[str]:
    """Return the paths of properties that the type does not have; functions in the value hide what is below them."""
    found = [name for name in properties if name not in schema.settable]
    for name, value in properties.items():
        if name in schema.settable:
            found.extend(_unknown(schema, schema.properties[name], value, name))
    return found


def _unknown(schema: Schema, node: Node, value: object, path: str) -> Iterator[str]:
    node = _follow(schema, node)
    if isinstance(node, list) and isinstance(value, list):
        for index, item in enumerate(cast("list[object]", value)):
            yield from _unknown(schema, node[0], item, f"{path}/{index}")
    elif isinstance(node, dict) and isinstance(value, dict) and not is_function(cast("object", value)):
        members = cast("dict[str, Node]", node)
        for name, item in cast("dict[str, object]", value).items():
            inner = members.get(name, members.get("*"))
            if inner is None:
                yield f"{path}/{name}"
            else:
                yield from _unknown(schema, inner, item, f"{path}/{name}")


def is_function(value: object) -> bool:
    """Return whether a value is an intrinsic function call."""
    if not isinstance(value, dict) or len(cast("dict[str, Any]", value)) != 1:
        return False
    name = next(iter(cast("dict[str, Any]", value)))
    return name == "Ref" or name.startswith("Fn::")


def coerce(schema: Schema, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return resolved properties with every scalar in its schema's type: CloudFormation's values are often texts.

    What cannot be read as its type is left as it is: the service says what is wrong with it.
    """
    return {name: _coerce(schema, schema.properties.get(name, "json"), value) for name, value in properties.items()}


def _coerce(schema: Schema, node: Node, value: object) -> Any:
    node = _follow(schema, node)
    if isinstance(node, list):
        items = cast("list[object]", value) if isinstance(value, list) else [value]
        return [_coerce(schema, node[0], item) for item in items]
    if isinstance(node, dict):
        if not isinstance(value, dict):
            return value
        members = cast("dict[str, Node]", node)
        pairs = cast("dict[str, object]", value).items()
        # The values of free maps (a function's variables) are texts, whatever YAML takes them for.
        others = "string" if members.get("*") == "json" else members.get("*", "json")
        return {name: _coerce(schema, members.get(name, others), item) for name, item in pairs}
    convert = _SCALARS.get(node)
    is_scalar = not isinstance(value, (dict, list))
    return convert(value) if convert is not None and is_scalar else cast("object", value)


def find_mismatch(schema: Schema, properties: Mapping[str, Any]) -> str | None:
    """Return in AWS's words the first coerced property that is a list, object or scalar where it must be another."""
    found = (
        text
        for name, value in properties.items()
        for text in _mismatches(schema, schema.properties.get(name, "json"), value, f"#/{name}")
    )
    return next(found, None)


def _mismatches(schema: Schema, node: Node, value: object, path: str) -> Iterator[str]:
    node = _follow(schema, node)
    if value is None or node == "json":
        return
    if isinstance(node, str):
        if isinstance(value, (dict, list)):
            yield _mismatch(path, node.capitalize(), cast("object", value))
    elif isinstance(node, list):
        for index, item in enumerate(cast("list[object]", value)):
            yield from _mismatches(schema, node[0], item, f"{path}/{index}")
    elif isinstance(value, dict):
        members = cast("dict[str, Node]", node)
        for name, item in cast("dict[str, object]", value).items():
            yield from _mismatches(schema, members.get(name, members.get("*", "json")), item, f"{path}/{name}")
    else:
        yield _mismatch(path, "JSONObject", value)


def _mismatch(path: str, expected: str, value: object) -> str:
    kinds: dict[type, str] = {
        dict: "JSONObject",
        list: "JSONArray",
        bool: "Boolean",
        int: "Integer",
        float: "Double",
    }
    return f"{path}: expected type: {expected}, found: {kinds.get(type(value), 'String')}"


def _follow(schema: Schema, node: Node) -> Node:
    while isinstance(node, str) and node.startswith("#"):
        node = schema.definitions[node[1:]]
    return node


def _string(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if value is None else str(value)


def _integer(value: object) -> object:
    try:
        return int(value) if isinstance(value, (str, float)) and float(value).is_integer() else value
    except ValueError:
        return value


def _number(value: object) -> object:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _boolean(value: object) -> object:
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    return value


_SCALARS = {"string": _string, "integer": _integer, "number": _number, "boolean": _boolean}


def json_text(value: object) -> str:
    """Return a JSON property as the text that the API takes; one that is text already stays."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
