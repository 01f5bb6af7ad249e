"""The older parameters' own rules. The texts are unverified against AWS, except where the API reference has them."""

import pytest

from forebay.api import dynamodb as api
from forebay.core.errors import ServiceError
from forebay.languages.dynamodb.legacy import read_attribute_updates, read_expected, read_filter, read_key_conditions

WRONG = "One or more parameter values were invalid: "
ITEM = {"s": {"S": "abc"}, "n": {"N": "5"}, "ss": {"SS": ["a", "b"]}, "l": {"L": [{"N": "1"}]}}


def s(text):
    return api.AttributeValue(s=text)


def n(text):
    return api.AttributeValue(n=text)


@pytest.mark.parametrize(
    ("name", "operator", "values", "expected"),
    [
        ("s", "EQ", [s("abc")], True),
        ("s", "NE", [s("abc")], False),
        ("zz", "NE", [s("abc")], True),
        ("n", "LT", [n("10")], True),
        ("s", "LT", [n("10")], False),
        ("n", "BETWEEN", [n("1"), n("5")], True),
        ("n", "IN", [n("4"), n("5")], True),
        ("zz", "NULL", [], True),
        ("s", "NOT_NULL", [], True),
        ("s", "BEGINS_WITH", [s("ab")], True),
        ("s", "CONTAINS", [s("bc")], True),
        ("ss", "CONTAINS", [s("a")], True),
        ("l", "CONTAINS", [n("1")], True),
        ("ss", "NOT_CONTAINS", [s("c")], True),
    ],
)
def test_condition_operators(name, operator, values, expected):
    conditions = {name: api.Condition(comparison_operator=operator, attribute_value_list=values)}
    found = read_filter(conditions, None)
    assert found.compiled.test(ITEM, found.values) is expected


def test_conditions_are_joined_by_the_operator():
    conditions = {
        "s": api.Condition(comparison_operator="EQ", attribute_value_list=[s("other")]),
        "n": api.Condition(comparison_operator="EQ", attribute_value_list=[n("5")]),
    }
    both, either = read_filter(conditions, "AND"), read_filter(conditions, "OR")
    assert not both.compiled.test(ITEM, both.values)
    assert either.compiled.test(ITEM, either.values)


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (
            {"value": s("a"), "attribute_value_list": [s("a")]},
            "Value and AttributeValueList cannot be used together for Attribute: a",
        ),
        (
            {"exists": True, "comparison_operator": "EQ"},
            "Exists and ComparisonOperator cannot be used together for Attribute: a",
        ),
        (
            {"comparison_operator": "EQ"},
            "Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: a",
        ),
        (
            {"attribute_value_list": [s("a")]},
            "AttributeValueList can only be used with a ComparisonOperator for Attribute: a",
        ),
        ({}, "Value must be provided when Exists is null for Attribute: a"),
        ({"exists": True}, "Value must be provided when Exists is true for Attribute: a"),
        ({"exists": False, "value": s("a")}, "Value cannot be used when Exists is set to false for Attribute: a"),
        (
            {"comparison_operator": "BETWEEN", "attribute_value_list": [s("a")]},
            "Invalid number of argument(s) for the BETWEEN ComparisonOperator",
        ),
        (
            {"comparison_operator": "LT", "attribute_value_list": [api.AttributeValue(ss=["a"])]},
            "ComparisonOperator LT is not valid for SS AttributeValue type",
        ),
        (
            {"comparison_operator": "BEGINS_WITH", "value": n("1")},
            "ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type",
        ),
    ],
)
def test_expected_refuses_what_does_not_go_together(part, text):
    with pytest.raises(ServiceError) as refusal:
        read_expected({"a": api.ExpectedAttributeValue(**part)}, None)
    assert refusal.value.message == WRONG + text


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ({"action": "PUT"}, "Only DELETE action is allowed when no attribute value is specified"),
        ({"action": "DELETE", "value": n("1")}, "DELETE action with value is not supported for the type N"),
        ({"action": "ADD", "value": s("a")}, "ADD action is not supported for the type S"),
    ],
)
def test_attribute_updates_refuse_actions(part, text):
    with pytest.raises(ServiceError) as refusal:
        read_attribute_updates({"a": api.AttributeValueUpdate(**part)})
    assert refusal.value.message == WRONG + text


def test_add_of_another_type_is_told_in_older_words():
    update = read_attribute_updates({"s": api.AttributeValueUpdate(action="ADD", value=n("1"))})
    with pytest.raises(ServiceError, match="Type mismatch for attribute to update"):
        update.compiled.apply(ITEM, dict(ITEM), update.values)


@pytest.mark.parametrize(
    ("conditions", "text"),
    [
        ({}, "Conditions can be of length 1 or 2 only"),
        (
            {"a": api.Condition(comparison_operator="NE", attribute_value_list=[s("a")])},
            "Attempted conditional constraint is not an indexable operation",
        ),
        (
            {"a": api.Condition(comparison_operator="BETWEEN", attribute_value_list=[n("2"), n("1")])},
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound",
        ),
    ],
)
def test_key_conditions_refuse(conditions, text):
    with pytest.raises(ServiceError) as refusal:
        read_key_conditions(conditions)
    assert refusal.value.message == text
