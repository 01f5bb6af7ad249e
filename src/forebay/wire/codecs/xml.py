"""XML for the two protocols that speak it: a bounded parser, and structures to text by their schema."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from forebay.core.convert import DEPTH_MAX, base64_text
from forebay.core.errors import ServiceError
from forebay.core.schema import Blob, ListOf, MapOf, Member, Node, Structure, Time, schema_of
from forebay.core.shapes import Shape
from forebay.core.timestamps import format_http_date, format_iso8601
from forebay.core.validation import show

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
# A carriage return would come out of a parser as a line feed; what XML cannot hold at all is replaced.
_SPECIAL = re.compile('[&<>"\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]')
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#xD;"}


@dataclass(slots=True)
class Element:
    """An element as read: names without their prefixes, text without that of children."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict[str, str])
    children: list["Element"] = field(default_factory=list["Element"])
    text: str = ""


def parse_xml(body: bytes) -> Element:
    """Read a document, or raise MalformedXML. Document types, and with them entities, are refused."""
    root = Element("")
    open_elements = [root]

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(open_elements) > DEPTH_MAX:
            raise ValueError("too deep")
        element = Element(_local(name), {_local(key): value for key, value in attributes.items()})
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(_name: str) -> None:
        open_elements.pop()

    def text(data: str) -> None:
        open_elements[-1].text += data

    def refuse(*_rest: object) -> None:
        raise ValueError("document type")

    parser = expat.ParserCreate()
    # One call for each run of text, however many references and lines it holds.
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(body, True)  # noqa: FBT003  expat takes it by place
    except (expat.ExpatError, ValueError, LookupError):
        raise malformed_xml() from None
    return root.children[0]


def malformed_xml() -> ServiceError:
    """Make S3's error for a body that is no XML or not the one it wants."""
    text = "The XML you provided was not well-formed or did not validate against our published schema"
    return ServiceError.of("MalformedXML", text)


def raw_value(node: Node, element: Element) -> Any:
    """Give an element as the plain value that a Reader of XML names takes for `node`."""
    match node:
        case Structure():
            return raw_structure(node.type, element)
        case ListOf():
            return [raw_value(node.item, child) for child in element.children if child.name == node.item_name]
        case MapOf():
            return _raw_entries(node, element.children)
        case _:
            return element.text


def raw_structure(type_: type[Shape], element: Element) -> dict[str, Any]:
    """Give an element's children as a dict by XML names; what the schema does not know is left out."""
    children: dict[str, list[Element]] = {}
    for child in element.children:
        children.setdefault(child.name, []).append(child)
    raw: dict[str, Any] = {}
    for member in schema_of(type_).members:
        if member.attribute:
            value = element.attributes.get(_local(member.xml))
        else:
            value = _raw_member(member, children.get(member.xml))
        if value is not None:
            raw[member.xml] = value
    return raw


def element(name: str, content: str, attributes: str = "") -> str:
    """Write an element around content that is XML already."""
    return f"<{name}{attributes}>{content}</{name}>"


def escape(text: str) -> str:
    """Write text so that a parser reads it back, as far as XML 1.0 can hold it."""
    if _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(lambda found: _ESCAPES.get(found[0], "\ufffd"), text)


def members_xml(shape: Shape, members: Iterable[Member]) -> str:
    """Write those members of a structure that are not attributes, in their order."""
    return "".join(
        member_xml(member, value)
        for member in members
        if not member.attribute and (value := getattr(shape, member.field)) is not None
    )


def member_xml(member: Member, value: Any) -> str:
    """Write one member under its name, a flattened list or map as one element for each entry."""
    node = member.node
    if member.flattened and isinstance(node, ListOf):
        return "".join(_node_xml(member.xml, node.item, item) for item in value)
    if member.flattened and isinstance(node, MapOf):
        return "".join(_entry_xml(member.xml, node, *entry) for entry in value.items())
    namespace = ""
    if member.namespace:
        prefix = f":{member.prefix}" if member.prefix else ""
        namespace = f' xmlns{prefix}="{escape(member.namespace)}"'
    return _node_xml(member.xml, node, value, namespace)


def scalar_text(node: Node, value: Any, default_format: str = "iso8601") -> str:
    """Write a value without parts as XML, headers and query strings do."""
    match node:
        case Blob():
            return base64_text(value)
        case Time():
            return time_text(value, node.format or default_format)
        case _:
            if isinstance(value, float):
                return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(value), str(value))
            return show(value)


def time_text(at: float, form: str) -> str:
    """Write a timestamp in one of the model's formats."""
    if form == "rfc822":
        return format_http_date(at)
    if form == "unixTimestamp":
        return str(int(at)) if at == int(at) else str(at)
    return format_iso8601(at)


def _raw_member(member: Member, found: list[Element] | None) -> Any:
    if found is None:
        return None
    node = member.node
    if member.flattened and isinstance(node, ListOf):
        return [raw_value(node.item, child) for child in found]
    if member.flattened and isinstance(node, MapOf):
        return _raw_entries(node, found)
    return raw_value(node, found[-1])


def _raw_entries(node: MapOf, entries: list[Element]) -> dict[str, Any]:
    raw: dict[str, Any] = {}
    for entry in entries:
        parts = {child.name: child for child in entry.children}
        if node.key_name not in parts or node.value_name not in parts:
            raise malformed_xml()
        raw[parts[node.key_name].text] = raw_value(node.value, parts[node.value_name])
    return raw


def _node_xml(name: str, node: Node, value: Any, attributes: str = "") -> str:
    match node:
        case Structure():
            members = schema_of(node.type).members
            own = [member for member in members if member.attribute and getattr(value, member.field) is not None]
            written = "".join(f' {member.xml}="{escape(getattr(value, member.field))}"' for member in own)
            return element(name, members_xml(value, members), attributes + written)
        case ListOf():
            return element(name, "".join(_node_xml(node.item_name, node.item, item) for item in value), attributes)
        case MapOf():
            return element(name, "".join(_entry_xml("entry", node, *entry) for entry in value.items()), attributes)
        case _:
            return element(name, escape(scalar_text(node, value)), attributes)


def _entry_xml(name: str, node: MapOf, key: str, value: Any) -> str:
    return element(name, element(node.key_name, escape(key)) + _node_xml(node.value_name, node.value, value))


def _local(name: str) -> str:
    return name.rpartition(":")[2]
