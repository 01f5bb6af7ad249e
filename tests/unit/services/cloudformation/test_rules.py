from typing import Any

import pytest

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.template.functions import Scope
from forebay.services.cloudformation.template.rules import check_rules

VALUES: dict[str, Any] = {"Stage": "prod", "Zones": ["a", "b"], "Size": 3}
TRUE, FALSE = {"Fn::Equals": ["1", 1]}, {"Fn::Equals": ["1", "2"]}


def check(condition: object, **rule: Any) -> None:
    check_rules({"R": {"Assertions": [{"Assert": condition, "AssertDescription": "No."}], **rule}}, Scope(VALUES))


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (TRUE, True),
        (FALSE, False),
        ({"Fn::Not": [FALSE]}, True),
        ({"Fn::And": [TRUE, FALSE]}, False),
        ({"Fn::Or": [TRUE, FALSE]}, True),
        ({"Fn::Equals": [{"Ref": "Stage"}, "prod"]}, True),
        ({"Fn::Contains": [["dev", "prod"], {"Ref": "Stage"}]}, True),
        ({"Fn::Contains": [["dev"], {"Ref": "Stage"}]}, False),
        ({"Fn::Contains": [[1, 2, 3], {"Ref": "Size"}]}, True),
        ({"Fn::EachMemberEquals": [{"Ref": "Zones"}, "a"]}, False),
        ({"Fn::EachMemberEquals": [["x", "x"], "x"]}, True),
        ({"Fn::EachMemberIn": [{"Ref": "Zones"}, ["a", "b", "c"]]}, True),
        ({"Fn::EachMemberIn": [{"Ref": "Zones"}, ["a"]]}, False),
        ({"Fn::Not": [{"Fn::Contains": [["dev"], {"Ref": "Stage"}]}]}, True),
    ],
)
def test_assertion_is_checked(condition: object, holds: bool) -> None:
    if holds:
        check(condition)
        return
    with pytest.raises(ServiceError, match=r"Template validation error: No\."):
        check(condition)


def test_rule_whose_condition_does_not_hold_is_skipped() -> None:
    check(FALSE, RuleCondition=FALSE)
    with pytest.raises(ServiceError):
        check(FALSE, RuleCondition=TRUE)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({}, "Rule R must have at least one Assertion"),
        ({"Assertions": [{}]}, "must have an Assert"),
        ({"Assertions": [{"Assert": "perhaps"}]}, "must be a boolean expression"),
        ({"Assertions": [{"Assert": {"Fn::Contains": ["a"]}}]}, "requires two parameters"),
        ({"Assertions": [{"Assert": {"Fn::Contains": [{"Fn::RefAll": "T"}, "a"]}}]}, "function Fn::RefAll"),
    ],
)
def test_malformed_rules_are_refused(rule: dict[str, Any], reason: str) -> None:
    with pytest.raises(ServiceError, match=reason):
        check_rules({"R": rule}, Scope(VALUES))
