"""`AWS::Include`: where a template asks for the content of another file, and putting that content in its place."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from forebay.services.cloudformation.template.errors import invalid

INCLUDE = "AWS::Include"


def inclusion_locations(value: object, resolve: Callable[[object], Any]) -> set[str]:
    """Return the location of every `AWS::Include` in a value; `resolve` evaluates functions in it.

    Raises:
        ServiceError: an `Fn::Transform` names another macro or has no location.
    """
    if isinstance(value, list):
        return set[str]().union(*(inclusion_locations(item, resolve) for item in cast("list[object]", value)))
    if not isinstance(value, dict):
        return set()
    members = cast("dict[str, object]", value)
    found = {_location(members["Fn::Transform"], resolve)} if "Fn::Transform" in members else set[str]()
    rest = [item for key, item in members.items() if key != "Fn::Transform"]
    return found.union(*(inclusion_locations(item, resolve) for item in rest))


def include(value: object, contents: Mapping[str, object], resolve: Callable[[object], Any]) -> Any:
    """Return a value with every `AWS::Include` replaced by what was read; siblings of the function win over it."""
    if isinstance(value, list):
        return [include(item, contents, resolve) for item in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, object]", value)
    rest = {key: include(item, contents, resolve) for key, item in members.items() if key != "Fn::Transform"}
    if "Fn::Transform" not in members:
        return rest
    content = contents[_location(members["Fn::Transform"], resolve)]
    if isinstance(content, dict):
        return {**cast("dict[str, Any]", content), **rest}
    if rest:
        raise invalid(f"Transform {INCLUDE} failed with: The included content must be a map beside other members.")
    return content


def _location(argument: object, resolve: Callable[[object], Any]) -> str:
    macro = cast("dict[str, Any]", argument) if isinstance(argument, dict) else {}
    name = macro.get("Name")
    if name != INCLUDE:
        raise invalid(f"No transform named {name} found.")
    location = resolve(macro.get("Parameters", {}).get("Location"))
    if not isinstance(location, str) or not location:
        raise invalid(f"Transform {INCLUDE} failed with: The location parameter is not a valid S3 uri.")
    return location
