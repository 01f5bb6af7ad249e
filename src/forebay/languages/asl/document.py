"""JSON as text and as value, each made from the other only when it is asked for.

A state that changes nothing hands its input on as the very text it came as, and a chain of states within one call
decodes a text once.
"""

import json

import msgspec

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


def encode(value: object) -> str:
    """Return a value as compact JSON."""
    try:
        return _encoder.encode(value).decode()
    except OverflowError:
        # Integers beyond 64 bits.
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def decode(text: str) -> object:
    """Return JSON as a value.

    Raises:
        ValueError: the text is not JSON.
    """
    try:
        return _decoder.decode(text)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


class Document:
    """A JSON value that knows its text, or a text that knows its value. Not to be changed."""

    __slots__ = ("_text", "_value")

    def __init__(self, text: str | None, value: object = None) -> None:
        self._text = text
        self._value: object = _UNREAD if text is not None else value

    @classmethod
    def of(cls, value: object) -> "Document":
        """Return the document of a value."""
        return cls(None, value)

    @property
    def text(self) -> str:
        """The document as JSON."""
        if self._text is None:
            self._text = encode(self._value)
        return self._text

    @property
    def value(self) -> object:
        """The document as a value."""
        if self._value is _UNREAD:
            assert self._text is not None
            self._value = decode(self._text)
        return self._value


_UNREAD = object()


def byte_count(text: str) -> int:
    """Return the length of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())
