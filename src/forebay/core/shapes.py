"""What the generated modules of `forebay.api` are made of: the base of all structures, marks on members, operations.

A generated structure is a frozen msgspec Struct whose fields bear AWS's names in snake_case and whose annotations
say everything else that the wire needs: constraints (`Meta`), where a member travels (`Uri`, `Header`, ...), how XML
names it (`Xml`), how a timestamp is written. Annotations are strings until a codec first asks for a type, so importing
a module with hundreds of structures costs milliseconds.
"""

from msgspec import Meta, field

from forebay.core.convert import shape_from_wire, shape_to_wire, unknown_names
from forebay.core.marks import (
    Empty,
    Encoded,
    EventStream,
    Header,
    HeaderPrefix,
    Member,
    Operation,
    OriginalPattern,
    Payload,
    Query,
    QueryMap,
    Sensitive,
    ServiceModel,
    Shape,
    StatusCode,
    Timestamp,
    TimestampFormat,
    TimestampHttp,
    TimestampIso8601,
    TimestampUnix,
    Uri,
    Xml,
)

__all__ = [
    "Empty",
    "Encoded",
    "EventStream",
    "Header",
    "HeaderPrefix",
    "Member",
    "Meta",
    "Operation",
    "OriginalPattern",
    "Payload",
    "Query",
    "QueryMap",
    "Sensitive",
    "ServiceModel",
    "Shape",
    "StatusCode",
    "Timestamp",
    "TimestampFormat",
    "TimestampHttp",
    "TimestampIso8601",
    "TimestampUnix",
    "Uri",
    "Xml",
    "field",
    "shape_from_wire",
    "shape_to_wire",
    "unknown_names",
]
