"""Generated structures from plain values and back: what JSON, CBOR, forms, XML and templates have in common.

`Reader` is the slow and exact way in. It takes what msgspec's decoder refused, or what did not come as one JSON body,
and either builds the structure or says in AWS's words what was wrong with it: first what could not be read at all
(`Malformed`), else every broken constraint at once. `plain` is the way out.
"""

import math
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Literal, TypeGuard, TypeVar

from forebay.core.dialect import PLAIN, Dialect, decode_base64
from forebay.core.errors import ServiceError
from forebay.core.marks import Shape
from forebay.core.schema import Blob, Flag, ListOf, MapOf, Member, Node, Number, Structure, Text, Time, schema_of
from forebay.core.timestamps import EARLIEST, LATEST, format_iso8601, parse_timestamp, seconds_of
from forebay.core.validation import (
    Violation,
    absence,
    check,
    check_item,
    item_constraints,
    show,
    violations_error,
)

# Structures, lists and maps inside each other. DynamoDB's 32 levels of attributes need 67.
DEPTH_MAX = 100
_INTEGER = re.compile(r"[+-]?\d{1,20}\Z")
_INT64 = 2**63
_INT32 = 2**31
_OVERFLOWS = {-_INT32, _INT32 - 1, -_INT64, _INT64 - 1}

Names = Literal["wire", "api", "xml"]
T = TypeVar("T", bound=Shape)


class Malformed(Exception):
    """A value cannot be read as what the model says it is; the text says so in AWS's words."""


def shape_from_wire(type_: type[T], params: Mapping[str, Any], *, coerce: bool = False) -> T:
    """Build a structure from a dict with AWS's member names, as boto3 takes them; unknown names are ignored.

    Bytes may be given as such or in base64, timestamps as seconds or text. With `coerce`, texts also stand for numbers
    and booleans and the other way round, as in CloudFormation's templates. Raises the service's validation error.
    """
    return read_shape(type_, dict(params), names="api", coerce=coerce)


def shape_to_wire(shape: Shape) -> dict[str, Any]:
    """Give a structure as a dict of JSON values with AWS's member names, as boto3 gives it.

    Bytes become base64 and timestamps ISO 8601, as in the results of Step Functions' SDK integrations.
    """
    return plain(shape, names="api", time=lambda at, _: format_iso8601(at), blob=base64_text)


