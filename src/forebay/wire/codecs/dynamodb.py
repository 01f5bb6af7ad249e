"""How DynamoDB's front end words what it cannot read, and which constraints it has on names of tables.

Its reader is Java's, and its answers name Java's classes: seen in the field (JuliaCloud/AWS.jl 673, PynamoDB 945,
aws-sdk-js-v3 7102).
"""

import zlib
from collections.abc import Iterable, Sequence

from forebay.core.convert import is_object
from forebay.core.dialect import Dialect, scalar_name, token_name
from forebay.core.errors import ServiceError
from forebay.core.http import Request
from forebay.core.schema import Blob, ListOf, MapOf, Member, Node, Number, Structure, Time
from forebay.core.validation import Violation
from forebay.languages.dynamodb.errors import invalid
from forebay.languages.dynamodb.table_name import LENGTH_TEXT, NAMES_CONSTRAINT, broken_constraints, has_length

_BODY_BYTES_MAX = 16 * 1024 * 1024
# How zlib is told the two forms that HTTP calls so.
_WINDOW_BITS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_PACKAGE = "com.amazonaws.dynamodb.v20120810"
_INT32_MAX = 2**31 - 1
_VIOLATIONS_MAX = 10

# Operations on tables, which look at a table's name before anything else.
_ON_TABLES = frozenset(
    {
        "CreateTableInput",
        "DeleteTableInput",
        "DescribeTableInput",
        "DescribeTimeToLiveInput",
        "UpdateTableInput",
        "UpdateTimeToLiveInput",
    }
)
# Operations on tags, which look at the resource's ARN first.
_ON_TAGS = frozenset({"ListTagsOfResourceInput", "TagResourceInput", "UntagResourceInput"})


def read_body(request: Request) -> bytes:
    """Return a request's JSON, expanded where it came compressed.

    Raises:
        ServiceError: it has more than 16 MB ("Quotas", the greatest request; the words are not verified), or does not
            expand.
    """
    encoding = request.headers.get("content-encoding")
    body = request.body if encoding is None else _expanded(request.body, encoding.strip().lower())
    if len(body) > _BODY_BYTES_MAX:
        raise ServiceError.of("RequestEntityTooLargeException", "Request size exceeded the maximum allowed size", 413)
    return body


def _expanded(body: bytes, encoding: str) -> bytes:
    window_bits = _WINDOW_BITS.get(encoding)
    if window_bits is None:
        return body
    try:
        return zlib.decompressobj(window_bits).decompress(body, _BODY_BYTES_MAX + 1)
    except zlib.error:
        raise ServiceError.of("SerializationException", "") from None


def unexpected(raw: object, wanted: Node) -> str:
    """Word a value of the wrong kind."""
    if isinstance(raw, dict):
        return "Start of structure or map found where not expected"
    if isinstance(raw, list):
        return f"Unrecognized collection type {_java_type(wanted)}"
    match wanted:
        case Structure():
            return "Unexpected value type in payload"
        case ListOf() | MapOf():
            return "Unexpected field type"
        case Blob():
            return "only base-64-encoded strings are convertible to bytes"
        case _:
            token = "DECIMAL_VALUE" if isinstance(raw, float) else token_name(raw)
            return f"{token} cannot be converted to {_scalar_name(wanted)}"


def no_base64(text: str) -> str:
    """Word a text that is no base64."""
    if len(text) % 4:
        return f"Base64 encoded length is expected a multiple of 4 bytes but found: {len(text)}"
    return "Invalid last non-pad Base64 character dectected"


def check_table_first(type_name: str, raw: object) -> None:
    """Refuse what names no table, or by a name too short or long, in the words of operations on tables and tags."""
    if not is_object(raw):
        return
    arn = raw.get("ResourceArn")
    if type_name in _ON_TAGS and (arn is None or arn == ""):
        raise invalid("Invalid TableArn")
    if type_name not in _ON_TABLES:
        return
    name = raw.get("TableName")
    if name is None:
        raise invalid("The parameter 'TableName' is required but was not present in the request")
    if isinstance(name, str) and not has_length(name):
        raise invalid(LENGTH_TEXT)


def _constraints(member: Member, value: object, path: str) -> Sequence[Violation] | None:
    if member.name != "TableName" or not isinstance(value, str):
        return None
    return [Violation(path, f"'{value}'", words) for words in broken_constraints(value)]


def _broken_keys(path: str, keys: Iterable[str]) -> str | None:
    return NAMES_CONSTRAINT if path == "requestItems" and any(map(broken_constraints, keys)) else None


def _java_type(wanted: Node) -> str:
    name = _class_name(wanted)
    return name if isinstance(wanted, MapOf | ListOf) else f"class {name}"


def _class_name(wanted: Node) -> str:
    match wanted:
        case Structure():
            return f"{_PACKAGE}.{wanted.type.__name__}"
        case MapOf():
            return f"java.util.Map<java.lang.String, {_class_name(wanted.value)}>"
        case ListOf():
            return f"java.util.List<{_class_name(wanted.item)}>"
        case Blob():
            return "java.nio.ByteBuffer"
        case Time():
            return "java.util.Date"
        case _:
            return f"java.lang.{_scalar_name(wanted)}"


def _scalar_name(wanted: Node) -> str:
    if isinstance(wanted, Number) and wanted.whole and (wanted.most or 0) > _INT32_MAX:
        return "Long"
    return scalar_name(wanted)


DIALECT = Dialect(unexpected, no_base64, _constraints, _broken_keys, truncates=True, violations_max=_VIOLATIONS_MAX)
