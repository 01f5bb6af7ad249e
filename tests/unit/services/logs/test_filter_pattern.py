import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.api import logs as api
from forebay.services.logs.filter_pattern import parse_filter_pattern

EVENT = json.dumps(
    {
        "level": "ERROR",
        "ms": 250,
        "ratio": 0.5,
        "ok": False,
        "gone": None,
        "user": {"name": "ada", "tags": ["a", "b"], "first name": "Ada"},
        "items": [{"id": 1}, {"id": 2}],
        "ip": "10.1.2.3",
    }
)
LINE = '127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'


@pytest.mark.parametrize(
    ("pattern", "message", "expected"),
    [
        ("", "anything", True),
        ("ERROR", "[ERROR 400] BAD REQUEST", True),
        ("ERROR", "[error 400]", False),
        ("ERROR REQUEST", "[ERROR 400] BAD REQUEST", True),
        ("ERROR OK", "[ERROR 400] BAD REQUEST", False),
        ('"BAD REQUEST"', "[ERROR 400] BAD REQUEST", True),
        ('"say \\"hi\\""', 'they say "hi"', True),
        ("?ERROR ?WARN", "a WARN b", True),
        ("?ERROR ?WARN", "a INFO b", False),
        ("ERROR -EXITING", "ERROR: EXITING", False),
        ("ERROR -EXITING", "ERROR: going on", True),
        ("INFO ?ERROR", "INFO only", True),
        ('-"not this"', "this", True),
        ("%AUTH.*ED%", "UNAUTHORIZED", True),
        ("%^AUTH%", "UNAUTHORIZED", False),
    ],
)
def test_terms(pattern: str, message: str, expected: bool) -> None:
    assert parse_filter_pattern(pattern)(message) is expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ('{ $.level = "ERROR" }', True),
        ("{ $.level = ERROR }", True),
        ("{$.level=ERR*}", True),
        ('{ $.level != "ERROR" }', False),
        ('{ $.none != "ERROR" }', False),
        ("{ $.ms > 200 }", True),
        ("{ $.ms >= 250 && $.ms <= 250 }", True),
        ("{ $.ms = 2.5e2 }", True),
        ("{ $.ratio < 0.4 }", False),
        ("{ $.ok IS FALSE }", True),
        ("{ $.ok IS TRUE }", False),
        ("{ $.gone IS NULL }", True),
        ("{ $.none IS NULL }", False),
        ("{ $.none NOT EXISTS }", True),
        ("{ $.gone EXISTS }", True),
        ('{ $.user.name = "ada" }', True),
        ('{ $.user.tags[1] = "b" }', True),
        ('{ $.user.tags[2] = "b" }', False),
        ("{ $.user['first name'] = \"Ada\" }", True),
        ("{ $.items[*].id = 2 }", True),
        ("{ $.items[*].id = 3 }", False),
        ("{ ($.ms > 900 || $.ok IS FALSE) && $.level = %^ERR% }", True),
        ("{ $.ms > 900 || $.ok IS FALSE && $.level = WARN }", False),
        ("{ $.ip = 10.1.* }", True),
    ],
)
def test_json(pattern: str, expected: bool) -> None:
    assert parse_filter_pattern(pattern)(EVENT) is expected


@pytest.mark.parametrize("message", ["no json", "[1]", "1", '{"level":'])
def test_json_pattern_does_not_match_what_is_no_object(message: str) -> None:
    assert not parse_filter_pattern("{ $.level NOT EXISTS }")(message)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[ip, id, user, time, request, status, bytes]", True),
        ("[ip, id, user, time, request, status]", False),
        ("[ip, id, user, time, request, status = 4*, bytes > 1000]", True),
        ("[ip, id, user, time, request, status = 404 || status = 410, bytes]", True),
        ("[ip, ..., status = 200, bytes]", False),
        ("[..., status = 404, bytes]", True),
        ('[ip = 127.*, ..., request = "GET *", status, bytes]', True),
        ("[ip != 127.*, ...]", False),
        ("[..., bytes < 1534]", False),
    ],
)
def test_delimited(pattern: str, expected: bool) -> None:
    assert parse_filter_pattern(pattern)(LINE) is expected


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("order-17", "Invalid filter pattern: Invalid character(s) in term 'order-17'"),
        ('""', "Invalid filter pattern: Invalid character(s) in term '\"\"'"),
        ("{ $.a = 1", "Invalid filter pattern: If a filter pattern starts with '{' it must end with '}'"),
        ("{ $.a }", "Invalid filter pattern"),
        ("{ $.a = 1 && }", "Invalid filter pattern"),
        ('{ $.a > "x" }', "Invalid filter pattern"),
        ("{ a = 1 }", "Invalid filter pattern: Invalid character(s) in term 'a'"),
        ("[a, b", "Invalid filter pattern: If a filter pattern starts with '[' it must end with ']'"),
        ("[a = 4* && b > 1000]", "Invalid filter pattern"),
        ("[..., a, ...]", "Invalid filter pattern"),
        ("%(a)%", "Invalid filter pattern: Invalid character(s) in term '(a)'"),
    ],
)
def test_bad_patterns_are_refused(pattern: str, text: str) -> None:
    with pytest.raises(api.InvalidParameterException) as raised:
        parse_filter_pattern(pattern)
    assert raised.value.message == text


@given(st.text(alphabet='{}[]()$.&|=<>!%"-?*\\a1 ,', max_size=30), st.text(max_size=20))
def test_any_text_is_a_pattern_or_refused(pattern: str, message: str) -> None:
    try:
        matches = parse_filter_pattern(pattern)
    except api.InvalidParameterException:
        return
    assert matches(message) in (True, False)
