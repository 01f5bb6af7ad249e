"""DynamoDB's languages: order of numbers and keys, texts that are no expressions, and three ways to one condition."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.api import dynamodb as api
from forebay.core.errors import ServiceError
from forebay.languages.dynamodb import key, number
from forebay.languages.dynamodb.condition import compile_condition
from forebay.languages.dynamodb.key_condition import KeyAttributes, KeyCondition, read_range
from forebay.languages.dynamodb.legacy import read_expected, read_filter
from forebay.languages.dynamodb.partiql.parser import parse_statement
from forebay.languages.dynamodb.projection import compile_projection
from forebay.languages.dynamodb.update import compile_update
from forebay.languages.dynamodb.value import item_size

NUMBERS = st.builds(
    lambda sign, digits, exponent: f"{sign}{digits}E{exponent}",
    st.sampled_from(["", "-"]),
    st.integers(0, 10**38 - 1),
    st.integers(-130, 87),
).filter(lambda text: Decimal(text) == 0 or abs(Decimal(text)).adjusted() >= -130)
SMALL = st.builds(lambda a, b: f"{a}.{b}", st.integers(-50, 50), st.integers(0, 99))
SCALARS = st.one_of(
    st.builds(lambda text: {"S": text}, st.text("ab\x00é", max_size=4)),
    st.builds(lambda text: {"N": number.canonical(text)}, SMALL),
)
VALUES = st.recursive(
    st.one_of(SCALARS, st.just({"BOOL": True}), st.just({"NULL": True}), st.just({"SS": ["a", "b"]})),
    lambda inner: st.one_of(
        st.builds(lambda held: {"L": held}, st.lists(inner, max_size=3)),
        st.builds(lambda held: {"M": held}, st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    ),
    max_leaves=6,
)
ITEMS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)
PIECES = st.sampled_from(
    [
        *"abcd", "a.b", "a[0]", ":v", ":w", "#a", "(", ")", ",", "=", "<>", "<", "+", "-", "[", "]", ".", "1", "@",
        "'x'",
        "AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE", "size", "contains", "begins_with", "?",
        "attribute_exists", "if_not_exists", "list_append", "SELECT", "*", "FROM", "WHERE", "{", "}", "<<", ">>",
        "UPDATE",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=14).map(" ".join)


@given(NUMBERS | SMALL, NUMBERS | SMALL)
@settings(max_examples=300, deadline=None)
def test_numbers_order_as_decimals_do(one, other):
    one, other = number.canonical(one), number.canonical(other)
    first, second = number.encode(one), number.encode(other)
    assert (first < second, first == second) == (Decimal(one) < Decimal(other), Decimal(one) == Decimal(other))
    assert Decimal(number.canonical(one)) == Decimal(one)


@given(st.lists(st.tuples(SCALARS, SCALARS), min_size=2, max_size=2))
@settings(max_examples=200, deadline=None)
def test_compound_keys_order_by_their_first_difference(pair):
    def kinds(values):
        return [next(iter(value)) for value in values]

    def plain(values):
        return [value["S"].encode() if "S" in value else Decimal(value["N"]) for value in values]

    one, other = pair
    if kinds(one) != kinds(other):
        return
    first, second = (key.encode_sort(values, is_compound=True) for values in pair)
    assert (first < second, first == second) == (plain(one) < plain(other), plain(one) == plain(other))


WORDS = st.sampled_from(["", "a", "ab", "b", "a\x00"])
COMPOUND = KeyAttributes(("pk",), ("s", "n"), {"pk": "S", "s": "S", "n": "N"})
OPERATORS = {
    "EQ": lambda one, other: one == other,
    "LT": lambda one, other: one < other,
    "LE": lambda one, other: one <= other,
    "GT": lambda one, other: one > other,
    "GE": lambda one, other: one >= other,
}


def included(bounds, sort):
    low, high = bounds.low, bounds.high
    is_above = low is None or sort > low or (sort == low and not bounds.is_low_excluded)
    return is_above and (high is None or sort < high or (sort == high and not bounds.is_high_excluded))


@given(st.lists(st.tuples(WORDS, SMALL), min_size=1, max_size=8), WORDS, SMALL, st.sampled_from(sorted(OPERATORS)))
@settings(max_examples=200, deadline=None)
def test_ranges_of_compound_keys_hold_what_the_conditions_say(rows, word, text, operator):
    compare = OPERATORS[operator]
    whole = KeyCondition("pk", "EQ", ({"S": "p"},))
    bound = {"N": number.canonical(text)}
    last = [whole, KeyCondition("s", "EQ", ({"S": word or "x"},)), KeyCondition("n", operator, (bound,))]
    first = [whole, KeyCondition("s", operator, ({"S": word or "x"},))]
    prefix = [whole, KeyCondition("s", "BEGINS_WITH", ({"S": word},))]
    ranges = [read_range(COMPOUND, conditions) for conditions in (last, first, prefix)]
    for row_word, row_text in rows:
        row = number.canonical(row_text)
        sort = key.encode_sort([{"S": row_word}, {"N": row}], is_compound=True)
        same, order = row_word.encode(), (word or "x").encode()
        assert included(ranges[0], sort) == (same == order and compare(Decimal(row), Decimal(bound["N"])))
        assert included(ranges[1], sort) == compare(same, order)
        assert included(ranges[2], sort) == row_word.startswith(word)


@given(TEXTS, ITEMS)
@settings(max_examples=400, deadline=None)
def test_no_text_breaks_the_languages(text, item):
    values = {":v": {"S": "x"}, ":w": {"N": "1"}}
    names = (("#a", "a"),)

    def test():
        condition = compile_condition("FilterExpression", text, names)
        condition.check(values)
        assert condition.test(item, values) in {True, False}

    def update():
        compiled = compile_update(text, names)
        compiled.check(values)
        compiled.apply(item, _copied(item), values)

    refusals = [
        refusal(test),
        refusal(update),
        refusal(lambda: compile_projection(text, names).apply(item)),
        refusal(lambda: parse_statement(text)),
    ]
    assert set(refusals) <= {None, "ValidationException"}


def refusal(run):
    """Return the code of the error that a function raises, None where it raises none."""
    try:
        run()
    except ServiceError as error:
        return error.code
    return None


def _copied(value):
    if isinstance(value, dict):
        return {name: _copied(inner) for name, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


@given(ITEMS, SCALARS, st.sampled_from(["EQ", "NE", "LT", "LE", "GT", "GE"]))
@settings(max_examples=200, deadline=None)
def test_older_parameters_agree_with_expressions(item, value, operator):
    sign = {"EQ": "=", "NE": "<>", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}[operator]
    values = {":v": value}
    condition = compile_condition("ConditionExpression", f"a {sign} :v", ())
    expression = compile_condition("FilterExpression", f"a {sign} :v", ())
    shape = api.AttributeValue(s=value.get("S"), n=value.get("N"))
    expected = read_expected(
        {"a": api.ExpectedAttributeValue(comparison_operator=operator, attribute_value_list=[shape])}, None
    )
    filtered = read_filter({"a": api.Condition(comparison_operator=operator, attribute_value_list=[shape])}, None)
    answers = {
        condition.test(item, values),
        expression.test(item, values),
        expected.compiled.test(item, expected.values),
        filtered.compiled.test(item, filtered.values),
    }
    assert len(answers) == 1


@given(ITEMS)
@settings(max_examples=100, deadline=None)
def test_removing_everything_leaves_nothing(item):
    if not item:
        return
    update = compile_update("REMOVE " + ", ".join(item), ())
    new = dict(item)
    update.apply(item, new, {})
    assert item_size(new) == 0