def unknown_names(type_: type[Shape], params: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the members of a dict, at any depth, that the model does not have: `Targets.0.Colour`."""
    return tuple(_unknown(Structure(type_), params, ""))


def read_shape(
    type_: type[T],
    raw: object,
    *,
    names: Names = "wire",
    coerce: bool = False,
    malformed: str = "SerializationException",
    dialect: Dialect = PLAIN,
) -> T:
    """Build a structure from plain values or raise its service's error; `malformed` is the code for the unreadable."""
    module = type_.__module__.rpartition(".")[2]
    reader = Reader(names=names, coerce=coerce, dialect=dialect)
    try:
        shape = reader.structure(type_, raw, "")
    except Malformed as error:
        raise ServiceError.of(malformed, str(error)) from None
    if reader.violations:
        raise violations_error(module, reader.violations[: dialect.violations_max])
    assert isinstance(shape, type_)
    return shape


@dataclass
class Reader:
    """Reads plain values by a schema; `violations` gathers what AWS words as broken constraints.

    `names` says by which of a member's names structures are given, `coerce` that every scalar may be a text, `dialect`
    in whose words a value is refused.
    """

    names: Names = "wire"
    coerce: bool = False
    dialect: Dialect = PLAIN
    violations: list[Violation] = field(default_factory=list[Violation])
    depth: int = 0

    def structure(self, type_: type[Shape], raw: object, path: str) -> Shape | None:
        """Build a structure; None when violations were found in it, which are then in the list."""
        if not is_object(raw):
            raise self._malformed(raw, Structure(type_))
        found = len(self.violations)
        members = {
            member.field: value
            for member in schema_of(type_).members
            if (value := self._member(member, raw, path)) is not None
        }
        return type_(**members) if len(self.violations) == found else None

    def value(self, node: Node, raw: object, path: str) -> Any:
        """Read one value that is present and check its constraints."""
        match node:
            case Structure():
                return self._nested(self.structure, node.type, raw, path)
            case ListOf():
                value = self._nested(self._list, node, raw, path)
            case MapOf():
                value = self._nested(self._map, node, raw, path)
            case _:
                value = self.scalar(node, raw)
        self.violations += check(node, value, path)
        return value

    def scalar(self, node: Node, raw: object) -> Any:
        """Read a value without parts, leaving its constraints unchecked."""
        match node:
            case Text():
                return self._text(node, raw)
            case Number():
                return self._integer(node, raw) if node.whole else self._float(node, raw)
            case Flag():
                return self._flag(node, raw)
            case Blob():
                return self._blob(node, raw)
            case Time():
                return _time(raw)
            case _:
                raise AssertionError(node)

    def _member(self, member: Member, raw: dict[str, object], path: str) -> Any:
        given = raw.get(_name(member, self.names))
        where = f"{path}.{_lower_first(member.name)}" if path else _lower_first(member.name)
        if given is not None:
            broken = self.dialect.constraints(member, given, where)
            if broken is None:
                return self.value(member.node, given, where)
            self.violations += broken
            return given
        if member.required:
            self.violations.append(absence(where))
        return None

    def _nested(self, read: Callable[..., Any], node: Any, raw: object, path: str) -> Any:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise Malformed("The request is nested too deeply.")
        value = read(node, raw, path)
        self.depth -= 1
        return value

    def _list(self, node: ListOf, raw: object, path: str) -> list[Any]:
        if not is_array(raw):
            raise self._malformed(raw, node)
        items = [self._item(node.item, item, f"{path}.{place}.member") for place, item in enumerate(raw, 1)]
        if not all(item is None or check_item(node.item, item) for item in items):
            words = f"Member must satisfy constraint: {item_constraints(node.item)}"
            self.violations.append(Violation(path, f"'{show(items)}'", words))
        return items

    def _map(self, node: MapOf, raw: object, path: str) -> dict[str, Any]:
        if not is_object(raw):
            raise self._malformed(raw, node)
        items = {
            self._text(node.key, key): self._item(node.value, item, f"{path}.{key}.member") for key, item in raw.items()
        }
        broken = self.dialect.broken_keys(path, items)
        if broken is None and not all(check_item(node.key, key) for key in items):
            broken = item_constraints(node.key)
        if broken is not None:
            words = f"Map keys must satisfy constraint: {broken}"
            self.violations.append(Violation(path, f"'{show(items)}'", words))
        if not all(item is None or check_item(node.value, item) for item in items.values()):
            words = f"Map value must satisfy constraint: {item_constraints(node.value)}"
            self.violations.append(Violation(path, f"'{show(items)}'", words))
        return items

    def _item(self, node: Node, raw: object, path: str) -> Any:
        if raw is None:
            self.violations.append(absence(path))
            return None
        # Texts, numbers and lists are checked by their container, which AWS names instead of them.
        match node:
            case Text() | Number():
                return self.scalar(node, raw)
            case ListOf():
                return self._nested(self._list, node, raw, path)
            case _:
                return self.value(node, raw, path)

    def _text(self, node: Node, raw: object) -> str:
        if isinstance(raw, str):
            return raw
        if self.coerce and isinstance(raw, bool | int | float):
            return show(raw)
        raise self._malformed(raw, node)

    def _integer(self, node: Number, raw: object) -> int:
        value = self._whole(node, raw)
        # The bounds of the type itself are not constraints: what is outside cannot be read.
        low = node.least is not None and node.least in _OVERFLOWS and value < node.least
        high = node.most is not None and node.most in _OVERFLOWS and value > node.most
        if low or high or not -_INT64 <= value < _INT64:
            raise Malformed("A number is out of range")
        return value

    def _whole(self, node: Number, raw: object) -> int:
        if isinstance(raw, bool):
            raise self._malformed(raw, node)
        if isinstance(raw, int):
            return raw
        if isinstance(raw, float) and (raw.is_integer() or (self.dialect.truncates and math.isfinite(raw))):
            return int(raw)
        if self.coerce and isinstance(raw, str) and _INTEGER.match(raw):
            return int(raw)
        raise self._malformed(raw, node)

    def _float(self, node: Number, raw: object) -> float:
        if isinstance(raw, str) and (self.coerce or raw in {"NaN", "Infinity", "-Infinity"}):
            try:
                return float(raw)
            except ValueError:
                raise self._malformed(raw, node) from None
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            raise self._malformed(raw, node)
        try:
            return float(raw)
        except OverflowError:
            raise Malformed("A number is out of range") from None

    def _flag(self, node: Flag, raw: object) -> bool:
        if isinstance(raw, bool):
            return raw
        if self.coerce and isinstance(raw, str) and raw.lower() in {"true", "false"}:
            return raw.lower() == "true"
        raise self._malformed(raw, node)

    def _blob(self, node: Blob, raw: object) -> bytes:
        if isinstance(raw, bytes):
            return raw
        if not isinstance(raw, str):
            raise self._malformed(raw, node)
        found = decode_base64(raw)
        if found is None:
            raise Malformed(self.dialect.no_base64(raw))
        return found

    def _malformed(self, raw: object, wanted: Node) -> Malformed:
        return Malformed(self.dialect.unexpected(raw, wanted))


def plain(
    shape: Shape,
    *,
    names: Names,
    time: Callable[[float, str | None], Any],
    blob: Callable[[bytes], Any] = lambda blob: blob,
    members: tuple[Member, ...] | None = None,
) -> dict[str, Any]:
    """Give a structure as a dict of plain values; `time` and `blob` say what becomes of timestamps and bytes.

    `members` limits the outermost structure to some of its members.
    """

    def value(node: Node, given: Any) -> Any:
        match node:
            case Structure():
                return structure(given, schema_of(node.type).members)
            case ListOf():
                return [value(node.item, item) for item in given]
            case MapOf():
                return {key: value(node.value, item) for key, item in given.items()}
            case Time():
                return time(given, node.format)
            case Blob():
                return blob(given)
            case _:
                return given

    def structure(given: Shape, wanted: tuple[Member, ...]) -> dict[str, Any]:
        return {
            _name(member, names): value(member.node, part)
            for member in wanted
            if (part := getattr(given, member.field)) is not None
        }

    return structure(shape, schema_of(type(shape)).members if members is None else members)


def base64_text(blob: bytes) -> str:
    """Write bytes as JSON and XML carry them."""
    return b64encode(blob).decode("ascii")


@cache
def is_recursive(type_: type[Shape]) -> bool:
    """Tell whether structures of this type can hold themselves, so that a value has no greatest depth."""
    return _reaches(type_, ())


def _reaches(type_: type[Shape], above: tuple[type[Shape], ...]) -> bool:
    if type_ in above:
        return True
    return any(_reaches(inner, (*above, type_)) for inner in inner_types(type_))


@cache
def inner_types(type_: type[Shape]) -> tuple[type[Shape], ...]:
    """Name the structures that are members of this one, or in its lists and maps."""
    found = [_innermost(member.node) for member in schema_of(type_).members]
    return tuple(dict.fromkeys(node.type for node in found if isinstance(node, Structure)))


def _innermost(node: Node) -> Node:
    while isinstance(node, ListOf | MapOf):
        node = node.item if isinstance(node, ListOf) else node.value
    return node


def _name(member: Member, names: Names) -> str:
    return member.wire if names == "wire" else member.name if names == "api" else member.xml


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]


