import pytest

from forebay.core.timestamps import format_http_date, format_iso8601, parse_timestamp


@pytest.mark.parametrize(
    ("at", "iso", "http"),
    [
        (0, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
        (1352073600.25, "2012-11-05T00:00:00.250Z", "Mon, 05 Nov 2012 00:00:00 GMT"),
        (-62135596800, "0001-01-01T00:00:00Z", "Mon, 01 Jan 0001 00:00:00 GMT"),
        (0.9999, "1970-01-01T00:00:01Z", "Thu, 01 Jan 1970 00:00:01 GMT"),
    ],
)
def test_format_and_parse_are_inverse(at, iso, http):
    assert format_iso8601(at) == iso
    assert format_http_date(at) == http
    assert parse_timestamp(iso) == pytest.approx(at, abs=0.001)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1700000000.5", 1700000000.5),
        ("2020-01-01T00:00:00+01:00", 1577833200),
        ("2020-01-01", 1577836800),
        ("Wed, 01 Jan 2020 00:00:00 GMT", 1577836800),
    ],
)
def test_parse_takes_every_form(text, at):
    assert parse_timestamp(text) == at


@pytest.mark.parametrize("text", ["", "soon", "2020-13-01T00:00:00Z", "Wed, 41 Jan 2020 00:00:00 GMT", "9" * 14, "NaN"])
def test_parse_answers_none_to_what_is_no_time(text):
    assert parse_timestamp(text) is None
