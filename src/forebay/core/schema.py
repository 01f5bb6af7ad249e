"""What a generated structure's annotations say, as values that codecs and the validator can walk.

msgspec reads the same annotations to decode at full speed; this is for everything that is not one JSON body: headers,
forms, XML, CBOR, explaining what was wrong. A schema is built when it is first asked for and kept.
"""

import types
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Meta

from forebay.core import marks as kinds

Location = kinds.Uri | kinds.Query | kinds.QueryMap | kinds.Header | kinds.HeaderPrefix | kinds.StatusCode


@dataclass(frozen=True, slots=True)
class Text:
    """A string; `values` are an enum's."""

    least: int | None = None
    most: int | None = None
    pattern: str | None = None
    original: str | None = None
    values: tuple[str, ...] = ()
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Number:
    """An integer or, if `whole` is false, a floating-point number."""

    least: float | None = None
    most: float | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Flag:
    """A boolean."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes."""

    least: int | None = None
    most: int | None = None
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Time:
    """A timestamp in seconds since the epoch; `format` is None where protocol and place decide."""

    format: str | None = None


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list; `item_name` is what XML calls an entry."""

    item: "Node"
    least: int | None = None
    most: int | None = None
    item_name: str = "member"


@dataclass(frozen=True, slots=True)
class MapOf:
    """A map with string keys; the names are XML's for the parts of an entry."""

    key: Text
    value: "Node"
    least: int | None = None
    most: int | None = None
    key_name: str = "key"
    value_name: str = "value"


@dataclass(frozen=True, slots=True)
class Structure:
    """Another structure, by its type, so that structures may contain themselves."""

    type: type[kinds.Shape]


Node = Text | Number | Flag | Blob | Time | ListOf | MapOf | Structure


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a structure.

    `field` is Python's name, `wire` the name in JSON bodies, `name` AWS's name, `xml` the name in XML and Query.
    """

    field: str
    wire: str
    name: str
    xml: str
    node: Node
    required: bool
    location: Location | None = None
    payload: bool = False
    event_stream: bool = False
    flattened: bool = False
    attribute: bool = False
    namespace: str | None = None
    prefix: str | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """All members of one structure; `payload` is the one that is the whole body, `body` those that are in it."""

    type: type[kinds.Shape]
    members: tuple[Member, ...]
    located: tuple[Member, ...]
    body: tuple[Member, ...]
    payload: Member | None
    by_wire: dict[str, Member]


@cache
def schema_of(type_: type[kinds.Shape]) -> Schema:
    """Read a structure's annotations."""
    hints = get_type_hints(type_, include_extras=True)
    members = tuple(_member(field, hints[field.name]) for field in msgspec.structs.fields(type_))
    located = tuple(member for member in members if member.location is not None)
    payload = next((member for member in members if member.payload), None)
    in_body = () if payload else tuple(member for member in members if member.location is None)
    by_wire = {member.wire: member for member in in_body}
    return Schema(type_, members, located, in_body, payload, by_wire)


def _member(field: msgspec.structs.FieldInfo, hint: Any) -> Member:
    marks: list[Any] = []
    node = _node(hint, marks)
    member = _first(marks, kinds.Member)
    # A list or map may bear a mark of its own, for its parts; the member's says nothing of those.
    xml = next((mark for mark in marks if isinstance(mark, kinds.Xml) and not (mark.item or mark.key)), kinds.Xml())
    # A located member whose name a body member bears is spelled `location:name` by the generator.
    wire = field.encode_name.rpartition(":")[2]
    name = member.name if member else wire
    return Member(
        field=field.name,
        wire=wire,
        name=name,
        xml=xml.name or field.encode_name,
        node=node,
        required=field.default is NODEFAULT,
        location=_first(marks, *get_args(Location)),
        payload=_first(marks, kinds.Payload) is not None,
        event_stream=_first(marks, kinds.EventStream) is not None,
        flattened=xml.flattened,
        attribute=xml.attribute,
        namespace=xml.namespace,
        prefix=xml.prefix,
    )


def _first(marks: list[Any], *kinds: type) -> Any:
    return next((mark for mark in marks if isinstance(mark, kinds)), None)


def _node(hint: Any, marks: list[Any]) -> Node:
    """Describe a type; what its annotations say is appended to `marks`, the innermost last."""
    origin = get_origin(hint)
    if origin is Annotated:
        inner, *further = get_args(hint)
        marks.extend(further)
        return _node(inner, marks)
    if origin in {Union, types.UnionType}:
        return _node(next(part for part in get_args(hint) if part is not types.NoneType), marks)
    if origin is Literal:
        return Text(values=get_args(hint))
    if origin is list:
        return _list(hint, marks)
    if origin is dict:
        return _map(hint, marks)
    return _scalar(hint, marks)


def _list(hint: Any, marks: list[Any]) -> ListOf:
    meta, xml = _first(marks, Meta), _inner_xml(marks)
    least, most = (meta.min_length, meta.max_length) if meta else (None, None)
    return ListOf(_node(get_args(hint)[0], []), least, most, xml.item or "member")


def _map(hint: Any, marks: list[Any]) -> MapOf:
    meta, xml = _first(marks, Meta), _inner_xml(marks)
    key, value = get_args(hint)
    least, most = (meta.min_length, meta.max_length) if meta else (None, None)
    key_node = _node(key, [])
    assert isinstance(key_node, Text)
    return MapOf(key_node, _node(value, []), least, most, xml.key or "key", xml.value or "value")


def _inner_xml(marks: list[Any]) -> kinds.Xml:
    inner = [mark for mark in marks if isinstance(mark, kinds.Xml) and (mark.item or mark.key)]
    return inner[-1] if inner else kinds.Xml()


def _scalar(hint: Any, marks: list[Any]) -> Node:
    meta = _first(marks, Meta) or Meta()
    sensitive = _first(marks, kinds.Sensitive) is not None
    if hint is str:
        original = _first(marks, kinds.OriginalPattern)
        text = original.text if original else model_pattern(meta.pattern)
        return Text(meta.min_length, meta.max_length, meta.pattern, text, (), sensitive)
    if hint is bytes:
        return Blob(meta.min_length, meta.max_length, sensitive)
    if hint is bool:
        return Flag()
    if hint is int:
        return Number(meta.ge, meta.le)
    if hint is float:
        time = _first(marks, kinds.TimestampFormat)
        return Time(time.format) if time else Number(meta.ge, meta.le, whole=False)
    assert issubclass(hint, kinds.Shape)
    return Structure(hint)


def model_pattern(pattern: str | None) -> str | None:
    """Give the model's expression inside the one that the generator wrote around it."""
    if pattern is None:
        return None
    return pattern.partition(":")[2].removesuffix(")\\Z")
