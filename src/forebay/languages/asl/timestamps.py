"""Instants in definitions and data: RFC 3339 with a capital T and a zone, as the Amazon States Language asks for."""

import re
from datetime import datetime

_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")
_MICROSECONDS = 7


def parse_timestamp(text: str) -> float | None:
    """Return an instant in seconds since the epoch, or None if the text is none."""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    fraction = (match[2] or "")[:_MICROSECONDS]
    try:
        return datetime.fromisoformat(match[1] + fraction + match[3].replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return None
