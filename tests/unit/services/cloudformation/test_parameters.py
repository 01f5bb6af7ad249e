from typing import Any

import pytest

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.template.parameters import Bound, Given, bind, read_declarations


def bound(declaration: dict[str, Any], value: str | None) -> Bound:
    given = [] if value is None else [Given("P", value)]
    return bind(read_declarations({"P": declaration}), given)["P"]


def problem(declaration: dict[str, Any], value: str | None) -> str:
    with pytest.raises(ServiceError) as raised:
        bound(declaration, value)
    return raised.value.message


def test_given_value_wins_over_default() -> None:
    assert bound({"Type": "String", "Default": "a"}, "b").value == "b"
    assert bound({"Type": "String", "Default": "a"}, None).value == "a"


def test_default_of_any_scalar_becomes_text() -> None:
    assert bound({"Type": "Number", "Default": 3}, None).value == "3"
    assert bound({"Type": "String", "Default": True}, None).value == "true"


def test_list_types_become_lists() -> None:
    assert bound({"Type": "CommaDelimitedList"}, "a, b").in_template == ["a", "b"]
    assert bound({"Type": "List<Number>"}, "1,2").in_template == ["1", "2"]
    assert bound({"Type": "AWS::SSM::Parameter::Value<List<String>>"}, "name").is_list


def test_missing_value_is_refused() -> None:
    assert problem({"Type": "String"}, None) == "Parameters: [P] must have values"


def test_unknown_parameter_is_refused() -> None:
    with pytest.raises(ServiceError, match=r"Parameters: \[Q\] do not exist in the template"):
        bind({}, [Given("Q", "x")])


def test_unknown_type_is_refused() -> None:
    text = "Template format error: Unrecognized parameter type: Text"
    assert problem({"Type": "Text"}, "x") == text


@pytest.mark.parametrize(
    ("declaration", "value", "text"),
    [
        ({"AllowedValues": ["a", "b"]}, "c", "Parameter 'P' must be one of AllowedValues"),
        ({"AllowedPattern": "[a-z]+"}, "A", "Parameter 'P' must match pattern [a-z]+"),
        ({"MinLength": 3}, "ab", "Parameter 'P' must contain at least 3 characters"),
        ({"MaxLength": "2"}, "abc", "Parameter 'P' must contain at most 2 characters"),
        ({"Type": "Number"}, "abc", "Parameter 'P' must be a number"),
        ({"Type": "Number", "MinValue": 5}, "4", "Parameter 'P' must be a number not less than 5"),
        ({"Type": "Number", "MaxValue": 5}, "6", "Parameter 'P' must be a number not greater than 5"),
        (
            {"AllowedPattern": "[a-z]+", "ConstraintDescription": "small letters"},
            "A",
            "Parameter P failed to satisfy constraint: small letters",
        ),
    ],
)
def test_broken_constraint_is_refused(declaration: dict[str, Any], value: str, text: str) -> None:
    assert problem({"Type": "String", **declaration}, value) == text


def test_previous_value_is_kept() -> None:
    declarations = read_declarations({"P": {"Type": "String", "Default": "d"}})
    previous = {"P": Bound("P", "old")}
    assert bind(declarations, [Given("P", use_previous=True)], previous)["P"].value == "old"
    with pytest.raises(ServiceError, match="not in the previous template"):
        bind(declarations, [Given("P", use_previous=True)], {})
