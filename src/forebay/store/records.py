"""Records: the control plane (queues, rules, functions, stacks), one typed value under each key.

A `Kind` ties a name in the store to the frozen struct that it holds. Values are kept as JSON; a field that is
added later needs a default, so that older records still read.
"""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from forebay.core.decoding import new_json_decoder

T = TypeVar("T")

# Sorts before every character that a name can contain, so that `a` + children come before `a-b`.
_SEPARATOR = "\x1f"

_CODE_POINT_MAX = 0x10FFFF
# No text contains a surrogate by itself; the next code point after the last before them is the first behind them.
_SURROGATES = range(0xD800, 0xE000)


class Kind(Generic[T]):
    """A named sort of record, such as `sqs.queue`, and the struct that holds one."""

    __slots__ = ("_decoder", "name", "value_type")

    def __init__(self, name: str, value_type: type[T]) -> None:
        self.name = name
        self.value_type = value_type
        self._decoder: msgspec.json.Decoder[T] | None = None

    def encode(self, value: T) -> bytes:
        """Return the bytes that the store keeps."""
        return msgspec.json.encode(value)

    def decode(self, data: bytes) -> T:
        """Return the value that `encode` made the bytes of."""
        if self._decoder is None:
            self._decoder = new_json_decoder(self.value_type)
        return self._decoder.decode(data)


def record_key(*parts: str) -> str:
    """Join parts (account, region, name ...) into one key; the parts before the last make a prefix to list by."""
    return _SEPARATOR.join(parts)


def key_prefix(*parts: str) -> str:
    """Return the prefix that lists every key made of `parts` and something more."""
    return _SEPARATOR.join(parts) + _SEPARATOR


def key_parts(key: str) -> tuple[str, ...]:
    """Take a key apart again; the inverse of `record_key`."""
    return tuple(key.split(_SEPARATOR))


def prefix_end(prefix: str) -> str | None:
    """Return the first text behind all that begin with `prefix`, or None when there is none."""
    stem = prefix.rstrip(chr(_CODE_POINT_MAX))
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    if following in _SURROGATES:
        following = _SURROGATES.stop
    return stem[:-1] + chr(following)


class RecordReader(Protocol):
    """Reading records at one moment of the store."""

    def find(self, kind: Kind[T], key: str) -> T | None:
        """Return the record under `key`, or None."""
        ...

    def list(
        self, kind: Kind[T], prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Sequence[tuple[str, T]]:
        """Return keys and values in key order (by code point), those greater than `after`, at most `limit`."""
        ...


class Records(RecordReader, Protocol):
    """Reading and changing records inside a transaction."""

    def put(self, kind: Kind[T], key: str, value: T) -> None:
        """Create the record or replace it."""
        ...

    def delete(self, kind: Kind[T], key: str) -> bool:
        """Delete the record; return whether it was there."""
        ...

    def next_number(self, sequence: str) -> int:
        """Return 1, 2, 3 ... of a named sequence: never the same twice, even after a crash (gaps may occur)."""
        ...
