"""The rule index and the array join against plain definitions, on generated patterns and events."""

import contextlib
import itertools
import json
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.languages.event_pattern import InvalidPattern, RuleSet, explain, matches, parse_pattern
from forebay.languages.event_pattern.arrays import flatten
from forebay.languages.event_pattern.scalar import find_millionths, parse_millionths

NAMES = st.sampled_from(["a", "b", "c", "a.b"])
TEXTS = st.sampled_from(["", "x", "X", "xy", "xyz", "yx", "10.0.0.1", "::1", "0:0:0:0:0:0:0:1", "x*y"])
NUMBERS = st.sampled_from([0, 1, 1.0, -1, 0.5, 5_000_000_000, 5_000_000_001, 1e12, 0.1234567])
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans(), st.none())
EVENTS = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
        max_leaves=12,
    ),
    max_size=4,
)
IN_RANGE = NUMBERS.filter(lambda n: abs(n) <= 5_000_000_000 and n != 0.1234567)
EXPRESSIONS = st.one_of(
    SCALARS,
    st.builds(lambda text: {"prefix": text}, TEXTS),
    st.builds(lambda text: {"suffix": text}, TEXTS),
    st.builds(lambda text: {"equals-ignore-case": text}, TEXTS),
    st.builds(lambda text: {"prefix": {"equals-ignore-case": text}}, TEXTS),
    st.builds(lambda text: {"wildcard": text}, st.sampled_from(["*", "x*", "*y", "x*z", "xy"])),
    st.builds(lambda value: {"anything-but": value}, st.one_of(TEXTS, IN_RANGE)),
    st.builds(lambda operator, n: {"numeric": [operator, n]}, st.sampled_from(["=", "<", ">="]), IN_RANGE),
    st.builds(lambda flag: {"exists": flag}, st.booleans()),
    st.just({"cidr": "10.0.0.0/8"}),
)
LEAVES = st.lists(EXPRESSIONS, min_size=1, max_size=3)
OBJECTS = st.recursive(
    st.dictionaries(NAMES, LEAVES, min_size=1, max_size=3),
    lambda inner: st.one_of(
        st.dictionaries(NAMES, st.one_of(LEAVES, inner), min_size=1, max_size=3),
        st.builds(lambda one, two: {"$or": [one, two]}, inner, inner),
    ),
    max_leaves=4,
)


def parse(pattern):
    return parse_pattern(json.dumps(pattern))


@given(st.lists(OBJECTS, max_size=30), st.lists(EVENTS, min_size=1, max_size=3), st.data())
@settings(max_examples=150, deadline=None)
def test_rule_set_finds_exactly_the_rules_that_match(patterns, events, data):
    rules = RuleSet[int]()
    parsed = [parse(pattern) for pattern in patterns]
    for number, pattern in enumerate(parsed):
        rules.add(number, pattern)
    removed = data.draw(st.sets(st.integers(0, 29), max_size=10))
    for number in removed:
        rules.remove(number)
    for event in events:
        expected = [n for n, pattern in enumerate(parsed) if n not in removed and matches(pattern, event)]
        assert rules.match(event) == expected


@given(OBJECTS, EVENTS)
@settings(max_examples=300, deadline=None)
def test_match_is_a_consistent_choice_of_one_value_for_each_leaf(pattern, event):
    parsed = parse(pattern)
    fields = flatten(event)
    assert matches(parsed, event) is any(has_choice(branch, fields) for branch in parsed.branches)
    assert (explain(parsed, event) == []) is matches(parsed, event)


def has_choice(branch, fields):
    """Try every combination of values, leaf by leaf, as the definition of array consistency says."""
    options = []
    for leaf in branch:
        found = fields.get(leaf.path, [])
        places = [dict(place) for value, place in found if leaf.accepts(value)]
        options.append(places + ([None] if leaf.absent else []))
    return any(is_consistent(branch, fields, chosen) for chosen in itertools.product(*options))


def is_consistent(branch, fields, chosen):
    so_far = {}
    for leaf, place in zip(branch, chosen, strict=True):
        if place is None:
            if any(agrees(so_far, dict(taken)) for _, taken in fields.get(leaf.path, [])):
                return False
        elif not agrees(so_far, place):
            return False
        else:
            so_far |= place
    return True


def agrees(one, other):
    return all(other.get(array, index) == index for array, index in one.items())


@given(st.text(st.sampled_from('{}[]":,ab1.\\*-$or \n'), max_size=40))
@settings(max_examples=500, deadline=None)
def test_any_text_is_a_pattern_or_is_refused(text):
    with contextlib.suppress(InvalidPattern):
        assert parse_pattern(text).branches


@given(OBJECTS, st.integers(0, 200), st.sampled_from('{}[]":,x1\\ '))
@settings(max_examples=300, deadline=None)
def test_damaged_pattern_is_a_pattern_or_is_refused(pattern, at, character):
    text = json.dumps(pattern)
    at %= len(text)
    with contextlib.suppress(InvalidPattern):
        assert parse_pattern(text[:at] + character + text[at + 1 :]).branches


@given(st.decimals(-5_000_000_000, 5_000_000_000, places=6))
def test_numbers_compare_as_exact_millionths(number):
    expected = int(number * 1_000_000)
    assert parse_millionths(str(number), 5_000_000_000) == expected
    assert find_millionths(float(number), 5_000_000_000) == expected


@given(st.integers(), st.integers(7, 12))
def test_finer_floats_do_not_compare(whole, places):
    number = float(Decimal(whole % 1_000) + Decimal(1) / Decimal(10) ** places)
    assert find_millionths(number, 5_000_000_000) is None
