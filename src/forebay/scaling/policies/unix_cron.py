"""Unix cron as Kubernetes and KEDA read it: five fields, ranges, steps, names, `@daily` and its like.

`languages.cron` reads AWS's six-field grammar, in which `?` is required and weekdays begin at 1; the two share no
field. Semantics are those of Go's robfig/cron: where both days are restricted, either will do.
"""

import calendar
import re
from datetime import date, datetime, timedelta

import msgspec

from forebay.scaling.manifests.problem import InvalidManifest

_NAMED = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_PART = re.compile(r"(?P<first>\*|\?|[0-9]+|[a-z]{3})(?:-(?P<last>[0-9]+|[a-z]{3}))?(?:/(?P<step>[0-9]+))?")
_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_NO_NAMES: dict[str, int] = {}
_FIELDS = ((0, 59, _NO_NAMES), (0, 23, _NO_NAMES), (1, 31, _NO_NAMES), (1, 12, _MONTHS), (0, 6, _DAYS))
# A schedule without a hit in this time has none: 29 February on a given weekday comes within 28 years.
_YEARS_MAX = 30


class UnixCron(msgspec.Struct, frozen=True):
    """The minutes that a schedule selects."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first hit later than a moment, on the clock of the moment's zone, or None where there is none."""
        start = (moment + timedelta(minutes=1)).replace(second=0, microsecond=0)
        day = start.date()
        last = date(min(day.year + _YEARS_MAX, 9999), 12, 31)
        while day <= last:
            if self._is_day(day):
                found = self._on(day, start)
                if found is not None:
                    return found
            day = self._following(day)
        return None

    def _on(self, day: date, start: datetime) -> datetime | None:
        for hour in sorted(self.hours):
            for minute in sorted(self.minutes):
                hit = datetime(day.year, day.month, day.day, hour, minute, tzinfo=start.tzinfo)
                if hit >= start:
                    return hit
        return None

    def _is_day(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_date, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_date and by_weekday if self.any_day or self.any_weekday else by_date or by_weekday

    def _following(self, day: date) -> date:
        if day.month not in self.months:
            # Whole months are passed over.
            return date(day.year + day.month // 12, day.month % 12 + 1, 1)
        return day + timedelta(days=1)


def parse_cron(text: str) -> UnixCron:
    """Read a schedule.

    Raises:
        InvalidManifest: it is none.
    """
    fields = _NAMED.get(text.strip(), text).lower().split()
    if len(fields) != 5:
        raise InvalidManifest(f"expected exactly 5 fields, found {len(fields)}: [{text}]")
    minutes, hours, days, months, weekdays = (
        _values(field, low, high, names) for field, (low, high, names) in zip(fields, _FIELDS, strict=True)
    )
    return UnixCron(minutes, hours, days, months, weekdays, fields[2][0] in "*?", fields[4][0] in "*?")


def _values(field: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    found = set[int]()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise InvalidManifest(f"failed to parse {part!r} of a schedule")
        step = int(match["step"] or 1)
        if match["first"] in "*?":
            first, last = low, high
        else:
            first = _value(match["first"], low, high, names)
            last = _value(match["last"], low, high, names) if match["last"] else high if match["step"] else first
        if step < 1 or first > last:
            raise InvalidManifest(f"failed to parse {part!r} of a schedule: a range runs forward in steps of 1 or more")
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _value(text: str, low: int, high: int, names: dict[str, int]) -> int:
    value = names.get(text) if not text.isdecimal() else int(text)
    if value is None or not low <= value <= high:
        raise InvalidManifest(f"{text!r} of a schedule is not between {low} and {high}")
    return value
