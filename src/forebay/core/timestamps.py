"""Timestamps as AWS's protocols write them. A timestamp is a number of seconds since the epoch, UTC."""

import re
from datetime import UTC, datetime, timedelta

EARLIEST = -62135596800
LATEST = 253402300799
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,20})?\Z")
_ISO = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:?\d\d)?)?\Z")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HTTP = re.compile(r"(?:\w{3}, )?(\d{1,2}) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d)(?:\.\d{1,9})? (?:GMT|UTC|\+0000)\Z")


def format_iso8601(at: float) -> str:
    """Write `2012-11-05T00:00:00Z`, with milliseconds where there are any."""
    moment = _moment(at)
    fraction = f".{moment.microsecond // 1000:03}" if moment.microsecond else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z".rjust(20 + len(fraction), "0")


def format_http_date(at: float) -> str:
    """Write `Mon, 05 Nov 2012 00:00:00 GMT` (RFC 9110), whatever the locale."""
    moment = _moment(at)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year:04} {moment:%H:%M:%S} GMT"


def parse_timestamp(text: str) -> float | None:
    """Read any of the forms that AWS's clients send: ISO 8601, an HTTP date, seconds; None if it is none of them."""
    if _NUMBER.match(text):
        at = float(text)
        return at if EARLIEST <= at <= LATEST else None
    try:
        if _ISO.match(text):
            moment = datetime.fromisoformat(text.upper())
            return seconds_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        parts = _HTTP.match(text)
        if parts is None:
            return None
        day, month, year, hour, minute, second = parts.groups()
        numbers = int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second)
        return seconds_of(datetime(*numbers, tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


def seconds_of(moment: datetime) -> float:
    """Give a moment's seconds since the epoch."""
    return (moment - _EPOCH) / timedelta(seconds=1)


def _moment(at: float) -> datetime:
    """Give the moment, rounded to milliseconds, which is as fine as AWS's answers are."""
    return _EPOCH + timedelta(milliseconds=round(at * 1000))
