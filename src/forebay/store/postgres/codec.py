"""PostgreSQL's binary formats of the few types that we send: a whole column of a batch is one parameter.

An array goes out as one `struct.pack` or one `join`, which costs a third of what a driver's general adaptation does
(docs/decisions/0003 has the figures).
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

_INT8_OID = 20
_TEXT_OID = 25
_BYTEA_OID = 17

_INT8 = struct.Struct("!q").pack
_LENGTH = struct.Struct("!i").pack
# Dimensions, whether there are nulls, the elements' type, and of the one dimension its length and lower bound.
_HEAD = struct.Struct("!5i").pack
_EMPTY = struct.Struct("!3i").pack
_NULL = _LENGTH(-1)
_EIGHT = _LENGTH(8)

Encoder = Callable[..., bytes | None]


def _int8(value: int | None) -> bytes | None:
    return None if value is None else _INT8(value)


def _text(value: str | None) -> bytes | None:
    return None if value is None else value.encode()


def _bytea(value: bytes | None) -> bytes | None:
    return value


@lru_cache(maxsize=512)
def _packer(size: int) -> Callable[..., bytes]:
    return struct.Struct("!5i" + "iq" * size).pack


def _int8s(values: Sequence[int]) -> bytes:
    if not values:
        return _EMPTY(0, 0, _INT8_OID)
    size = len(values)
    items: list[int] = [8] * (2 * size)
    items[1::2] = values
    return _packer(size)(1, 0, _INT8_OID, size, 1, *items)


def _nullable_int8s(values: Sequence[int | None]) -> bytes:
    parts = [_NULL if value is None else _EIGHT + _INT8(value) for value in values]
    return _array(_INT8_OID, len(values), parts)


def _byteas(values: Sequence[bytes | None]) -> bytes:
    parts: list[bytes] = []
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            parts += (_LENGTH(len(value)), value)
    return _array(_BYTEA_OID, len(values), parts)


def _texts(values: Sequence[str | None]) -> bytes:
    parts: list[bytes] = []
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            data = value.encode()
            parts += (_LENGTH(len(data)), data)
    return _array(_TEXT_OID, len(values), parts)


def _array(oid: int, size: int, parts: Sequence[bytes]) -> bytes:
    if not size:
        return _EMPTY(0, 0, oid)
    return _HEAD(1, 1, oid, size, 1) + b"".join(parts)


# The types a statement names its parameters by.
ENCODERS: Mapping[str, Encoder] = {
    "int8": _int8,
    "text": _text,
    "bytea": _bytea,
    "int8[]": _int8s,
    "int8?[]": _nullable_int8s,
    "text[]": _texts,
    "bytea[]": _byteas,
}
