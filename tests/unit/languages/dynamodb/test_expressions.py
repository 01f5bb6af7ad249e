"""Expressions by case files. The texts are those of real answers in public issues, or of AWS's documentation."""

import copy

import pytest

from forebay.core.errors import ServiceError
from forebay.languages.dynamodb.condition import compile_condition
from forebay.languages.dynamodb.key_condition import KeyAttributes, compile_key_condition, read_range
from forebay.languages.dynamodb.placeholders import check_used, read_names
from forebay.languages.dynamodb.projection import compile_projection
from forebay.languages.dynamodb.update import compile_update
from tests.unit.languages.cases import cases_of

ITEM = {"a": {"S": "x"}, "m": {"M": {"b": {"L": [{"N": "1"}, {"N": "2"}, {"N": "3"}]}, "c": {"S": "y"}}}}
KEY = KeyAttributes(("pk",), ("sk",), {"pk": "S", "sk": "N"})


@pytest.mark.parametrize(("given", "expected"), cases_of("dynamodb_conditions"))
def test_condition(given, expected):
    try:
        condition = compile_condition("ConditionExpression", given["text"], tuple(given["names"].items()))
        condition.check(given["values"])
        found = condition.test(given["item"], given["values"])
    except ServiceError as error:
        found = {"error": error.message}
    assert found == expected


@pytest.mark.parametrize(("given", "expected"), cases_of("dynamodb_updates"))
def test_update(given, expected):
    new = copy.deepcopy(given["item"])
    refused = None
    try:
        update = compile_update(given["text"], tuple(given["names"].items()))
        update.check(given["values"])
        update.apply(given["item"], new, given["values"])
    except ServiceError as error:
        refused = {"error": error.message}
    changed = {name: new.get(name) for name in {*new, *given["item"]} if new.get(name) != given["item"].get(name)}
    assert (refused or changed) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", {"a": {"S": "x"}}),
        ("m.c, zz", {"m": {"M": {"c": {"S": "y"}}}}),
        ("m.b[2], m.b[0]", {"m": {"M": {"b": {"L": [{"N": "1"}, {"N": "3"}]}}}}),
        ("m.c.d", {}),
        ("a, m.b[7]", {"a": {"S": "x"}}),
    ],
)
def test_projection(text, expected):
    assert compile_projection(text, ()).apply(ITEM) == expected


def test_projection_refuses_paths_that_overlap():
    with pytest.raises(ServiceError, match=r"overlap with each other.*path one: \[m\], path two: \[m, b\]"):
        compile_projection("m, m.b", ())


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("pk = :p OR sk = :p", {":p": {"S": "a"}}, "Invalid operator used in KeyConditionExpression: OR"),
        ("pk <> :p", {":p": {"S": "a"}}, "Invalid operator used in KeyConditionExpression: <>"),
        ("sk = :n", {":n": {"N": "1"}}, "Query condition missed key schema element: pk"),
        ("pk = :p AND pk = :p", {":p": {"S": "a"}}, "KeyConditionExpressions must only contain one condition per key"),
        ("pk = :p AND zz = :p", {":p": {"S": "a"}}, "Query condition missed key schema element: sk"),
        ("pk > :p", {":p": {"S": "a"}}, "Query key condition not supported"),
        (
            "pk = :n",
            {":n": {"N": "1"}},
            "One or more parameter values were invalid: Condition parameter type does not match schema type",
        ),
        (
            "pk = :p AND sk > :t",
            {":p": {"S": "a"}, ":t": {"BOOL": True}},
            (
                "Invalid KeyConditionExpression: Incorrect operand type for operator or function; "
                "operator or function: >, operand type: BOOL"
            ),
        ),
    ],
)
def test_key_condition_refuses(text, values, expected):
    with pytest.raises(ServiceError) as refusal:
        read_range(KEY, compile_key_condition(text, ()).conditions(values))
    assert refusal.value.message == expected


def test_names_and_values_have_to_be_used():
    names = read_names({"#a": "a", "#z": "z"})
    condition = compile_condition("ConditionExpression", "#a = :a", names)
    text = "Value provided in ExpressionAttributeNames unused in expressions: keys: {#z}"
    with pytest.raises(ServiceError, match=text):
        check_used(names, {":a": {"S": "a"}}, [condition])
    text = "Value provided in ExpressionAttributeValues unused in expressions: keys: {:b}"
    with pytest.raises(ServiceError, match=text):
        check_used(names[:1], {":a": {"S": "a"}, ":b": {"S": "b"}}, [condition])


@pytest.mark.parametrize(
    ("text", "operator"), [("a IN (b, a)", "IN"), ("a BETWEEN b AND a", "BETWEEN"), ("a = a", "=")]
)
def test_condition_refuses_to_compare_an_attribute_with_itself(text, operator):
    with pytest.raises(ServiceError) as refusal:
        compile_condition("FilterExpression", text, ())
    assert refusal.value.message == (
        "Invalid FilterExpression: The first operand must be distinct from the remaining operands for this operator or "
        f"function; operator: {operator}, first operand: [a]"
    )


@pytest.mark.parametrize("text", ["SET a = ((:a))", "SET a = ((:a + :a))", "SET a = if_not_exists(a, ((:a)))"])
def test_update_refuses_parentheses_around_parentheses(text):
    with pytest.raises(ServiceError, match="Invalid UpdateExpression: The expression has redundant parentheses;"):
        compile_update(text, ())


@pytest.mark.parametrize("text", ["SET a = (:a)", "SET a = ((:a) + (:a))", "SET a = (:a + (:a - :a))"])
def test_update_takes_parentheses_that_group(text):
    assert compile_update(text, ()).used_values == (":a",)
