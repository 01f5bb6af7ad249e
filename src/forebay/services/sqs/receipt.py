"""Receipt handles: opaque to callers, and to us the queue, the message's position and the receive they come from.

A handle needs no row in the store. Its check tells a handle of ours from anything else, and its queue number tells a
handle of this queue from one of another (or of an earlier queue of the same name).
"""

import binascii
import struct
import zlib

import msgspec

from forebay.api import sqs as api
from forebay.store.commands import Receipt

# Version, queue number, position, receive count, time of the receive in ms, one unused byte, check.
# 36 bytes make 48 base64 characters without padding; real handles begin with AQEB too.
_CONTENT = struct.Struct(">3sQQIQx")
_CHECK = struct.Struct(">I")
_VERSION = b"\x01\x01\x01"
_BYTES = _CONTENT.size + _CHECK.size


class Handle(msgspec.Struct, frozen=True, gc=False):
    """What a receipt handle says."""

    queue: int
    receipt: Receipt
    received_at_ms: int


def format_handle(queue: int, position: int, receive_count: int, received_at_ms: int) -> str:
    """Return the handle of one receive of one message."""
    content = _CONTENT.pack(_VERSION, queue, position, receive_count, received_at_ms)
    data = content + _CHECK.pack(zlib.crc32(content))
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def find_handle(text: str) -> Handle | None:
    """Take a handle apart; None where it is none of ours."""
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        return None
    if len(data) != _BYTES:
        return None
    content = data[: _CONTENT.size]
    version, queue, position, receive_count, received_at_ms = _CONTENT.unpack(content)
    if version != _VERSION or _CHECK.unpack_from(data, _CONTENT.size)[0] != zlib.crc32(content):
        return None
    return Handle(queue, Receipt(position, receive_count), received_at_ms)


def parse_handle(text: str, queue: int) -> Handle:
    """Take a handle of a queue apart.

    Raises:
        ReceiptHandleIsInvalid: it is no handle at all, or one of another queue.
    """
    handle = find_handle(text)
    if handle is None:
        raise api.ReceiptHandleIsInvalid(f'The input receipt handle "{text}" is not a valid receipt handle.')
    if handle.queue != queue:
        raise api.ReceiptHandleIsInvalid(f'The receipt handle "{text}" is not valid for this queue.')
    return handle
