"""What generated structures are made of: their base, the marks on their members, operations as data.

Services know these through `forebay.core.shapes`, which adds the ways between structures and plain values.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from forebay.core.errors import ServiceError


class Shape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The base of every generated structure; `gc=False` holds because frozen values cannot form cycles."""


class Empty(Shape, frozen=True, kw_only=True):
    """The input or output of an operation that has none."""


class Encoded(Shape, frozen=True, kw_only=True):
    """An output whose JSON is written already: `body` is that of a structure of type `of`.

    For the hot path of services that keep what they answer as JSON. Callers other than the wire never see it.
    """

    of: type[Shape]
    body: bytes


class Mark(msgspec.Struct, frozen=True):
    """The base of what annotations say beside the type and its constraints."""


class Uri(Mark, frozen=True):
    """The member fills the label `name` of the operation's path."""

    name: str


class Query(Mark, frozen=True):
    """The member travels in the query string under `name`."""

    name: str


class QueryMap(Mark, frozen=True):
    """The member is a map of further query parameters."""


class Header(Mark, frozen=True):
    """The member travels in the header `name`."""

    name: str


class HeaderPrefix(Mark, frozen=True):
    """The member is a map of all headers that begin with `name`."""

    name: str


class StatusCode(Mark, frozen=True):
    """The member is the HTTP status of the answer."""


class Payload(Mark, frozen=True):
    """The member is the whole body; a blob or string is the body's bytes as they are."""

    streaming: bool = False


class EventStream(Mark, frozen=True):
    """The member is a stream of events; no codec writes or reads it yet."""


class Member(Mark, frozen=True):
    """The member's name in AWS's API where JSON bodies call it otherwise."""

    name: str


class Xml(Mark, frozen=True):
    """How XML and Query name a member (or, on an inner list or map, its parts).

    `item`, `key` and `value` name the elements inside a list or map where they are not `member`, `key`, `value`.
    """

    name: str | None = None
    flattened: bool = False
    attribute: bool = False
    item: str | None = None
    key: str | None = None
    value: str | None = None
    namespace: str | None = None
    prefix: str | None = None


class OriginalPattern(Mark, frozen=True):
    """The model's regular expression where Python needed another spelling of it; errors quote this one."""

    text: str


class Sensitive(Mark, frozen=True):
    """The value is kept out of error texts."""


class TimestampFormat(Mark, frozen=True):
    """How a timestamp is written; None leaves it to the protocol and the place."""

    format: Literal["iso8601", "unixTimestamp", "rfc822"] | None = None


# Timestamps are seconds since the epoch, within the years 1 to 9999.
_CALENDAR = Meta(ge=-62135596800, le=253402300799)
Timestamp = Annotated[float, _CALENDAR, TimestampFormat()]
TimestampIso8601 = Annotated[float, _CALENDAR, TimestampFormat("iso8601")]
TimestampUnix = Annotated[float, _CALENDAR, TimestampFormat("unixTimestamp")]
TimestampHttp = Annotated[float, _CALENDAR, TimestampFormat("rfc822")]


class Operation(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One operation of a service, as data: its shapes, errors and bindings.

    `uri` is the model's template (`/functions/{FunctionName}`, greedy labels `{Key+}`), query included where the model
    has one. `input_root` and `input_namespace` name the XML body; `result_wrapper` the element of Query answers.
    """

    name: str
    input: type[Shape] = Empty
    output: type[Shape] = Empty
    errors: tuple[type[ServiceError], ...] = ()
    method: str = "POST"
    uri: str = "/"
    status: int = 200
    result_wrapper: str | None = None
    input_root: str | None = None
    input_namespace: str | None = None
    host_prefix: str | None = None
    streaming_input: bool = False
    streaming_output: bool = False
    event_stream: bool = False
    unsigned: bool = False


class ServiceModel(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One service, as data.

    `name` is botocore's name and `protocols` are in botocore's words, the preferred one first; `enforced` says whether
    decoding enforces the model's constraints (the others answer with texts of their own). `target_prefix` precedes the
    operation in `X-Amz-Target`; `error_namespace` precedes error codes in `__type`.
    """

    name: str
    service_id: str
    signing_name: str
    endpoint_prefix: str
    api_version: str
    protocols: tuple[str, ...]
    operations: Mapping[str, Operation]
    target_prefix: str | None = None
    json_version: str | None = None
    xml_namespace: str | None = None
    error_namespace: str | None = None
    query_compatible: bool = False
    enforced: bool = True
