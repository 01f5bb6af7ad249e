"""JSON texts that callers give: inputs and outputs."""

import json
from typing import Any, cast

import msgspec


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
    """Word a fault as AWS's JSON parser does, as far as that is known: an unknown word, or an early end."""
    try:
        json.loads(text)
    except json.JSONDecodeError as fault:
        rest = text[fault.pos :]
        word = ""
        for character in rest:
            if not (character.isalnum() or character in "_$"):
                break
            word += character
        line, column = fault.lineno, fault.colno
        if not text.strip():
            return 'No content to map due to end-of-input\n at [Source: (String)""; line: 1, column: 0]'
        if word and not word[0].isdigit():
            return (
                f"com.fasterxml.jackson.core.JsonParseException: Unrecognized token '{word}': was expecting "
                "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n"
                f' at [Source: (String)"{text}"; line: {line}, column: {column + len(word)}]'
            )
        return f'com.fasterxml.jackson.core.JsonParseException: {fault.msg}\n at [Source: (String)"{text}"; line: {line}, column: {column}]'  # noqa: E501
    except RecursionError:
        pass
    return str(error)
