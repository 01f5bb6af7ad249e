"""Cron expressions against a minute-by-minute walk over the same fields."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.languages.cron import parse_schedule, parse_zoned_schedule

MINUTES = st.one_of(
    st.just("*"), st.builds(lambda a, b: f"{a}/{b}", st.integers(0, 59), st.integers(1, 59)),
    st.builds(lambda a, b: f"{a}-{b}", st.integers(0, 59), st.integers(0, 59)),
)  # fmt: skip
HOURS = st.one_of(st.just("*"), st.integers(0, 23).map(str), st.sampled_from(["20-2", "*/5", "1,13"]))
STARTS = st.datetimes(datetime(2026, 1, 1), datetime(2029, 1, 1))  # noqa: DTZ001 - made aware below


def selects(text, value, low, size):
    """Tell whether a field's text selects a value, by its definition."""
    if text == "*":
        return True
    if "," in text:
        return str(value) in text.split(",")
    span, _, step = text.partition("/")
    if step:
        first = low if span == "*" else int(span)
        return value >= first and (value - first) % int(step) == 0
    first, _, last = span.partition("-")
    return (value - int(first)) % size <= (int(last or first) - int(first)) % size


@given(MINUTES, HOURS, STARTS)
@settings(max_examples=150, deadline=None)
def test_next_moment_is_the_first_minute_that_all_fields_select(minutes, hours, start):
    start = start.replace(tzinfo=UTC)
    found = parse_schedule(f"cron({minutes} {hours} * * ? *)").next_after(start.timestamp())
    moment = start.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while not (selects(minutes, moment.minute, 0, 60) and selects(hours, moment.hour, 0, 24)):
        moment += timedelta(minutes=1)
    assert found == moment.timestamp()


ZONES = st.sampled_from(["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia"])


@given(MINUTES, HOURS, ZONES, st.integers(0, 400 * 86_400))
@settings(max_examples=150, deadline=None)
def test_zoned_moment_is_the_first_whose_clock_shows_it_for_the_first_time(minutes, hours, name, seconds):
    zone = ZoneInfo(name)
    after = datetime(2026, 1, 1, tzinfo=UTC).timestamp() + seconds
    found = parse_zoned_schedule(f"cron({minutes} {hours} * * ? *)", name).next_after(after)
    moment = after // 60 * 60 + 60
    while True:
        shown = datetime.fromtimestamp(moment, zone)
        if not shown.fold and selects(minutes, shown.minute, 0, 60) and selects(hours, shown.hour, 0, 24):
            break
        moment += 60
    assert found == moment
