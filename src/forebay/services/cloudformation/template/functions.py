"""Intrinsic functions: what `Ref`, `Fn::Sub` and their like stand for, given what is known of parameters and resources.

One `Scope` knows a stack; `resolve` walks a value of its template. Texts of errors are CloudFormation's.
"""

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from forebay.services.cloudformation.template.errors import invalid


class NoValue:
    """What `AWS::NoValue` stands for: the property that has it is left out."""


NO_VALUE = NoValue()

SUB_VARIABLE = re.compile(r"\$\{([^!${}][^${}]*)\}")
_SUB_LITERAL = re.compile(r"\$\{!([^}]*)\}")
AVAILABILITY_ZONES = ("a", "b", "c")


def _no_reference(name: str) -> Any:
    raise invalid(
        f"Template format error: Unresolved resource dependencies [{name}] in the Resources block of the template"
    )


def _no_attribute(name: str, attribute: str) -> Any:
    raise invalid(f"Template error: every Fn::GetAtt object requires a resource: {name}.{attribute}")


def _no_import(name: str) -> str:
    raise invalid(f"No export named {name} found.")


@dataclass(frozen=True)
class Scope:
    """What names mean in one stack.

    `values` are parameters and pseudo parameters; `reference`, `attribute` and `imported` answer for resources and
    exports, and raise where there is no such thing.
    """

    values: Mapping[str, Any]
    mappings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    conditions: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reference: Callable[[str], Any] = _no_reference
    attribute: Callable[[str, str], Any] = _no_attribute
    imported: Callable[[str], str] = _no_import
    # Whether `Fn::Length`, `Fn::ToJsonString` and defaults in `Fn::FindInMap` are allowed (AWS::LanguageExtensions).
    extended: bool = True

    def resolve(self, value: Any) -> Any:
        """Return the value with every function in it replaced by its result and `AWS::NoValue` left out."""
        if isinstance(value, dict):
            return self._resolve_map(cast("dict[str, Any]", value))
        if isinstance(value, list):
            items = [self.resolve(item) for item in cast("list[object]", value)]
            return [item for item in items if item is not NO_VALUE]
        return value

    def condition(self, name: str, asking: tuple[str, ...] = ()) -> bool:
        """Return whether a named condition holds."""
        if name not in self.conditions:
            raise invalid(f"Template error: unresolved condition dependency {name} in Fn::If")
        if name in asking:
            cycle = ", ".join(asking)
            raise invalid(f"Template format error: Circular dependencies in conditions: [{cycle}]")
        return self._holds(self.conditions[name], (*asking, name))

    def _resolve_map(self, value: dict[str, Any]) -> Any:
        if len(value) == 1:
            (name, argument), *_ = value.items()
            if name == "Ref":
                return self._ref(argument)
            if name == "Condition" and isinstance(argument, str) and argument in self.conditions:
                return self.condition(argument)
            function = FUNCTIONS.get(name)
            if function is not None:
                return function(self, argument)
            if name.startswith("Fn::") and name != "Fn::Transform":
                raise invalid(f"Template error: unsupported intrinsic function {name}")
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NO_VALUE}

    def _ref(self, argument: object) -> Any:
        if self.extended and isinstance(argument, dict):
            argument = cast("object", self.resolve(cast("object", argument)))
        if not isinstance(argument, str):
            raise invalid("Template error: Ref must be a string")
        if argument == "AWS::NoValue":
            return NO_VALUE
        return self.values[argument] if argument in self.values else self.reference(argument)

    def _holds(self, value: object, asking: tuple[str, ...]) -> bool:
        if isinstance(value, dict) and len(cast("dict[str, Any]", value)) == 1:
            (name, argument), *_ = cast("dict[str, Any]", value).items()
            if name == "Condition":
                return self.condition(str(argument), asking)
            if name in {"Fn::And", "Fn::Or", "Fn::Not"}:
                return self._combine(name, argument, asking)
            if name == "Fn::Equals":
                return _equals(self, argument)
        resolved = self.resolve(value)
        if isinstance(resolved, bool):
            return resolved
        if str(resolved).lower() in {"true", "false"}:
            return str(resolved).lower() == "true"
        raise invalid("Template format error: Every Condition member must be a boolean expression.")

    def _combine(self, name: str, argument: object, asking: tuple[str, ...]) -> bool:
        if not isinstance(argument, list):
            raise invalid(f"Template error: every {name} object requires a list of conditions.")
        parts = cast("list[object]", argument)
        if name == "Fn::Not":
            if len(parts) != 1:
                raise invalid("Template error: every Fn::Not object requires one boolean parameter.")
            return not self._holds(parts[0], asking)
        if not 2 <= len(parts) <= 10:
            raise invalid(
                f"Template error: every {name} object requires a list of at least 2 and at most 10 boolean parameters."
            )
        held = [self._holds(part, asking) for part in parts]
        return all(held) if name == "Fn::And" else any(held)


