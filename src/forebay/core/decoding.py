"""Decoders made on first use, by whichever thread comes first.

msgspec crashes where a thread looks into struct types that another one is still looking into for the first time; the
shapes of the API are read by the loop (requests) and by the stores' reader threads (records that hold them).
"""

from threading import Lock
from typing import TypeVar

import msgspec

T = TypeVar("T")

_MAKING = Lock()


def new_json_decoder(type_: type[T]) -> "msgspec.json.Decoder[T]":
    """Return a decoder, once nobody else is making one."""
    with _MAKING:
        return msgspec.json.Decoder(type_)
