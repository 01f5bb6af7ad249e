"""`Fn::ForEach` of AWS::LanguageExtensions: copies of a fragment, one for each item of a collection."""

import re
from collections.abc import Callable
from typing import Any, cast

from forebay.services.cloudformation.template.errors import invalid

LANGUAGE_EXTENSIONS = "AWS::LanguageExtensions"
_LOOP = "Fn::ForEach::"
_LITERAL = re.compile(r"[^A-Za-z0-9]")


def expand_loops(value: object, resolve: Callable[[object], Any], names: dict[str, str] | None = None) -> Any:
    """Return a value with every loop in it unrolled and the loops' variables replaced in keys and values.

    `resolve` evaluates a collection that is not written out (a parameter, a mapping).

    Raises:
        ServiceError: a loop is malformed, or two copies have the same key.
    """
    names = names or {}
    if isinstance(value, list):
        return [expand_loops(item, resolve, names) for item in cast("list[object]", value)]
    if isinstance(value, str):
        return _replace(value, names)
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, Any]", value)
    if names and len(members) == 1 and (text := _text(members, names)) is not None:
        return text
    result: dict[str, Any] = {}
    for key, item in members.items():
        copies = _copies(key, item, resolve, names) if key.startswith(_LOOP) else [(_replace(key, names), item, names)]
        for name, fragment, inner in copies:
            if name in result:
                raise invalid(f"Template error: Fn::ForEach makes the key {name} twice")
            result[name] = expand_loops(fragment, resolve, inner)
    return result


def _text(members: dict[str, Any], names: dict[str, str]) -> str | None:
    """Return what a `Ref` or a whole `Fn::Sub` of loops' variables stands for, if it is one.

    A plain text can name a resource: `!GetAtt [!Sub "Bucket${Name}", Arn]`.
    """
    reference, pattern = members.get("Ref"), members.get("Fn::Sub")
    if reference in names:
        return names[cast("str", reference)]
    if isinstance(pattern, str) and "${" not in (text := _replace(pattern, names)):
        return text
    return None


def _copies(
    key: str, loop: object, resolve: Callable[[object], Any], names: dict[str, str]
) -> list[tuple[str, Any, dict[str, str]]]:
    problem = f"Template error: {key} requires a list of an identifier, a collection and a fragment with one output key"
    parts = cast("list[Any]", loop) if isinstance(loop, list) else []
    if len(parts) != 3 or not isinstance(parts[0], str) or not isinstance(parts[2], dict):
        raise invalid(problem)
    variable, collection, fragment = parts
    items = resolve(expand_loops(collection, resolve, names))
    if isinstance(items, str):
        items = items.split(",")
    if not isinstance(items, list):
        raise invalid(problem)
    copies: list[tuple[str, Any, dict[str, str]]] = []
    for item in cast("list[Any]", items):
        inner = {**names, variable: str(item)}
        for output_key, body in cast("dict[str, Any]", fragment).items():
            if output_key.startswith(_LOOP):
                copies.extend(_copies(output_key, body, resolve, inner))
            else:
                copies.append((_replace(output_key, inner), body, inner))
    return copies


def _replace(text: str, names: dict[str, str]) -> str:
    for variable, value in names.items():
        text = text.replace("${" + variable + "}", value)
        # `&{name}` is the same without characters that a logical id cannot have.
        text = text.replace("&{" + variable + "}", _LITERAL.sub("", value))
    return text
