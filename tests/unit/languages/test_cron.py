from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from forebay.languages.cron import InvalidSchedule, parse_schedule, parse_zoned_schedule
from tests.unit.languages.cases import cases_of


def instant(text, zone=UTC):
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@pytest.mark.parametrize(("given", "expected"), cases_of("schedules"))
def test_schedule_fires_when_aws_does(given, expected):
    schedule = parse_schedule(given["schedule"])
    after = start = instant(given["after"])
    for text in expected:
        fired = schedule.next_after(after, start)
        assert fired == (text and instant(text))
        after = fired


@pytest.mark.parametrize(("given", "expected"), cases_of("schedule_errors"))
def test_invalid_schedule_is_refused(given, expected):
    assert expected is False
    with pytest.raises(InvalidSchedule):
        parse_schedule(given)


def test_rate_counts_from_its_start():
    schedule = parse_schedule("rate(5 minutes)")
    assert schedule.next_after(1_000.0, 900.5) == 1_200.5
    assert schedule.next_after(1_200.5, 900.5) == 1_500.5
    assert schedule.next_after(0.0, 900.5) == 900.5


def test_cron_does_not_fire_before_its_start():
    schedule = parse_schedule("cron(0 * * * ? *)")
    assert schedule.next_after(0.0, 7_200.0) == 7_200.0
    assert schedule.next_after(0.0, 7_200.5) == 10_800.0


def test_one_time_schedule_fires_once():
    schedule = parse_zoned_schedule("at(2026-07-01T12:00:00)", "Europe/Berlin")
    moment = instant("2026-07-01T10:00:00")
    assert schedule.next_after(0.0) == moment
    assert schedule.next_after(moment) is None


@pytest.mark.parametrize("text", ["at(2026-02-30T00:00:00)", "at(2026-01-01)", "at(now)", "rate(1 minutess)"])
def test_invalid_zoned_schedule_is_refused(text):
    with pytest.raises(InvalidSchedule):
        parse_zoned_schedule(text)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Europe"])
def test_unknown_zone_is_refused(zone):
    with pytest.raises(InvalidSchedule):
        parse_zoned_schedule("rate(1 minute)", zone)


def test_zoned_cron_follows_the_clock_of_its_zone():
    schedule = parse_zoned_schedule("cron(0 9 * * ? *)", "America/New_York")
    assert schedule.next_after(instant("2026-01-10T00:00:00")) == instant("2026-01-10T14:00:00")
    assert schedule.next_after(instant("2026-07-10T00:00:00")) == instant("2026-07-10T13:00:00")


def test_cron_skips_the_hour_that_spring_skips():
    zone = ZoneInfo("America/New_York")
    schedule = parse_zoned_schedule("cron(30 2 * * ? *)", "America/New_York")
    assert schedule.next_after(instant("2026-03-07T12:00:00", zone)) == instant("2026-03-09T02:30:00", zone)


def test_cron_fires_once_in_the_hour_that_autumn_repeats():
    zone = ZoneInfo("America/New_York")
    schedule = parse_zoned_schedule("cron(30 1 * * ? *)", "America/New_York")
    first = schedule.next_after(instant("2026-10-31T12:00:00", zone))
    assert first == instant("2026-11-01T05:30:00")
    assert schedule.next_after(first) == instant("2026-11-02T01:30:00", zone)
    # Asked in the middle of the repeated hour.
    assert schedule.next_after(instant("2026-11-01T06:10:00")) == instant("2026-11-02T01:30:00", zone)


def test_rate_day_is_24_hours_across_a_clock_change():
    schedule = parse_zoned_schedule("rate(1 day)", "America/New_York")
    start = instant("2026-03-07T12:00:00", ZoneInfo("America/New_York"))
    assert schedule.next_after(start, start) == start + 86_400