def _time(raw: object) -> float:
    at: float | None = None
    if isinstance(raw, datetime):
        at = seconds_of(raw if raw.tzinfo else raw.replace(tzinfo=UTC))
    elif isinstance(raw, date):
        at = seconds_of(datetime(raw.year, raw.month, raw.day, tzinfo=UTC))
    elif isinstance(raw, str):
        at = parse_timestamp(raw)
    elif isinstance(raw, int | float) and not isinstance(raw, bool) and math.isfinite(raw):
        at = float(raw) if EARLIEST <= raw <= LATEST else None
    if at is None:
        raise Malformed(f"Invalid timestamp: {show(raw)[:80]}")
    return at


def is_object(raw: object) -> TypeGuard[dict[str, object]]:
    """Tell whether a value is a dict; what its keys are is seen when they are read."""
    return isinstance(raw, dict)


def is_array(raw: object) -> TypeGuard[list[object]]:
    """Tell whether a value is a list."""
    return isinstance(raw, list)


def _unknown(node: Node, raw: object, path: str) -> list[str]:
    names: list[str] = []
    inner: list[list[str]] = []
    if isinstance(node, Structure) and is_object(raw):
        members = {member.name: member.node for member in schema_of(node.type).members}
        names = [path + key for key in raw if key not in members]
        inner = [_unknown(members[key], part, f"{path}{key}.") for key, part in raw.items() if key in members]
    elif isinstance(node, ListOf) and is_array(raw):
        inner = [_unknown(node.item, part, f"{path}{place}.") for place, part in enumerate(raw)]
    elif isinstance(node, MapOf) and is_object(raw):
        inner = [_unknown(node.value, part, f"{path}{key}.") for key, part in raw.items()]
    return names + [name for part in inner for name in part]
