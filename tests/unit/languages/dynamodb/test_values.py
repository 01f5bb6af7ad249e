import pytest

from forebay.core.errors import ServiceError
from forebay.languages.dynamodb import number
from forebay.languages.dynamodb.value import check_item, check_value, is_equal, item_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", "0"),
        ("-0.00", "0"),
        ("007", "7"),
        ("+1.50", "1.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1E3", "1000"),
        ("123e-5", "0.00123"),
        ("-1.0E-2", "-0.01"),
        ("9" * 38, "9" * 38),
        ("1E125", "1" + "0" * 125),
        ("1E-130", "0." + "0" * 129 + "1"),
        ("0E999999", "0"),
        ("1" + "0" * 60, "1" + "0" * 60),
    ],
)
def test_number_has_one_text(text, expected):
    assert number.canonical(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "The parameter cannot be converted to a numeric value"),
        ("abc", "The parameter cannot be converted to a numeric value: abc"),
        ("1 2", "The parameter cannot be converted to a numeric value: 1 2"),
        ("NaN", "The parameter cannot be converted to a numeric value: NaN"),
        ("1" * 39, "Attempting to store more than 38 significant digits in a Number"),
        ("1E126", "Number overflow. Attempting to store a number with magnitude larger than supported range"),
        ("1E-131", "Number underflow. Attempting to store a number with magnitude smaller than supported range"),
        ("1E99999999", "Number overflow. Attempting to store a number with magnitude larger than supported range"),
    ],
)
def test_number_is_refused(text, expected):
    with pytest.raises(ServiceError) as refusal:
        number.canonical(text)
    assert refusal.value.message == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
        (
            {"S": "a", "N": "1"},
            (
                "Supplied AttributeValue has more than one datatypes set, "
                "must contain exactly one of the supported datatypes"
            ),
        ),
        (
            {"NULL": False},
            "One or more parameter values were invalid: Null attribute value types must have the value of true",
        ),
        ({"SS": []}, "One or more parameter values were invalid: An string set  may not be empty"),
        ({"NS": []}, "One or more parameter values were invalid: An number set  may not be empty"),
        ({"BS": []}, "One or more parameter values were invalid: Binary sets should not be empty"),
        ({"SS": ["a", "a"]}, "One or more parameter values were invalid: Input collection [a, a] contains duplicates."),
        ({"NS": ["1", "1.0"]}, "Input collection contains duplicates"),
        (
            {"SS": [""]},
            "One or more parameter values were invalid: An string set may not have a empty string as a member",
        ),
    ],
)
def test_value_is_refused(value, expected):
    with pytest.raises(ServiceError) as refusal:
        check_value(value)
    assert refusal.value.message == expected


def test_nesting_ends_at_32_levels():
    value = {"S": "x"}
    for _ in range(32):
        value = {"L": [value]}
    check_value(value)
    with pytest.raises(ServiceError, match="Nesting Levels have exceeded supported limits"):
        check_value({"M": {"a": value}})


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({"a": {"S": "bcd"}}, 4),
        ({"é": {"S": "ü"}}, 4),
        ({"n": {"N": "0"}}, 2),
        ({"n": {"N": "12345"}}, 1 + 4),
        ({"n": {"N": "-12345"}}, 1 + 5),
        ({"n": {"N": "1000"}}, 1 + 2),
        ({"b": {"B": "aGVsbG8="}}, 1 + 5),
        ({"t": {"BOOL": False}}, 2),
        ({"z": {"NULL": True}}, 2),
        ({"l": {"L": []}}, 1 + 3),
        ({"l": {"L": [{"S": "ab"}, {"BOOL": True}]}}, 1 + 3 + 3 + 2),
        ({"m": {"M": {"k": {"S": "v"}}}}, 1 + 3 + 1 + 1 + 1),
        ({"s": {"SS": ["ab", "c"]}}, 1 + 3),
    ],
)
def test_size_is_counted_as_documented(item, size):
    assert check_item(item) == size
    assert item_size(item) == size


def test_sets_are_equal_in_any_order_and_lists_are_not():
    assert is_equal({"NS": ["1", "2"]}, {"NS": ["2", "1"]})
    assert not is_equal({"L": [{"N": "1"}, {"N": "2"}]}, {"L": [{"N": "2"}, {"N": "1"}]})
    assert is_equal({"M": {"a": {"SS": ["x", "y"]}}}, {"M": {"a": {"SS": ["y", "x"]}}})


def test_sum_that_needs_more_digits_is_refused():
    assert number.add("9" * 37, "1") == "1" + "0" * 37
    with pytest.raises(ServiceError, match="more than 38 significant digits"):
        number.add("1" + "0" * 40, "1")
