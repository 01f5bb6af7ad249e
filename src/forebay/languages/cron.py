"""AWS's schedule expressions: `rate(...)`, `cron(...)` and, for Scheduler, `at(...)` and time zones.

The cron grammar is AWS's own six fields (EventBridge user guide, "Cron expressions reference"), in meaning Quartz's:
`20-2` wraps, `L` is the last day, `3W` the weekday nearest to the 3rd, `6#3` the third Friday; one of day-of-month and
day-of-week must be `?`. Libraries for Unix cron lack these, so the grammar is read here.
"""

import calendar
import math
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

_UNIT_SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}
_RATE = re.compile(r"rate\(([1-9][0-9]{0,9}) (minute|hour|day)(s?)\)")
_CRON = re.compile(r"cron\((\S.*\S)\)")
_AT = re.compile(r"at\(([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})\)")
_PART = re.compile(r"(?P<start>\*|[0-9]+|[A-Z]{3})(?:-(?P<end>[0-9]+|[A-Z]{3}))?(?:/(?P<step>[0-9]+))?")

_MONTH_NAMES = {
    "JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6,
    "JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10, "NOV": 11, "DEC": 12,
}  # fmt: skip
_DAY_NAMES = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}

_INT_MAX = 2_147_483_647


class InvalidSchedule(ValueError):
    """A text is not a schedule expression; services say "Parameter ScheduleExpression is not valid."."""


class _Field(msgspec.Struct, frozen=True):
    low: int
    high: int
    names: dict[str, int] = {}
    wraps: bool = True


_MINUTE = _Field(0, 59)
_HOUR = _Field(0, 23)
_DAY = _Field(1, 31)
_MONTH = _Field(1, 12, _MONTH_NAMES)
_WEEKDAY = _Field(1, 7, _DAY_NAMES)
_YEAR = _Field(1970, 2199, wraps=False)

# Tells whether a schedule fires on a date.
_DayRule = Callable[[date], bool]


