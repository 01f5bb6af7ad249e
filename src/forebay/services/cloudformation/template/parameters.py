"""Parameters: their declarations, and the values that a caller gives, checked against them.

A value of type `AWS::SSM::Parameter::Value<...>` is the name of an SSM parameter; `ssm_names` says which must be looked
up, and `bind` takes what was found.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from forebay.services.cloudformation.template.errors import invalid

_SSM_VALUE = re.compile(r"AWS::SSM::Parameter::Value<(.+)>\Z")
_SIMPLE_TYPES = {"String", "Number", "CommaDelimitedList", "List<Number>", "List<String>", "AWS::SSM::Parameter::Name"}
_AWS_TYPE = re.compile(r"(List<)?AWS::[A-Za-z0-9]+::[A-Za-z0-9]+(::[A-Za-z0-9]+)*>?\Z")
MASK = "****"


class Declaration(msgspec.Struct, frozen=True):
    """One parameter as the template declares it."""

    key: str
    type: str
    default: str | None = None
    no_echo: bool = False
    description: str | None = None
    constraint: str | None = None
    allowed_values: tuple[str, ...] | None = None
    allowed_pattern: str | None = None
    length_min: int | None = None
    length_max: int | None = None
    value_min: float | None = None
    value_max: float | None = None

    @property
    def ssm_type(self) -> str | None:
        """The type of the SSM parameter that the value names, if it names one."""
        match = _SSM_VALUE.match(self.type)
        return match.group(1) if match else None

    @property
    def is_list(self) -> bool:
        """Whether the value stands for a list."""
        inner = self.ssm_type or self.type
        return inner == "CommaDelimitedList" or inner.startswith("List<")


class Given(msgspec.Struct, frozen=True):
    """What a caller gives for one parameter."""

    key: str
    value: str | None = None
    use_previous: bool = False


class Bound(msgspec.Struct, frozen=True):
    """A parameter with its value; `resolved` is what an SSM parameter of that name held."""

    key: str
    value: str
    type: str = "String"
    no_echo: bool = False
    resolved: str | None = None

    @property
    def is_list(self) -> bool:
        """Whether the value stands for a list."""
        return Declaration(self.key, self.type).is_list

    @property
    def in_template(self) -> str | list[str]:
        """What `Ref` gives for it."""
        text = self.value if self.resolved is None else self.resolved
        if not self.is_list:
            return text
        return [item.strip() for item in text.split(",")] if text else []


def read_declarations(section: Mapping[str, Mapping[str, Any]]) -> dict[str, Declaration]:
    """Type the Parameters section.

    Raises:
        ServiceError: a type is unknown or a constraint is not what it must be.
    """
    return {key: _declaration(key, raw) for key, raw in section.items()}


def _declaration(key: str, raw: Mapping[str, Any]) -> Declaration:
    kind = str(raw["Type"])
    inner = _SSM_VALUE.match(kind)
    checked = inner.group(1) if inner else kind
    if checked not in _SIMPLE_TYPES and not _AWS_TYPE.match(checked):
        raise invalid(f"Template format error: Unrecognized parameter type: {kind}")
    default = raw.get("Default")
    if isinstance(default, (dict, list)):
        raise invalid("Template format error: Every Default member must be a string.")
    allowed = cast("list[object] | None", raw.get("AllowedValues"))
    if allowed is not None and not isinstance(allowed, list):  # pyright: ignore[reportUnnecessaryIsInstance]  templates
        raise invalid("Template format error: Every AllowedValues member must be a list.")
    return Declaration(
        key=key,
        type=kind,
        default=None if default is None else scalar_text(default),
        no_echo=scalar_text(raw.get("NoEcho", False)).lower() == "true",
        description=None if raw.get("Description") is None else str(raw["Description"]),
        constraint=None if raw.get("ConstraintDescription") is None else str(raw["ConstraintDescription"]),
        allowed_values=None if allowed is None else tuple(scalar_text(item) for item in allowed),
        allowed_pattern=None if raw.get("AllowedPattern") is None else str(raw["AllowedPattern"]),
        length_min=_number(key, raw, "MinLength", int),
        length_max=_number(key, raw, "MaxLength", int),
        value_min=_number(key, raw, "MinValue", float),
        value_max=_number(key, raw, "MaxValue", float),
    )


def _number(key: str, raw: Mapping[str, Any], member: str, number: type[Any]) -> Any:
    value = raw.get(member)
    if value is None:
        return None
    try:
        return number(str(value))
    except ValueError:
        raise invalid(f"Template format error: {member} of parameter {key} must be a number.") from None


def scalar_text(value: object) -> str:
    """Return a scalar as CloudFormation keeps it: text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def bind(
    declarations: Mapping[str, Declaration], given: Sequence[Given], previous: Mapping[str, Bound] | None = None
) -> dict[str, Bound]:
    """Return each declared parameter's value: the given one, the previous one where asked for, else the default.

    Raises:
        ServiceError: a value is missing, unknown or breaks a constraint, in CloudFormation's words.
    """
    by_key = {item.key: item for item in given}
    unknown = [key for key in by_key if key not in declarations]
    if unknown:
        raise invalid(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    bound: dict[str, Bound] = {}
    missing: list[str] = []
    for key, declaration in declarations.items():
        value = _value(declaration, by_key.get(key), previous)
        if value is None:
            missing.append(key)
        else:
            bound[key] = Bound(key, value, declaration.type, declaration.no_echo)
    if missing:
        raise invalid(f"Parameters: [{', '.join(missing)}] must have values")
    for key, parameter in bound.items():
        check_value(declarations[key], parameter.value)
    return bound


def _value(declaration: Declaration, given: Given | None, previous: Mapping[str, Bound] | None) -> str | None:
    if given is not None and given.use_previous:
        if given.value:
            raise invalid(
                f"Invalid input for parameter key {given.key}. Cannot specify usePreviousValue as true and also "
                "specify a value"
            )
        if previous is None or given.key not in previous:
            raise invalid(
                f"Invalid input for parameter key {given.key}. Cannot specify usePreviousValue as true for a parameter "
                "key not in the previous template"
            )
        return previous[given.key].value
    if given is not None and given.value is not None:
        return given.value
    return declaration.default


def ssm_names(declarations: Mapping[str, Declaration], bound: Mapping[str, Bound]) -> dict[str, str]:
    """Return the SSM parameters to be looked up, by the key of the template parameter that names them."""
    return {key: parameter.value for key, parameter in bound.items() if declarations[key].ssm_type is not None}


def check_value(declaration: Declaration, value: str) -> None:
    """Check one value against its declaration's constraints.

    Raises:
        ServiceError: the value breaks one.
    """
    items = [item.strip() for item in value.split(",")] if declaration.type in _LISTS else [value]
    problem = next((found for item in items if (found := _problem(declaration, item))), None)
    if problem is None:
        return
    if declaration.constraint:
        raise invalid(f"Parameter {declaration.key} failed to satisfy constraint: {declaration.constraint}")
    raise invalid(f"Parameter '{declaration.key}' {problem}")


_LISTS = {"CommaDelimitedList", "List<Number>", "List<String>"}


def _problem(declaration: Declaration, value: str) -> str | None:
    if declaration.type in {"Number", "List<Number>"} and (problem := _number_problem(declaration, value)):
        return problem
    if declaration.allowed_values is not None and value not in declaration.allowed_values:
        return "must be one of AllowedValues"
    if declaration.length_min is not None and len(value) < declaration.length_min:
        return f"must contain at least {declaration.length_min} characters"
    if declaration.length_max is not None and len(value) > declaration.length_max:
        return f"must contain at most {declaration.length_max} characters"
    if declaration.allowed_pattern is not None and not _matches(declaration.key, declaration.allowed_pattern, value):
        return f"must match pattern {declaration.allowed_pattern}"
    return None


def _number_problem(declaration: Declaration, value: str) -> str | None:
    try:
        number = float(value)
    except ValueError:
        return "must be a number"
    if declaration.value_min is not None and number < declaration.value_min:
        return f"must be a number not less than {declaration.value_min:g}"
    if declaration.value_max is not None and number > declaration.value_max:
        return f"must be a number not greater than {declaration.value_max:g}"
    return None


def _matches(key: str, pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        raise invalid(
            f"Template format error: AllowedPattern of parameter {key} is not a valid regular expression."
        ) from None
