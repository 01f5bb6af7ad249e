"""Digests of what a request carries, without giving the interpreter's lock away for each.

`hashlib` gives the lock away for every piece of 2 KiB or more, and `hmac.digest` always does. The event loop must then
win it back from the store's writer, thread switch and all: measured, that costs many times what hashing some kilobytes
does. So what is not large is hashed in pieces that stay below, and a keyed digest goes on from a copy of its key's.
"""

import hashlib
import hmac
from typing import Protocol

# `hashlib` keeps the lock for less than this (HASHLIB_GIL_MINSIZE).
_PIECE_BYTES = 2047
# Past this, others had better run meanwhile: it takes some ten microseconds.
_WITH_LOCK_BYTES_MAX = 64 * 1024


class _Hash(Protocol):
    """What hashlib's constructors return."""

    def update(self, data: memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 digest in hexadecimal digits."""
    if _is_one_piece(data):
        return hashlib.sha256(data).hexdigest()
    return _in_pieces(hashlib.sha256(), data)


def md5_hex(data: bytes) -> str:
    """Return the MD5 digest in hexadecimal digits: by it clients check a transfer, it protects nothing."""
    if _is_one_piece(data):
        return hashlib.md5(data, usedforsecurity=False).hexdigest()
    return _in_pieces(hashlib.md5(usedforsecurity=False), data)


def hmac_sha256(key: bytes, text: str) -> bytes:
    """Return the HMAC-SHA-256 of a text."""
    return hmac.digest(key, text.encode(), "sha256")


def hmac_sha256_begin(key: bytes) -> hmac.HMAC:
    """Return an HMAC-SHA-256 of nothing yet: what `hmac_sha256_hex` goes on from, for any number of texts."""
    return hmac.new(key, digestmod="sha256")


def hmac_sha256_hex(begun: hmac.HMAC, text: str) -> str:
    """Return the HMAC-SHA-256 of a text, in hexadecimal digits, with the key that was begun with."""
    keyed = begun.copy()
    keyed.update(text.encode())
    return keyed.hexdigest()


def _is_one_piece(data: bytes) -> bool:
    return not _PIECE_BYTES < len(data) <= _WITH_LOCK_BYTES_MAX


def _in_pieces(digest: _Hash, data: bytes) -> str:
    view = memoryview(data)
    for start in range(0, len(data), _PIECE_BYTES):
        digest.update(view[start : start + _PIECE_BYTES])
    return digest.hexdigest()
