"""Checks of single values in a definition: types, ranges, paths, payload templates, JSONata, variable names."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from forebay.languages.asl import schema
from forebay.languages.asl.diagnostics import Findings
from forebay.languages.asl.intrinsics import is_intrinsic, parse_intrinsic
from forebay.languages.asl.jsonata_fields import expression_text, is_expression
from forebay.languages.asl.paths import InvalidPath, parse_path
from forebay.languages.asl.templates import DYNAMIC
from forebay.languages.json_kinds import is_array, is_object
from forebay.languages.jsonata import Expression, JsonataError, compile_jsonata

Fields = Mapping[str, Any]
Range = tuple[int | None, int | None]

_TYPES: Mapping[type, str] = {str: "String", dict: "Object", list: "Array", bool: "Boolean", int: "Integer"}
_VARIABLE = re.compile(r"[^\W\d]\w*")
_EXPRESSION_START = "{%"


def listed(names: Iterable[object]) -> str:
    """Return names as AWS lists them."""
    return "[" + ", ".join(str(name) for name in names) + "]"


def check_fields(findings: Findings, fields: Fields, allowed: tuple[str, ...], location: str) -> None:
    """Refuse fields that do not exist there."""
    for name in fields:
        if name not in allowed:
            findings.schema(f"Field '{name}' is not supported", location or "/")


def check_required(findings: Findings, fields: Fields, required: tuple[str, ...], location: str) -> None:
    """Ask for the fields that have to be there."""
    missing = [name for name in required if name not in fields]
    if missing:
        findings.schema(f"These fields are required: {listed(missing)}", location or "/")


def check_type(findings: Findings, fields: Fields, name: str, wanted: type, location: str) -> bool:
    """Refuse a value of another type; return whether it is absent or right."""
    if name not in fields or (isinstance(fields[name], wanted) and (wanted is bool or fields[name] is not True)):
        return True
    findings.schema(f"Expected value of type {_TYPES[wanted]}", f"{location}/{name}")
    return False


def check_one_of(findings: Findings, value: object, allowed: tuple[str, ...], location: str) -> bool:
    """Refuse a value that is none of these texts; return whether it is one."""
    if isinstance(value, str) and value in allowed:
        return True
    findings.schema(f"Value should be one of the following: {listed(allowed)}", location)
    return False


def language_of(findings: Findings, fields: Fields, default: str, location: str) -> str:
    """Return the query language that a machine, chain or state asks for, or the default.

    AWS takes whatever is not JSONPath for JSONata, and says beside that which values there are.
    """
    if "QueryLanguage" not in fields:
        return default
    language: object = fields["QueryLanguage"]
    check_one_of(findings, language, ("JSONPath", "JSONata"), f"{location}/QueryLanguage")
    return "JSONPath" if language == "JSONPath" else "JSONata"


def check_number(findings: Findings, fields: Fields, name: str, limits: Range, location: str) -> None:
    """Refuse what is no whole number or beyond its range."""
    if name not in fields:
        return
    value, here = fields[name], f"{location}/{name}"
    if isinstance(value, bool) or not isinstance(value, int | float) or (name != "BackoffRate" and value != int(value)):
        findings.schema(f"Expected value of type {'Float' if name == 'BackoffRate' else 'Integer'}", here)
        return
    least, most = limits
    if least is not None and value < least:
        findings.schema(f"Minimum value is {least}", here)
    elif most is not None and value > most:
        findings.schema(f"Maximum value is {most}", here)


def check_exclusive(findings: Findings, fields: Fields, names: tuple[str, ...], location: str) -> None:
    """Refuse two fields of which only one may be there."""
    if sum(name in fields for name in names) > 1:
        findings.schema(f"There should only be one of the following fields: {listed(names)}", location)


def check_path(findings: Findings, value: object, location: str, *, is_reference: bool = False) -> None:
    """Refuse what is no path, or no reference path where one is needed."""
    if not isinstance(value, str):
        findings.schema("Expected value of type String", location)
        return
    if is_intrinsic(value) and location.endswith(("/ErrorPath", "/CausePath")):
        _check_intrinsic(findings, value, location)
        return
    if not value.startswith("$"):
        findings.schema("Value must be a valid JSONPath.", location)
        return
    try:
        path = parse_path(value)
    except InvalidPath:
        findings.schema("Value must be a valid JSONPath.", location)
        return
    if is_reference and path.keys is None:
        findings.schema("Value is not a Reference Path", location)


def _check_intrinsic(findings: Findings, value: str, location: str) -> None:
    try:
        parse_intrinsic(value)
    except InvalidPath:
        findings.schema("Value must be a valid JSONPath.", location)


def check_choice_path(findings: Findings, value: object, location: str) -> None:
    """Refuse what is no path in a Choice rule."""
    if not isinstance(value, str):
        findings.schema("Expected value of type String", location)
    elif not value.startswith("$"):
        findings.schema("Value is not a Reference Path: Reference path didn't start with '$'", location)
    else:
        try:
            parse_path(value)
        except InvalidPath:
            findings.schema("Value is not a Reference Path", location)


def check_template(findings: Findings, value: object, location: str, *, may_path: bool = False) -> None:
    """Check every `.$` member of a payload template; `may_path`: `MaxItemsPath` and the like hold paths too."""
    if is_object(value):
        members: Fields = value
        for name, one in members.items():
            if name.endswith(DYNAMIC):
                _check_dynamic(findings, name, one, location)
            else:
                _warn_if_path(findings, name, one, location, may_path=may_path)
                check_template(findings, one, f"{location}/{name}", may_path=may_path)
    elif is_array(value):
        elements: list[object] = value
        for at, one in enumerate(elements):
            check_template(findings, one, f"{location}[{at}]", may_path=may_path)


def _check_dynamic(findings: Findings, name: str, value: object, location: str) -> None:
    try:
        if not isinstance(value, str):
            raise InvalidPath
        if is_intrinsic(value):
            parse_intrinsic(value)
        else:
            parse_path(value)
    except InvalidPath:
        findings.schema(
            f"The value for the field '{name}' must be a valid JSONPath or a valid intrinsic function call", location
        )


def _warn_if_path(findings: Findings, name: str, value: object, location: str, *, may_path: bool) -> None:
    """Warn of what looks like a path but stays a text (the sentences of warnings are the codes' descriptions)."""
    if not isinstance(value, str) or not (value.startswith(("$.", "$[")) or is_intrinsic(value)):
        return
    if may_path and name.endswith("Path"):
        return
    message = "No .$ on a field that appears to be a JSONPath or Intrinsic Function."
    findings.warn("NO_DOLLAR", message, f"{location}/{name}")


def check_jsonata(findings: Findings, value: object, location: str, *, offered: str = "") -> None:
    """Check every expression in a JSONata field; `offered` is what `$states` has there beside input and context."""
    if isinstance(value, str):
        _check_expression(findings, value, location, offered)
    elif is_object(value):
        members: Fields = value
        for name, one in members.items():
            check_jsonata(findings, one, f"{location}/{name}", offered=offered)
    elif is_array(value):
        elements: list[object] = value
        for at, one in enumerate(elements):
            check_jsonata(findings, one, f"{location}[{at}]", offered=offered)


def _check_expression(findings: Findings, value: str, location: str, offered: str) -> None:
    if not is_expression(value):
        if value.startswith(_EXPRESSION_START):
            findings.schema("JSONata string must start with {% and end with %}", location)
        return
    try:
        expression = compile_jsonata(expression_text(value))
    except JsonataError as error:
        findings.add("INVALID_JSONATA_EXPRESSION", error.message, location)
        return
    for message in _unsupported(expression, offered):
        findings.add("UNSUPPORTED_JSONATA_EXPRESSION", message, location)


def _unsupported(expression: Expression, offered: str) -> Iterator[str]:
    """Say what an expression reads that is not there (AWS's sentences about `$` and `$$` are unverified)."""
    for name in expression.context:
        yield f"Reference to '{name}' at the top level is not supported."
    read: Any = expression.reads.get("states")
    if is_object(read):
        for name in read:
            if name not in {"input", "context", offered}:
                yield f"Field '$states.{name}' does not exist."


def wrong_language(language: str, name: str, other: str) -> str:
    """Say that a field belongs to the other query language."""
    rule = f"field '{name}' is only supported for the '{other}' QueryLanguage"
    return f"The QueryLanguage is set to '{language}', but {rule}"


def check_variables(findings: Findings, assign: object, location: str) -> None:
    """Refuse names that variables cannot have."""
    if not is_object(assign):
        return
    for name in assign:
        bare = name.removesuffix(DYNAMIC)
        here = f"{location}/{name}"
        if bare == "states":
            findings.add("RESERVED_VARIABLE_NAME", "Cannot assign to reserved variable '$states'.", here)
        elif _VARIABLE.fullmatch(bare) is None:
            message = f"Invalid variable name '{bare}': the variable name contains invalid characters."
            findings.add("INVALID_VARIABLE_NAME", message, here)
        elif len(bare) > schema.VARIABLE_NAME_CHARACTERS_MAX:
            message = f"Invalid variable name '{bare}': the variable name exceeds the 80-character limit."
            findings.add("INVALID_VARIABLE_NAME", message, here)
