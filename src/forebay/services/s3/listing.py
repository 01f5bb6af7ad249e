"""Walking keys in order, with prefix, delimiter and a limit: what all lists of keys have in common. Pure.

Source: ListObjectsV2 (S3 API reference): keys come in UTF-8 binary order, which is the order of code points; keys that
share what stands up to the delimiter behind the prefix are rolled up into one common prefix, which counts as one.
"""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar
from urllib.parse import quote

import msgspec

T = TypeVar("T")

# Greater than every key that begins with what it is appended to.
LAST = "\U0010ffff"

Scan = Callable[[str], Iterator[tuple[str, T]]]
"""Yields keys with their entries in order, from behind a key (the empty one: from the start)."""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """What a walk found. `last` is the last key or common prefix of it, from which the next page goes on."""

    entries: tuple[tuple[str, T], ...]
    common_prefixes: tuple[str, ...]
    last: str
    is_truncated: bool


def walk(scan: Scan[T], *, prefix: str, delimiter: str | None, after: str, limit: int) -> Page[T]:
    """Return up to `limit` entries and common prefixes behind `after`."""
    entries: list[tuple[str, T]] = []
    common: list[str] = []
    last, at = after, _start(prefix, delimiter, after)
    while True:
        rolled_up: str | None = None
        for key, entry in scan(at):
            if len(entries) + len(common) == limit:
                return Page(tuple(entries), tuple(common), last, is_truncated=limit > 0)
            rolled_up = common_prefix(key, prefix, delimiter)
            if rolled_up is not None:
                break
            entries.append((key, entry))
            last = key
        if rolled_up is None:
            return Page(tuple(entries), tuple(common), last, is_truncated=False)
        common.append(rolled_up)
        last = rolled_up
        # One look skips all keys that the common prefix stands for.
        at = rolled_up + LAST


def common_prefix(key: str, prefix: str, delimiter: str | None) -> str | None:
    """Return what a key is rolled up to, or None where it stands for itself."""
    if not delimiter:
        return None
    end = key.find(delimiter, len(prefix))
    return None if end < 0 else key[: end + len(delimiter)]


def encoded(text: str | None, encoding: str | None) -> str | None:
    """Return a key as the caller asked for it: percent-encoded or as it is."""
    return quote(text, safe="/*-._") if text is not None and encoding == "url" else text


def _start(prefix: str, delimiter: str | None, after: str) -> str:
    # A list that goes on from a common prefix has had all that it stands for.
    if after.startswith(prefix) and common_prefix(after, prefix, delimiter) == after:
        return after + LAST
    return after
