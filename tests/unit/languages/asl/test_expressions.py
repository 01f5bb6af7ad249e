import pytest

from forebay.core.ids import Ids
from forebay.languages.asl.choice_rules import compile_rule
from forebay.languages.asl.failures import StateFailure
from forebay.languages.asl.intrinsics import parse_intrinsic
from forebay.languages.asl.paths import InvalidPath, parse_path
from forebay.languages.asl.scope import ABSENT, Scope
from tests.unit.languages.cases import cases_of


def scope(document):
    return Scope(document, lambda: {"State": {"Name": "Here"}}, lambda: {"v": {"w": 7}}, Ids(1))


@pytest.mark.parametrize(("given", "expected"), cases_of("asl_paths"))
def test_path_leads_to_value(given, expected):
    found = parse_path(given["path"]).find(scope(given["document"]))
    if expected == {"$absent": True}:
        assert found is ABSENT
    else:
        assert found == expected


@pytest.mark.parametrize(("given", "expected"), cases_of("asl_path_errors"))
def test_text_that_is_no_path_is_refused(given, expected):
    assert expected is False
    with pytest.raises(InvalidPath):
        parse_path(given)


@pytest.mark.parametrize(("given", "expected"), cases_of("asl_intrinsics"))
def test_intrinsic_function_gives_value(given, expected):
    assert parse_intrinsic(given["call"]).evaluate(scope(given["document"])) == expected


@pytest.mark.parametrize(("given", "expected"), cases_of("asl_intrinsic_errors"))
def test_intrinsic_function_fails(given, expected):
    """But for the missing path's, AWS's sentences are unverified."""
    with pytest.raises(StateFailure) as caught:
        parse_intrinsic(given["call"]).evaluate(scope(given["document"]))
    assert (caught.value.error, caught.value.cause) == (expected["error"], expected["cause"])


@pytest.mark.parametrize(("given", "expected"), cases_of("asl_intrinsic_syntax_errors"))
def test_text_that_is_no_call_is_refused(given, expected):
    assert expected is False
    with pytest.raises(InvalidPath):
        parse_intrinsic(given)


def test_uuid_is_drawn_from_the_environment():
    first, again = (parse_intrinsic("States.UUID()").evaluate(scope({})) for _ in range(2))
    assert first == again
    assert len(str(first)) == 36


def test_random_stays_below_its_end():
    call = parse_intrinsic("States.MathRandom(1, 3)")
    within = scope({})
    assert {call.evaluate(within) for _ in range(50)} == {1, 2}


@pytest.mark.parametrize(("given", "expected"), cases_of("asl_choice_rules"))
def test_choice_rule_holds(given, expected):
    assert compile_rule(given["rule"]).holds(scope(given["document"])) is expected


def test_patterns_end_in_time():
    """Patterns that make a backtracking matcher try for ever."""
    text = "a" * 50_000
    assert not compile_rule({"Variable": "$.v", "StringMatches": "*a" * 20 + "b"}).holds(scope({"v": text}))
    assert parse_path("$.l[?(@ =~ /(a+)+b/)]").find(scope({"l": ["a" * 40]})) == []
