"""When schedules are due, by their rules alone."""

from datetime import UTC, datetime

import pytest

from forebay.api import scheduler as api
from forebay.services.scheduler.group import GroupAddress
from forebay.services.scheduler.schedule import Schedule, check_timing, due_after, first_due_at, next_due_at

NOW = 1_800_057_600.0  # 2027-01-16T00:00:00Z
GROUP = GroupAddress("000000000000", "us-east-1", "default")
TARGET = api.Target(arn="arn:aws:sqs:us-east-1:000000000000:q", role_arn="arn:aws:iam::000000000000:role/r")
OFF = api.FlexibleTimeWindow(mode="OFF")


def schedule(expression, **members):
    given = {"window": OFF, "counted_from": NOW, **members}
    return Schedule(group=GROUP, name="s", expression=expression, target=TARGET, **given)


def shown(instant):
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M")


def run(given, count, after=NOW):
    """Return the moments of the next occurrences, each fired when it is due."""
    moments = []
    for _ in range(count):
        after = due_after(given, after, after)
        moments.append(shown(after))
    return moments


@pytest.mark.parametrize(
    "expression",
    [
        "rate(10 seconds)", "rate(10 years)", "rate(0 minutes)", "rate(-1 minutes)", "rate(10 minutess)", "rate(10)",
        "rate()", "rate(foo minutes)", "rate(10 MINUTES)", " rate(10 minutes)", "rate( 10 minutes )", "rate(1.5 hours)",
        "cron()", "cron(INVALID)", "cron(0 1 * * * *)", "cron(7 20 * * NOT *)", "cron(71 8 1 * ? *)",
        "cron(0 dummy ? * MON-FRI *)", "cron(0 8 ? * ? *)", "cron(0 8 1 * ?)", "0 8 1 * ? *",
        "at(2027-02-30T00:00:00)", "at(2027-12-31)", "at(2027-12-31T23:59:59Z)", "at(2027-12-31 23:59:59)",
        "at(31-12-2027T23:59:59)", "at(2027-12-31T24:00:00)", "at()", "every day", "Rate(1 hour)", "",
    ],
)  # fmt: skip
def test_invalid_expression_is_refused(expression):
    with pytest.raises(api.ValidationException, match="Invalid Schedule Expression") as caught:
        check_timing(schedule(expression), NOW)
    assert caught.value.message == f"Invalid Schedule Expression {expression}."


@pytest.mark.parametrize(
    "expression",
    [
        "rate(1 minute)", "rate(10 days)", "rate(5 minute)", "rate(1 hours)",
        "cron(0-15/1 8-8 ? * 2,3,4,5,6,7 *)", "cron(1-31/30 1-1 ? * 1,7 *)",
        "cron(30-30 13-13 ? * 2,4,6 *)", "cron(0 9 L * ? *)", "cron(0 9 ? * 6#3 2027-2030)",
        "at(2030-12-31T23:59:59)", "at(2020-01-01T00:00:00)",
    ],
)  # fmt: skip
def test_valid_expression_is_taken(expression):
    check_timing(schedule(expression), NOW)


def test_cron_keeps_the_time_of_its_zone_for_years():
    given = schedule("cron(0 9 1 * ? *)", zone="America/New_York")
    # Nine o'clock is 14:00 UTC in winter and 13:00 in summer, whatever the year.
    winter = {"01", "02", "03", "12"}
    for moment in run(given, 48):
        assert moment.endswith("14:00" if moment[5:7] in winter else "13:00")


def test_hour_that_is_left_out_is_skipped_and_the_one_that_comes_twice_counts_once():
    given = schedule("cron(30 2 * * ? *)", zone="Europe/Berlin")
    spring = run(given, 3, datetime(2027, 3, 26, 12, tzinfo=UTC).timestamp())
    assert spring == ["2027-03-27T01:30", "2027-03-29T00:30", "2027-03-30T00:30"]
    autumn = run(given, 3, datetime(2027, 10, 29, 12, tzinfo=UTC).timestamp())
    assert autumn == ["2027-10-30T00:30", "2027-10-31T00:30", "2027-11-01T01:30"]


def test_day_of_a_rate_has_24_hours_whatever_the_clocks_do():
    start = datetime(2027, 3, 27, 11, tzinfo=UTC).timestamp()
    given = schedule("rate(1 day)", zone="Europe/Berlin", start_date=start)
    assert run(given, 3, start) == ["2027-03-28T11:00", "2027-03-29T11:00", "2027-03-30T11:00"]


def test_leap_day_comes_every_four_years():
    assert run(schedule("cron(0 0 29 2 ? *)"), 3) == ["2028-02-29T00:00", "2032-02-29T00:00", "2036-02-29T00:00"]


def test_rate_without_start_begins_at_once_and_one_with_a_start_then():
    assert first_due_at(schedule("rate(1 hour)")) == NOW
    assert first_due_at(schedule("rate(1 hour)", start_date=NOW + 90)) == NOW + 90
    # A start that has just passed is an occurrence that nobody waits for any more.
    assert first_due_at(schedule("rate(1 hour)", start_date=NOW - 60)) == NOW + 3_540


def test_nothing_is_due_after_the_end_or_while_disabled():
    ending = schedule("rate(1 hour)", start_date=NOW, end_date=NOW + 3_600)
    assert next_due_at(ending, NOW) == NOW + 3_600
    assert next_due_at(ending, NOW + 3_600) is None
    assert first_due_at(schedule("rate(1 hour)", state="DISABLED")) is None
    assert first_due_at(schedule("at(2020-01-01T00:00:00)")) is None


def test_occurrence_that_is_up_to_a_minute_late_is_still_fired():
    given = schedule("rate(1 minute)", start_date=NOW)
    assert due_after(given, NOW, NOW + 59) == NOW + 60
    assert due_after(given, NOW, NOW + 100) == NOW + 60
    assert due_after(given, NOW, NOW + 3_600) == NOW + 3_600


def test_occurrence_whose_window_is_open_is_still_fired():
    window = api.FlexibleTimeWindow(mode="FLEXIBLE", maximum_window_in_minutes=15)
    given = schedule("rate(5 minutes)", start_date=NOW, window=window)
    assert due_after(given, NOW, NOW + 880) == NOW + 300


def test_dates_that_have_passed_may_stay():
    before = schedule("rate(1 hour)", start_date=NOW - 3_600, end_date=NOW - 1)
    check_timing(before, NOW, before)
    with pytest.raises(api.ValidationException, match="StartDate"):
        check_timing(before, NOW, schedule("rate(1 hour)", end_date=NOW - 1))
    with pytest.raises(api.ValidationException, match="EndDate"):
        check_timing(before, NOW, schedule("rate(1 hour)", start_date=NOW - 3_600))
