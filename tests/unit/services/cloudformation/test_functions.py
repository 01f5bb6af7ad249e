import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.template.functions import FUNCTIONS, Scope

CASES = json.loads((Path(__file__).parent / "cases" / "functions.json").read_text())

SCOPE = Scope(
    {"Name": "orders", "Zones": ["a", "b"], "AWS::Region": "eu-west-1"},
    {"Sizes": {"eu-west-1": {"Memory": 512}}},
    {
        "IsOrders": {"Fn::Equals": [{"Ref": "Name"}, "orders"]},
        "IsNot": {"Fn::Not": [{"Condition": "IsOrders"}]},
        "Both": {"Fn::And": [{"Condition": "IsOrders"}, {"Fn::Equals": ["a", "a"]}]},
        "Either": {"Fn::Or": [{"Condition": "IsNot"}, {"Condition": "IsOrders"}]},
        "Ring": {"Fn::Not": [{"Condition": "Rung"}]},
        "Rung": {"Fn::Not": [{"Condition": "Ring"}]},
    },
    reference=lambda name: {"Queue": "queue-id"}[name],
    attribute=lambda name, attribute: f"{name}.{attribute}",
    imported=lambda name: f"import of {name}",
)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_function_gives_what_it_stands_for(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(ServiceError) as raised:
            SCOPE.resolve(case["value"])
        assert raised.value.message == case["error"]
        assert raised.value.code == "ValidationError"
    else:
        assert SCOPE.resolve(case["value"]) == case["expected"]


_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), inner, min_size=2, max_size=3)
    ),
    max_leaves=6,
)


@given(_plain)
def test_value_without_functions_stays_as_it_is(value: object) -> None:
    assert SCOPE.resolve(value) == value


@given(st.lists(st.text(alphabet="abc-"), min_size=1))
def test_split_undoes_join(parts: list[str]) -> None:
    joined = {"Fn::Join": ["/", parts]}
    assert SCOPE.resolve({"Fn::Split": ["/", joined]}) == parts


@given(st.text())
def test_sub_without_variables_is_the_text(text: str) -> None:
    if "${" not in text:
        assert SCOPE.resolve({"Fn::Sub": text}) == text


@given(st.sampled_from(sorted(FUNCTIONS)), _plain)
def test_malformed_argument_is_a_validation_error(name: str, value: object) -> None:
    try:
        SCOPE.resolve({name: value})
    except ServiceError as error:
        assert error.code == "ValidationError"  # noqa: PT017 - not every value raises
    except KeyError:
        # The scope of this test knows one resource only.
        pass
