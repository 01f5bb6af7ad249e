"""JSON texts that callers give: inputs and outputs."""

from typing import Any, cast

import msgspec

from forebay.languages.json_tokens import InvalidJson, scan

_JACKSON = "com.fasterxml.jackson."


def read_json(text: str) -> str:
    """Return a JSON text without spaces around it.

    Raises:
        ValueError: it is none; the text says where.
    """
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(_why(text, error)) from None
    return text


def as_object(value: object) -> dict[str, Any]:
    """Return a JSON object; anything else is an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """Return a JSON array; anything else is an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def compact(value: Any) -> str:
    """Return a value as JSON text without spaces."""
    return msgspec.json.encode(value).decode()


def _why(text: str, error: Exception) -> str:
    """Word a fault as the exception of the parser that AWS uses."""
    if not text.strip():
        kind = f"{_JACKSON}databind.exc.MismatchedInputException"
        return f'{kind}: No content to map due to end-of-input\n at [Source: (String)"{text}"; line: 1, column: 0]'
    try:
        for _ in scan(text):
            pass
    except InvalidJson as fault:
        is_end = fault.reason.startswith("Unexpected end-of-input")
        return f"{_JACKSON}core.{'io.JsonEOFException' if is_end else 'JsonParseException'}: {fault}"
    except RecursionError:
        pass
    return str(error)
