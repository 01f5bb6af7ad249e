"""Keys that are too long for an index of PostgreSQL's, cut so that their order can still be had.

A key is a row of byte strings. The first one that is too long is cut and gets a zero byte, and those behind it are left
out: so a cut key stands behind all shorter keys that it begins with and before all others that are greater, where the
whole key stands. Only keys that are cut to the same stand in no order among each other; these have a digest as `tail`,
which makes them unique, and whoever reads puts them in order.
"""

import hashlib
from collections.abc import Sequence

import msgspec

# Together with numbers, digest and headers less than the 2704 bytes that an index's row may have. Items' keys in an
# entry that is not cut are never long enough to be cut in their table.
TABLE_BYTES_MAX = (1400, 1100)
INDEX_BYTES_MAX = (600, 600, 700, 600)

_encode = msgspec.msgpack.encode
_DECODER = msgspec.msgpack.Decoder(tuple[bytes, ...])


def cut(parts: Sequence[bytes], bytes_max: Sequence[int]) -> tuple[tuple[bytes, ...], bytes]:
    """Return a key as it stands in an index, and its tail; a key that is short enough has an empty one."""
    for place, (part, most) in enumerate(zip(parts, bytes_max, strict=False)):
        if len(part) > most:
            rest = len(parts) - place - 1
            whole = _encode(parts)
            return (*parts[:place], part[:most] + b"\0", *[b""] * rest), hashlib.sha256(whole).digest()
    return tuple(parts), b""


def pack(parts: Sequence[bytes]) -> bytes:
    """Encode a whole key."""
    return _encode(parts)


def unpack(full_key: bytes) -> tuple[bytes, ...]:
    """Return the parts of a whole key."""
    return _DECODER.decode(full_key)
