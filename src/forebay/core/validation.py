"""What a constraint is called when a value breaks it, and which error each service answers then.

AWS words violations of its models the same way in all services that enforce them; only the error's code differs.
The words are those of the services' own answers, such as "1 validation error detected: Value 'a' at 'tableName' failed
to satisfy constraint: Member must have length greater than or equal to 3".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from forebay.core.errors import ServiceError
from forebay.core.marks import Shape
from forebay.core.schema import Blob, ListOf, MapOf, Node, Number, Text, schema_of

_NOT_NULL = "Member must not be null"
_MATCHED_MAX = 4096


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken constraint: `value` as AWS would print it (None: kept secret), `path` in AWS's words."""

    path: str
    value: str | None
    constraint: str

    def __str__(self) -> str:
        value = "Value" if self.value is None else f"Value {self.value}"
        return f"{value} at '{self.path}' failed to satisfy constraint: {self.constraint}"


@dataclass(frozen=True, slots=True)
class Policy:
    """What one service answers: `code` when a constraint is broken, `missing` when only a member is absent.

    `missing` is an error's code and text, in which `{name}` is the member's; None words absence as a broken constraint.
    """

    code: str = "ValidationException"
    missing: tuple[str, str] | None = None


# By the name of the module in forebay.api.
POLICIES = {
    "apigateway": Policy("BadRequestException"),
    "apigatewaymanagementapi": Policy("BadRequestException"),
    "apigatewayv2": Policy("BadRequestException"),
    "cloudformation": Policy("ValidationError"),
    "cloudwatch": Policy("ValidationError", ("MissingParameter", "The parameter {name} is required.")),
    "iam": Policy("ValidationError"),
    "logs": Policy("InvalidParameterException"),
    "s3": Policy("InvalidArgument", ("InvalidRequest", "Missing required parameter for this request: {name}")),
    "sns": Policy("ValidationError"),
    "sqs": Policy("InvalidParameterValue", ("MissingParameter", "The request must contain the parameter {name}.")),
    "sts": Policy("ValidationError"),
}
_ORDINARY = Policy()
# IAM words this one pattern, which most of its names have, for people.
_IAM_NAME = re.compile(r"\[\\w\+=,\.@-\]\+\Z")


def violations_error(module: str, violations: Sequence[Violation]) -> ServiceError:
    """Make the error that a service of `forebay.api` answers to these violations, of which there is at least one."""
    policy = POLICIES.get(module, _ORDINARY)
    absent = [violation for violation in violations if violation.constraint == _NOT_NULL]
    if policy.missing and absent:
        code, text = policy.missing
        if module == "sqs":
            # What the JSON protocol calls it.
            path = absent[0].path
            # What a list or map lacks has no name of its own.
            path = path.partition(".")[0] if path.endswith(".member") else path
            text = text.format(name=_parameter_name(path))
            return ServiceError.of("MissingRequiredParameterException", text, 400, code)
        return ServiceError.of(code, text.format(name=_parameter_name(absent[0].path)))
    if module == "iam":
        plain = next((v for v in violations if _IAM_NAME.search(v.constraint)), None)
        if plain:
            return ServiceError.of(policy.code, _iam_name_text(plain.path))
    if module == "lambda_" and len(violations) == 1 and violations[0].path == "runtime":
        # Lambda checks the runtime apart, because it may also be the ARN of one.
        text = str(violations[0]).replace("'", "", 2) + " or be a valid ARN"
        return ServiceError.of("InvalidParameterValueException", text)
    errors = "error" if len(violations) == 1 else "errors"
    listed = "; ".join(map(str, violations))
    return ServiceError.of(policy.code, f"{len(violations)} validation {errors} detected: {listed}")


def absence(path: str) -> Violation:
    """Say that a required member is absent."""
    return Violation(path, "null", _NOT_NULL)


