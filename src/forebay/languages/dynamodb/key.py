"""Keys as bytes: where the store keeps an item, and where an index lists it.

A partition begins with a checksum of the rest, so that partitions are spread evenly and a scan can be cut into equal
segments. Sort keys order as DynamoDB orders them: strings and binary by bytes, numbers by value, and of several
attributes the first one that differs decides.
"""

from collections.abc import Callable, Mapping, Sequence
from zlib import crc32

from forebay.languages.dynamodb import number
from forebay.languages.dynamodb.value import Value, binary

_SPREAD = 1 << 32


def encode_scalar(value: Value) -> bytes:
    """Return a string's, number's or binary's bytes, which order as the values of that type do."""
    ((kind, held),) = value.items()
    return encode_held(kind, held)


def encode_held(kind: str, held: str) -> bytes:
    """Return the bytes of what a value of a kind holds."""
    return ENCODERS[kind](held)


def _encode_text(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


ENCODERS: Mapping[str, Callable[[str], bytes]] = {"S": _encode_text, "N": number.encode, "B": binary}
"""What `encode_held` does, by kind."""


def with_checksum(coded: bytes) -> bytes:
    """Return the bytes of a partition key of one attribute, whose own bytes are given."""
    return crc32(coded).to_bytes(4, "big") + coded


def encode_partition(values: Sequence[Value]) -> bytes:
    """Return the bytes of a partition key of one or several attributes."""
    if len(values) == 1:
        return with_checksum(encode_scalar(values[0]))
    return with_checksum(b"".join(_delimited(encode_scalar(value)) for value in values))


def encode_sort(values: Sequence[Value], *, is_compound: bool) -> bytes:
    """Return the bytes of a sort key's values; of a compound key these may be only the first ones."""
    if not is_compound:
        return encode_scalar(values[0]) if values else b""
    return b"".join(_delimited(encode_scalar(value)) for value in values)


def encode_sort_prefix(values: Sequence[Value], *, is_compound: bool) -> bytes:
    """Return the bytes with which sort keys begin whose last given value begins with that one."""
    if not is_compound:
        return encode_scalar(values[-1])
    whole = b"".join(_delimited(encode_scalar(value)) for value in values[:-1])
    return whole + _escaped(encode_scalar(values[-1]))


def after_prefix(prefix: bytes) -> bytes | None:
    """Return the least bytes that are greater than all that begin with `prefix`; None where there are none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else None


def segment_bounds(segment: int, total: int) -> tuple[bytes | None, bytes | None]:
    """Return where a segment's partitions begin and (not included) end."""
    low = None if segment == 0 else (_SPREAD * segment // total).to_bytes(4, "big")
    high = None if segment == total - 1 else (_SPREAD * (segment + 1) // total).to_bytes(4, "big")
    return low, high


def _escaped(coded: bytes) -> bytes:
    return coded.replace(b"\0", b"\0\xff")


def _delimited(coded: bytes) -> bytes:
    return _escaped(coded) + b"\0\0"
