"""Objects' bytes in the blob store.

Blobs are named by their content and shared by all services that put the same bytes, so whoever deletes one must know
that no other needs it. S3 appends random bytes to each blob: no two are alike, so each belongs to exactly one object
version or part, and can be deleted with it.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from forebay.operations.call import Call
from forebay.services.s3.object import Segment

T = TypeVar("T")

_SALT_BYTES = 16
# Hashing this much takes longer than handing it to a thread.
_INLINE_BYTES_MAX = 256 * 1024


async def store_bytes(call: Call, body: bytes) -> tuple[Segment, ...]:
    """Keep bytes durably and return where they are."""
    if not body:
        return ()
    name = await call.platform.store.blobs.put(body + call.ids.bytes(_SALT_BYTES))
    return (Segment(name, len(body)),)


async def read_bytes(call: Call, segments: Sequence[Segment], start: int, end: int) -> bytes:
    """Return the bytes from `start` to before `end`.

    Raises:
        KeyError: a segment is gone, as the object has been deleted meanwhile.
    """
    pieces: list[bytes] = []
    at = 0
    for segment in segments:
        first, last = max(start - at, 0), min(end - at, segment.size)
        at += segment.size
        if first < last:
            data = await call.platform.store.blobs.get(segment.blob)
            pieces.append(data[first:last])
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def off_loop(size_bytes: int, work: Callable[[], T]) -> T:
    """Run a computation over so many bytes, beside the loop where it is long."""
    return work() if size_bytes <= _INLINE_BYTES_MAX else await asyncio.to_thread(work)