def check(node: Node, value: Any, path: str) -> list[Violation]:
    """Name each constraint of the node itself that a value of its type breaks."""
    broken = _broken(node, value)
    if not broken:
        return []
    secret = isinstance(node, Text | Blob) and node.sensitive
    shown = None if secret else f"'{show(value)}'"
    return [Violation(path, shown, constraint) for constraint in broken]


def check_item(node: Node, value: Any) -> bool:
    """Tell whether an entry of a list or map, which AWS words together with its container, keeps its constraints."""
    return not isinstance(node, Text | Number | ListOf) or not _broken(node, value)


def item_constraints(node: Node) -> str:
    """Word all constraints of a list's or map's entries."""
    return f"[{', '.join(_worded(node))}]"


def show(value: Any) -> str:
    """Print a value as AWS's errors do."""
    if isinstance(value, list):
        return f"[{', '.join(map(show, cast('list[object]', value)))}]"
    if isinstance(value, dict):
        parts = cast("dict[str, object]", value)
        return "{" + ", ".join(f"{key}={show(item)}" for key, item in parts.items()) + "}"
    if isinstance(value, bytes):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    if isinstance(value, Shape):
        return _show_shape(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _show_shape(shape: Shape) -> str:
    parts = (
        f"{member.name[:1].lower()}{member.name[1:]}={_show_member(member.node, getattr(shape, member.field))}"
        for member in schema_of(type(shape)).members
    )
    return f"{type(shape).__name__}({', '.join(parts)})"


def _show_member(node: Node, value: Any) -> str:
    is_secret = isinstance(node, Text | Blob) and node.sensitive and value is not None
    return "***Sensitive Data Redacted***" if is_secret else show(value)


def _broken(node: Node, value: Any) -> list[str]:
    match node:
        case Text():
            return _broken_text(node, value)
        case Number():
            low = node.least is not None and value < node.least
            high = node.most is not None and value > node.most
            return [words for words, bad in zip(_bounds(node, "value"), (high, low), strict=True) if bad]
        case Blob() | ListOf() | MapOf():
            low = node.least is not None and len(value) < node.least
            high = node.most is not None and len(value) > node.most
            return [words for words, bad in zip(_bounds(node, "length"), (high, low), strict=True) if bad]
        case _:
            return []


def _broken_text(node: Text, value: str) -> list[str]:
    if node.values:
        return [] if value in node.values else _worded(node)
    low = node.least is not None and len(value) < node.least
    high = node.most is not None and len(value) > node.most
    broken = [words for words, bad in zip(_bounds(node, "length"), (high, low), strict=True) if bad]
    # Some of AWS's expressions take their time on long texts; those are refused for their length alone.
    if node.pattern and not (high and len(value) > _MATCHED_MAX) and re.search(node.pattern, value) is None:
        broken.append(f"Member must satisfy regular expression pattern: {node.original}")
    return broken


def _bounds(node: Text | Number | Blob | ListOf | MapOf, what: str) -> tuple[str, str]:
    return (
        f"Member must have {what} less than or equal to {node.most}",
        f"Member must have {what} greater than or equal to {node.least}",
    )


def _worded(node: Node) -> list[str]:
    if isinstance(node, Text) and node.values:
        return [f"Member must satisfy enum value set: [{', '.join(node.values)}]"]
    if not isinstance(node, Text | Number | ListOf):
        return []
    high, low = _bounds(node, "value" if isinstance(node, Number) else "length")
    worded = [high] if node.most is not None else []
    worded += [low] if node.least is not None else []
    if isinstance(node, Text) and node.pattern:
        worded.append(f"Member must satisfy regular expression pattern: {node.original}")
    return worded


def _parameter_name(path: str) -> str:
    last = path.rpartition(".")[2]
    return last[:1].upper() + last[1:]


def _iam_name_text(path: str) -> str:
    allowed = "It must contain only alphanumeric characters and/or the following: +=,.@_-"
    return f"The specified value for {path} is invalid. {allowed}"
