"""Template text to plain values: JSON, or YAML with CloudFormation's short tags.

Dates stay texts (a policy's `Version: 2012-10-17`), numbers that begin with a zero too (account ids), and a key given
twice in one map is refused.
"""

import json
import re
from collections.abc import Callable, Hashable
from typing import Any, cast

import yaml

from forebay.services.cloudformation.template.errors import invalid

# CloudFormation's quota for a template from S3; texts in the request may be shorter only by the wire's limit.
TEMPLATE_BYTES_MAX = 1024 * 1024
# Aliases let a few lines stand for billions of values.
_VALUES_MAX = 400_000
_DEPTH_MAX = 100

_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+\Z")
_DATE_TAG = "tag:yaml.org,2002:timestamp"
_UNPREFIXED = {"Ref", "Condition"}

_Base: type[yaml.SafeLoader] = cast("type[yaml.SafeLoader]", getattr(yaml, "CSafeLoader", yaml.SafeLoader))


class _Loader(_Base):
    """PyYAML is extended by inheritance only: it finds constructors on the class."""


def parse_template(text: str) -> dict[str, Any]:
    """Return a template as plain values.

    Raises:
        ServiceError: `ValidationError` with CloudFormation's text; positions are given where the parser knows them.
    """
    if len(text.encode()) > TEMPLATE_BYTES_MAX:
        raise invalid("Template may not exceed 1000000 bytes in size.")
    value = parse_value(text)
    if not isinstance(value, dict):
        raise invalid("Template format error: unsupported structure.")
    return cast("dict[str, Any]", value)


def parse_value(text: str) -> object:
    """Return any YAML or JSON document (a template, an included snippet, an OpenAPI definition) as plain values."""
    value = _parse_json(text) if text.lstrip().startswith(("{", "[")) else _parse_yaml(text)
    _check_size(value)
    return value


def _parse_json(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise invalid("Template format error: JSON not well-formed.") from None
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError):
            # YAML allows braces too, with comments and short tags in them.
            try:
                return _parse_yaml(text)
            except Exception:  # noqa: BLE001  whatever YAML says, the text looked like JSON
                where = f"(line {error.lineno}, column {error.colno})"
                raise invalid(f"Template format error: JSON not well-formed. {where}") from None
        raise invalid(f"Template format error: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"Duplicate key {twice}")
    return result


def _parse_yaml(text: str) -> object:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  a safe loader with more tags
    except yaml.MarkedYAMLError as error:
        if error.problem and error.problem.startswith("Template format error"):
            raise invalid(error.problem) from None
        mark = error.problem_mark or error.context_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise invalid(f"Template format error: YAML not well-formed.{where}") from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise invalid("Template format error: YAML not well-formed.") from None


def _check_size(value: object) -> None:
    """Refuse what aliases blow up, and what is nested deeper than anything that follows could walk."""
    count = 0
    waiting: list[tuple[object, int]] = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        count += 1
        if count > _VALUES_MAX or depth > _DEPTH_MAX:
            raise invalid("Template format error: Template is too large or too deeply nested.")
        if isinstance(item, dict):
            waiting.extend((inner, depth + 1) for inner in cast("dict[str, object]", item).values())
        elif isinstance(item, list):
            waiting.extend((inner, depth + 1) for inner in cast("list[object]", item))


def _construct_map(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    seen: set[Hashable] = set()
    for key_node, _ in node.value:
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
        if key is not None and key != "<<":
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"Template format error: Duplicate key {key}", None)
            seen.add(key)
    loader.flatten_mapping(node)
    return {_key(_construct(loader, key_node)): _construct(loader, value_node) for key_node, value_node in node.value}


def _construct(loader: _Loader, node: yaml.Node) -> Any:
    construct = cast("Callable[..., Any]", loader.construct_object)
    return construct(node, deep=True)


def _key(key: object) -> str:
    # Keys are texts in JSON, where every template could have been written: `200:` of an OpenAPI response.
    if isinstance(key, bool):
        return "true" if key else "false"
    return str(key)


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int | str:
    text = str(node.value)
    return text if _LEADING_ZERO.match(text) or ":" in text else loader.construct_yaml_int(node)


def _construct_text(_loader: _Loader, node: yaml.ScalarNode) -> str:
    return str(node.value)


def _construct_float(loader: _Loader, node: yaml.ScalarNode) -> float | str:
    text = str(node.value)
    return text if ":" in text else loader.construct_yaml_float(node)


def _construct_function(loader: _Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = _construct_map(loader, cast("yaml.MappingNode", node))
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name if name in _UNPREFIXED else f"Fn::{name}": value}


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_map)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)
_Loader.add_constructor(_DATE_TAG, _construct_text)
cast("Callable[..., None]", _Loader.add_multi_constructor)("!", _construct_function)