class Rate(msgspec.Struct, frozen=True):
    """Every so many seconds, counted from a start. A day is 24 hours, whatever the clocks do."""

    seconds: int

    def next_after(self, after: float, start: float = 0.0) -> float | None:
        """Return the first moment later than `after` that is a whole number of intervals from `start`."""
        if after < start:
            return start
        return start + ((after - start) // self.seconds + 1) * self.seconds


class At(msgspec.Struct, frozen=True):
    """Once."""

    instant: float

    def next_after(self, after: float, start: float = 0.0) -> float | None:
        """Return the moment, if it is still to come."""
        return self.instant if self.instant > after and self.instant >= start else None


class Cron(msgspec.Struct, frozen=True):
    """At the minutes that six fields select, on the clock of a zone."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    is_day: _DayRule
    months: tuple[int, ...]
    years: tuple[int, ...]
    zone: tzinfo

    def next_after(self, after: float, start: float = 0.0) -> float | None:
        """Return the first moment later than `after` and not before `start`, or None if no year has one.

        When clocks go forward, moments that do not exist are skipped; when they go back, those that come twice count
        the first time only (Scheduler user guide, "Daylight savings time").
        """
        after = max(after, math.nextafter(start, -math.inf))
        # What the clock shows now, it has shown first now or before: whatever counts is later on the clock, too.
        earliest = datetime.fromtimestamp(after, self.zone).replace(tzinfo=None)
        for day in self._days(earliest.date()):
            for hour in self.hours:
                if datetime(day.year, day.month, day.day, hour, 59, 59) < earliest:  # noqa: DTZ001 - on the zone's clock
                    continue
                for minute in self.minutes:
                    instant = self._instant(day, hour, minute)
                    if instant is not None and instant > after:
                        return instant
        return None

    def _days(self, first: date) -> Iterator[date]:
        for year in self.years:
            for month in self.months:
                if (year, month) < (first.year, first.month):
                    continue
                for day in range(1, calendar.monthrange(year, month)[1] + 1):
                    found = date(year, month, day)
                    if found >= first and self.is_day(found):
                        yield found

    def _instant(self, day: date, hour: int, minute: int) -> float | None:
        local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone)
        instant = local.timestamp()
        shown = datetime.fromtimestamp(instant, self.zone)
        return instant if (shown.hour, shown.minute) == (hour, minute) else None


Schedule = Rate | Cron | At


def parse_schedule(text: str) -> Rate | Cron:
    """Read the schedule of an EventBridge rule: `rate(...)`, or `cron(...)` in UTC.

    Raises:
        InvalidSchedule: the text is neither.
    """
    schedule = _parse_rate(text) or _parse_cron(text, UTC)
    if schedule is None:
        raise InvalidSchedule(f"neither rate(...) nor cron(...): {text}")
    return schedule


def parse_zoned_schedule(text: str, zone_name: str = "UTC") -> Schedule:
    """Read the schedule of EventBridge Scheduler: `rate(...)`, or `cron(...)` or `at(...)` in a time zone.

    Raises:
        InvalidSchedule: the text is none of them, or the zone is unknown.
    """
    zone = _zone(zone_name)
    # Scheduler takes either number of the unit: its guide lists only plurals, AWS's samples have `rate(5 minute)`.
    schedule = _parse_rate(text, unit_agrees=False) or _parse_cron(text, zone) or _parse_at(text, zone)
    if schedule is None:
        raise InvalidSchedule(f"none of rate(...), cron(...) and at(...): {text}")
    return schedule


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidSchedule(f"unknown time zone: {name}") from None


def _parse_rate(text: str, *, unit_agrees: bool = True) -> Rate | None:
    match = _RATE.fullmatch(text)
    if match is None:
        return None
    value = int(match[1])
    # "If the value is equal to 1, then the unit must be singular", and else plural (user guide, rate expressions).
    is_wrong = unit_agrees and (value == 1) == bool(match[3])
    if is_wrong or value > _INT_MAX:
        raise InvalidSchedule(f"value and unit do not agree: {text}")
    return Rate(value * _UNIT_SECONDS[match[2]])


def _parse_at(text: str, zone: tzinfo) -> At | None:
    match = _AT.fullmatch(text)
    if match is None:
        return None
    try:
        return At(datetime.fromisoformat(match[1]).replace(tzinfo=zone).timestamp())
    except ValueError:
        raise InvalidSchedule(f"no such date or time: {text}") from None


def _parse_cron(text: str, zone: tzinfo) -> Cron | None:
    match = _CRON.fullmatch(text)
    if match is None:
        return None
    fields = match[1].upper().split()
    if len(fields) != 6:
        raise InvalidSchedule(f"{len(fields)} fields instead of six: {text}")
    minutes, hours, day, month, weekday, years = fields
    if (day == "?") == (weekday == "?"):
        raise InvalidSchedule(f"one of day-of-month and day-of-week must be ?: {text}")
    return Cron(
        minutes=_values(minutes, _MINUTE),
        hours=_values(hours, _HOUR),
        is_day=_day_rule(day) if weekday == "?" else _weekday_rule(weekday),
        months=_values(month, _MONTH),
        years=_values(years, _YEAR),
        zone=zone,
    )


def _values(text: str, field: _Field) -> tuple[int, ...]:
    """Return the values that a field's list selects, in order."""
    return tuple(sorted({value for part in text.split(",") for value in _part(part, field)}))


def _part(text: str, field: _Field) -> Iterable[int]:
    match = _PART.fullmatch(text)
    if match is None or (match["start"] == "*" and match["end"]):
        raise InvalidSchedule(f"not a value, range or increment: {text}")
    step = int(match["step"] or 1)
    # An increment of the whole range is refused, as in */60 minutes.
    if not 1 <= step <= field.high:
        raise InvalidSchedule(f"increment out of range: {text}")
    if match["start"] == "*":
        return range(field.low, field.high + 1, step)
    start = _number(match["start"], field)
    if match["end"] is None:
        return range(start, field.high + 1, step) if match["step"] else (start,)
    end = _number(match["end"], field)
    if start <= end:
        return range(start, end + 1, step)
    if not field.wraps:
        raise InvalidSchedule(f"range runs backwards: {text}")
    size = field.high - field.low + 1
    return ((value - field.low) % size + field.low for value in range(start, end + size + 1, step))


def _number(text: str, field: _Field) -> int:
    if text.isdecimal():
        value = int(text)
    elif text in field.names:
        value = field.names[text]
    else:
        raise InvalidSchedule(f"unknown name: {text}")
    if not field.low <= value <= field.high:
        raise InvalidSchedule(f"value out of range: {text}")
    return value


def _last_day(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _day_rule(text: str) -> _DayRule:
    """Read a day-of-month field: values, or one of L, L-3, LW and 15W."""
    if text == "L":
        return lambda day: day.day == _last_day(day)
    if text == "LW":
        return lambda day: day.day == _nearest_weekday(day, _last_day(day))
    if match := re.fullmatch(r"L-([0-9]{1,2})", text):
        before = _number(match[1], _Field(1, 30))
        return lambda day: day.day == _last_day(day) - before
    if match := re.fullmatch(r"([0-9]{1,2})W", text):
        wanted = _number(match[1], _DAY)
        return lambda day: wanted <= _last_day(day) and day.day == _nearest_weekday(day, wanted)
    days = frozenset(_values(text, _DAY))
    return lambda day: day.day in days


def _nearest_weekday(month: date, day: int) -> int:
    """Return the Monday to Friday nearest to a day, never leaving the month."""
    weekday = month.replace(day=day).weekday()
    if weekday == calendar.SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == calendar.SUNDAY:
        return day + 1 if day < _last_day(month) else day - 2
    return day


def _weekday_rule(text: str) -> _DayRule:
    """Read a day-of-week field: values, or one of L (Saturday), 6L (the month's last Friday) and 6#3 (its third)."""
    if text == "L":
        return lambda day: day.isoweekday() == 6
    if match := re.fullmatch(r"([0-9]|[A-Z]{3})L", text):
        last = _number(match[1], _WEEKDAY)
        return lambda day: _weekday(day) == last and day.day > _last_day(day) - 7
    if match := re.fullmatch(r"([0-9]|[A-Z]{3})#([1-5])", text):
        wanted, instance = _number(match[1], _WEEKDAY), int(match[2])
        return lambda day: _weekday(day) == wanted and (day.day - 1) // 7 + 1 == instance
    weekdays = frozenset(_values(text, _WEEKDAY))
    return lambda day: _weekday(day) in weekdays


def _weekday(day: date) -> int:
    """Return 1 for Sunday to 7 for Saturday, as AWS counts."""
    return day.isoweekday() % 7 + 1