def _text(value: object) -> str:
    """Return a value as CloudFormation writes it into texts."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def text_of(value: object) -> str:
    """Return a scalar as text; a list as its items joined by commas."""
    return ",".join(map(_text, cast("list[object]", value))) if isinstance(value, list) else _text(value)


def _list_of(scope: Scope, argument: object, problem: str) -> list[Any]:
    resolved = scope.resolve(argument)
    if not isinstance(resolved, list):
        raise invalid(problem)
    return cast("list[Any]", resolved)


def _arguments(argument: Any, counts: Sequence[int], problem: str) -> list[Any]:
    if not isinstance(argument, list) or len(cast("list[Any]", argument)) not in counts:
        raise invalid(problem)
    return cast("list[Any]", argument)


def _get_att(scope: Scope, argument: object) -> Any:
    problem = (
        "Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource "
        "attribute"
    )
    parts = argument.split(".", 1) if isinstance(argument, str) else argument
    name, attribute = _arguments(parts, (2,), problem)
    attribute = scope.resolve(attribute)
    if not isinstance(name, str) or not isinstance(attribute, str) or not name or not attribute:
        raise invalid(problem)
    return scope.attribute(name, attribute)


def _sub(scope: Scope, argument: object) -> str:
    problem = (
        "Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments. Specify a string as "
        "first argument, and an optional second argument to specify a mapping of values to replace in the string"
    )
    if isinstance(argument, list):
        text, variables = _arguments(argument, (2,), problem)
    else:
        text, variables = argument, {}
    if not isinstance(text, str) or not isinstance(variables, dict):
        raise invalid(problem)
    given = {name: scope.resolve(value) for name, value in cast("dict[str, Any]", variables).items()}

    def replace(match: re.Match[str]) -> str:
        name = match.group(1).strip()
        if name in given:
            return text_of(given[name])
        if name in scope.values:
            return text_of(scope.values[name])
        if "." in name:
            return text_of(scope.attribute(*name.split(".", 1)))
        return text_of(scope.reference(name))

    return _SUB_LITERAL.sub(lambda match: "${" + match.group(1) + "}", SUB_VARIABLE.sub(replace, text))


def _join(scope: Scope, argument: object) -> str:
    problem = (
        "Template error: every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of "
        "strings to be joined or a function that returns a list of strings (such as Fn::GetAZs) to be joined."
    )
    delimiter, items = _arguments(argument, (2,), problem)
    resolved = scope.resolve(delimiter)
    if not isinstance(resolved, str):
        raise invalid(problem)
    return resolved.join(text_of(item) for item in _list_of(scope, items, problem))


def _split(scope: Scope, argument: object) -> list[str]:
    problem = (
        "Template error: every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be "
        "split or a function that returns a string to be split."
    )
    delimiter, text = _arguments(argument, (2,), problem)
    resolved = scope.resolve(text)
    if not isinstance(delimiter, str) or not delimiter or not isinstance(resolved, str):
        raise invalid(problem)
    return resolved.split(delimiter)


def _select(scope: Scope, argument: object) -> Any:
    problem = (
        "Template error: Fn::Select requires a list argument with two elements: an integer index and a list of objects"
    )
    index, items = _arguments(argument, (2,), problem)
    number = str(scope.resolve(index))
    if not number.isdecimal():
        raise invalid("Template error: Fn::Select requires an integer index")
    resolved = scope.resolve(items)
    # A list parameter's value reaches Fn::Select as a list; one of type String is split by its commas.
    if isinstance(resolved, str):
        resolved = resolved.split(",")
    if not isinstance(resolved, list):
        raise invalid(problem)
    found = cast("list[Any]", resolved)
    if int(number) >= len(found):
        raise invalid(f"Template error: Fn::Select cannot select nonexistent value at index {number}")
    return found[int(number)]


def _find_in_map(scope: Scope, argument: object) -> Any:
    problem = (
        "Template error: every Fn::FindInMap object requires three parameters, the map name, map key and the attribute "
        "for return value"
    )
    parts = _arguments(argument, (3, 4), problem)
    default: Any = NO_VALUE
    if len(parts) == 4:
        if not isinstance(parts[3], dict) or "DefaultValue" not in parts[3]:
            raise invalid(problem)
        default = scope.resolve(parts[3]["DefaultValue"])
    name, first, second = (scope.resolve(part) for part in parts[:3])
    mapping = scope.mappings.get(str(name))
    if mapping is None and default is NO_VALUE:
        raise invalid(f"Template error: Mapping named '{name}' is not present in the 'Mappings' section of template.")
    keys = cast("dict[str, Any]", mapping or {}).get(_text(first))
    if isinstance(keys, dict) and _text(second) in keys:
        return cast("dict[str, Any]", keys)[_text(second)]
    if default is NO_VALUE:
        raise invalid(f"Template error: Unable to get mapping for {name}::{_text(first)}::{_text(second)}")
    return default


def _if(scope: Scope, argument: object) -> Any:
    problem = "Template error: Fn::If requires a list argument with three elements"
    name, then, otherwise = _arguments(argument, (3,), problem)
    if not isinstance(name, str):
        raise invalid("Template error: Fn::If requires the name of a condition as its first element")
    return scope.resolve(then if scope.condition(name) else otherwise)


def _equals(scope: Scope, argument: object) -> bool:
    left, right = _arguments(
        argument, (2,), "Template error: every Fn::Equals object requires a list of 2 string parameters."
    )
    left, right = scope.resolve(left), scope.resolve(right)
    if isinstance(left, (dict, list)) or isinstance(right, (dict, list)):
        return bool(left == right)
    return _text(left) == _text(right)


def _logical(name: str) -> Callable[[Scope, object], bool]:
    def run(scope: Scope, argument: object) -> bool:
        return scope._holds({name: argument}, ())  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  same module

    return run


def _base64(scope: Scope, argument: object) -> str:
    resolved = scope.resolve(argument)
    if isinstance(resolved, (dict, list)):
        raise invalid("Template error: every Fn::Base64 object must have a String-typed value.")
    return base64.b64encode(_text(resolved).encode()).decode()


def _cidr(scope: Scope, argument: object) -> list[str]:
    problem = (
        "Template error: every Fn::Cidr object requires two parameters, (1) a CIDR block and (2) the number of CIDRs"
    )
    block, count, *bits = _arguments(argument, (2, 3), problem)
    try:
        size = int(_text(scope.resolve(bits[0]))) if bits else 8
        network = ipaddress.ip_network(str(scope.resolve(block)), strict=False)
        parts = network.subnets(new_prefix=network.max_prefixlen - size)
        wanted = int(_text(scope.resolve(count)))
        found = [str(part) for part, _ in zip(parts, range(wanted), strict=False)]
    except ValueError:
        raise invalid(problem) from None
    if len(found) < wanted:
        raise invalid(f"Template error: Fn::Cidr cannot make {wanted} blocks of {size} bits out of {network}")
    return found


def _import_value(scope: Scope, argument: object) -> str:
    name = scope.resolve(argument)
    if not isinstance(name, str):
        raise invalid(
            "Template error: the attribute in Fn::ImportValue must be a string or a function that returns a string"
        )
    return scope.imported(name)


def _get_azs(scope: Scope, argument: object) -> list[str]:
    region = scope.resolve(argument) or scope.values["AWS::Region"]
    return [f"{region}{zone}" for zone in AVAILABILITY_ZONES]


def _length(scope: Scope, argument: object) -> int:
    return len(_list_of(scope, argument, "Template error: Fn::Length requires a list"))


def _to_json_string(scope: Scope, argument: object) -> str:
    resolved = scope.resolve(argument)
    if not isinstance(resolved, (dict, list)):
        raise invalid("Template error: Fn::ToJsonString requires an object or an array")
    return json.dumps(resolved, separators=(",", ":"))


FUNCTIONS: Mapping[str, Callable[[Scope, object], Any]] = {
    "Fn::GetAtt": _get_att,
    "Fn::Sub": _sub,
    "Fn::Join": _join,
    "Fn::Split": _split,
    "Fn::Select": _select,
    "Fn::FindInMap": _find_in_map,
    "Fn::If": _if,
    "Fn::Equals": _equals,
    "Fn::And": _logical("Fn::And"),
    "Fn::Or": _logical("Fn::Or"),
    "Fn::Not": _logical("Fn::Not"),
    "Fn::Base64": _base64,
    "Fn::Cidr": _cidr,
    "Fn::ImportValue": _import_value,
    "Fn::GetAZs": _get_azs,
    "Fn::Length": _length,
    "Fn::ToJsonString": _to_json_string,
}
