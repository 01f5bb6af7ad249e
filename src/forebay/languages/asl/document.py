"""JSON as text and as value, each made from the other only when it is asked for.

A state that changes nothing hands its input on as the very text it came as, and a chain of states within one call
decodes a text once.
"""

import json

import msgspec

from forebay.languages.asl.failures import ErrorName, StateFailure

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


def encode(value: object) -> str:
    """Return a value as compact JSON."""
    try:
        return _encoder.encode(value).decode()
    except (OverflowError, UnicodeEncodeError):
        # Integers beyond 64 bits, and halves of surrogate pairs, which JSON can hold but UTF-8 cannot.
        return json.dumps(value, separators=(",", ":"))


def decode(text: str) -> object:
    """Return JSON as a value.

    Raises:
        ValueError: the text is not JSON.
    """
    try:
        return _decoder.decode(text)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None
    except msgspec.DecodeError:
        return _decode_rare(text)


def _decode_rare(text: str) -> object:
    """Return JSON that the fast decoder does not take though it is none the worse: halves of surrogate pairs."""
    value: object = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    return value


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise ValueError(f"Number out of range: {text}")
    return value


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
        """The document as a value.

        Raises:
            StateFailure: the text is no JSON (a task's answer that nobody checked).
        """
        if self._value is _UNREAD:
            assert self._text is not None
            try:
                self._value = decode(self._text)
            except ValueError:
                raise StateFailure(ErrorName.RUNTIME, "The data is not valid JSON.") from None
        return self._value


_UNREAD = object()


def sayable(text: str) -> str:
    """Return a text that UTF-8 can hold: halves of surrogate pairs become question marks."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def byte_count(text: str) -> int:
    """Return the length of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
