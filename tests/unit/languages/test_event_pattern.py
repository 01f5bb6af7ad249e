import json

import pytest

from forebay.languages.event_pattern import (
    LAMBDA,
    Dialect,
    InvalidPattern,
    Mismatch,
    RuleSet,
    explain,
    matches,
    parse_pattern,
)
from forebay.languages.event_pattern.rule_set import SCANNED_RULES_MAX
from tests.unit.languages.cases import cases_of


@pytest.mark.parametrize(("given", "expected"), cases_of("event_pattern_matches"))
def test_pattern_matches_as_aws_does(given, expected):
    pattern = parse_pattern(json.dumps(given["pattern"]))
    assert matches(pattern, given["event"]) is expected


@pytest.mark.parametrize(("given", "expected"), cases_of("event_pattern_matches"))
def test_rule_set_and_explanation_agree_with_match(given, expected):
    pattern = parse_pattern(json.dumps(given["pattern"]))
    few, many = RuleSet[int](), RuleSet[int]()
    few.add(0, pattern)
    for number in range(SCANNED_RULES_MAX + 1):
        many.add(number, pattern)
    assert few.match(given["event"]) == ([0] if expected else [])
    assert many.match(given["event"]) == ([*range(SCANNED_RULES_MAX + 1)] if expected else [])
    assert (explain(pattern, given["event"]) == []) is expected


@pytest.mark.parametrize(("given", "expected"), cases_of("event_pattern_errors"))
def test_invalid_pattern_is_refused_in_aws_words(given, expected):
    with pytest.raises(InvalidPattern) as refused:
        parse_pattern(given)
    assert refused.value.reason == expected


def test_pattern_longer_than_the_limit_is_refused():
    text = json.dumps({"a": ["x" * 4_096]})
    with pytest.raises(InvalidPattern, match="longer than 4096"):
        parse_pattern(text)


def test_long_source_is_cut_in_errors_as_jackson_cuts_it():
    text = json.dumps({"a": ["x" * 600], "b": 1})
    with pytest.raises(InvalidPattern) as refused:
        parse_pattern(text)
    assert f'"{text[:500]}"[truncated {len(text) - 500} chars]; line: 1' in refused.value.reason


def test_or_with_more_than_a_thousand_combinations_is_refused():
    ten = [{"f": [n]} for n in range(10)]
    ors = {f"p{n}": {"$or": ten} for n in range(3)}
    assert len(parse_pattern(json.dumps(ors)).branches) == 1_000
    ors["q"] = {"$or": ten[:2]}
    with pytest.raises(InvalidPattern, match="more than 1000 rule combinations"):
        parse_pattern(json.dumps(ors))


def test_later_of_two_equal_keys_wins():
    pattern = parse_pattern('{"a": ["x"], "a": ["y"]}')
    assert matches(pattern, {"a": "y"})
    assert not matches(pattern, {"a": "x"})


def test_dialect_may_refuse_equal_keys():
    text = '{"detail": {"a": ["x"], "a": ["y"]}}'
    with pytest.raises(InvalidPattern) as refused:
        parse_pattern(text, Dialect("strict", paths_may_repeat=False))
    place = f'[Source: (String)"{text}"; line: 1, column: 35]'
    assert refused.value.reason == f"Path `detail.a` cannot be allowed multiple times\n at {place}"


def test_dialect_without_negated_operators_refuses_them():
    with pytest.raises(InvalidPattern, match="Unsupported anything-but pattern: prefix"):
        parse_pattern('{"body": [{"anything-but": {"prefix": "x"}}]}', LAMBDA)
    assert matches(parse_pattern('{"body": [{"anything-but": ["x"]}]}', LAMBDA), {"body": "y"})


def test_dialect_without_array_consistency_matches_across_elements():
    dialect = Dialect("flat", arrays_are_consistent=False)
    pattern = parse_pattern('{"items": {"sku": ["a"], "size": ["L"]}}', dialect)
    assert matches(pattern, {"items": [{"sku": "a", "size": "S"}, {"sku": "b", "size": "L"}]})
    assert not matches(pattern, {"items": [{"sku": "a", "size": "S"}]})


def test_deeply_nested_pattern_is_refused_not_crashed():
    with pytest.raises(InvalidPattern, match="nesting depth"):
        parse_pattern('{"a":' * 800)


def test_deeply_nested_event_is_matched():
    event = inner = {}
    for _ in range(5_000):
        inner["a"] = {}
        inner = inner["a"]
    event["source"] = "s"
    assert matches(parse_pattern('{"source": ["s"]}'), event)


def test_explanation_names_leaf_expectation_and_values_found():
    pattern = parse_pattern('{"source": ["a"], "detail": {"n": [{"numeric": [">", 5]}], "x": ["y"]}}')
    event = {"source": "a", "detail": {"n": [1, 2]}}
    assert explain(pattern, event) == [
        Mismatch("detail.n", '[{"numeric": [">", 5]}]', (1, 2)),
        Mismatch("detail.x", '["y"]', ()),
    ]


def test_explanation_speaks_of_the_closest_alternative():
    pattern = parse_pattern('{"$or": [{"a": [1], "b": [1], "c": [1]}, {"a": [1], "d": [1]}]}')
    assert explain(pattern, {"a": 1}) == [Mismatch("d", "[1]", ())]


def test_explanation_tells_that_a_leaf_matches_elsewhere():
    pattern = parse_pattern('{"items": {"sku": ["a"], "size": ["L"]}}')
    event = {"items": [{"sku": "a", "size": "S"}, {"sku": "b", "size": "L"}]}
    assert explain(pattern, event) == [Mismatch("items.sku", '["a"]', ("a", "b"), elsewhere=True)]


def test_rule_set_answers_in_the_order_of_adding():
    rules = RuleSet[str]()
    for name in ("c", "a", "b"):
        rules.add(name, parse_pattern('{"s": ["x"]}'))
    rules.add("d", parse_pattern('{"s": ["y"]}'))
    assert rules.match({"s": "x"}) == ["c", "a", "b"]


def test_rule_set_replaces_and_forgets_rules():
    rules = RuleSet[str]()
    rules.add("r", parse_pattern('{"s": ["x"]}'))
    rules.add("r", parse_pattern('{"s": ["y"]}'))
    assert rules.match({"s": "x"}) == []
    assert rules.match({"s": "y"}) == ["r"]
    rules.remove("r")
    rules.remove("r")
    assert "r" not in rules
    assert len(rules) == 0
    assert rules.match({"s": "y"}) == []


def test_rule_set_keeps_nothing_of_removed_rules():
    rules = RuleSet[int]()
    for n in range(100):
        rules.add(n, parse_pattern(json.dumps({"s": ["x", {"prefix": str(n % 7)}], "t": [n % 10], "u": [n]})))
    for n in range(100):
        rules.remove(n)
    assert not rules._root.children
    assert not rules._root.entries
    assert rules._root.size == 0
    assert not rules._steps


def test_array_consistency_stays_cheap_for_large_arrays():
    size = 3_000
    items = [{"a": "x" if n % 2 else "y", "b": "x" if n % 2 else "z", "c": n} for n in range(size)]
    event = {"l": items, "m": items, "n": items}
    leaves = {"a": ["x"], "b": ["z"], "c": [{"numeric": [">=", 0]}]}
    assert not matches(parse_pattern(json.dumps({"l": {"a": ["x"]}, "m": {"a": ["x"]}, "n": leaves})), event)
