"""The Rules section: what parameters must fulfil together, checked before anything is made. Pure.

Source: "Rules" and "Rule-specific intrinsic functions" in the CloudFormation user guide. The functions that look
values up in the account (`RefAll`, `ValueOf`, `ValueOfAll`) are refused by name.
"""

from collections.abc import Mapping
from typing import Any, cast

from forebay.services.cloudformation.template.errors import invalid
from forebay.services.cloudformation.template.functions import Scope, text_of


def check_rules(rules: Mapping[str, Any], scope: Scope) -> None:
    """Check the assertions of every rule whose condition holds; `scope` knows parameters and mappings.

    Raises:
        ServiceError: `ValidationError`: an assertion does not hold, in its own words, or a rule is malformed.
    """
    for name, rule in rules.items():
        members = cast("dict[str, Any]", rule) if isinstance(rule, dict) else {}
        assertions = members.get("Assertions")
        if not isinstance(assertions, list) or not assertions:
            raise invalid(f"Template format error: Rule {name} must have at least one Assertion.")
        if "RuleCondition" in members and not _holds(scope, members["RuleCondition"]):
            continue
        for assertion in cast("list[Any]", assertions):
            given = cast("dict[str, Any]", assertion) if isinstance(assertion, dict) else {}
            if "Assert" not in given:
                raise invalid(f"Template format error: Every assertion of rule {name} must have an Assert.")
            if not _holds(scope, given["Assert"]):
                reason = given.get("AssertDescription") or f"An assertion of rule {name} does not hold."
                raise invalid(f"Template validation error: {reason}")


def _holds(scope: Scope, value: object) -> bool:
    members = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if len(members) == 1:
        (name, argument), *_ = members.items()
        if name in ("Fn::And", "Fn::Or", "Fn::Not"):
            parts = [_holds(scope, part) for part in _list(name, argument)]
            return not all(parts) if name == "Fn::Not" else all(parts) if name == "Fn::And" else any(parts)
        if name in _MEMBERSHIP:
            left, right = (_texts(scope.resolve(part)) for part in _pair(name, argument))
            return _MEMBERSHIP[name](left, right)
    resolved = text_of(scope.resolve(value)).lower()
    if resolved not in ("true", "false"):
        raise invalid("Template format error: Every RuleCondition and Assert must be a boolean expression.")
    return resolved == "true"


def _contains(left: list[str], right: list[str]) -> bool:
    return all(item in left for item in right)


def _each_equals(left: list[str], right: list[str]) -> bool:
    return all([item] == right for item in left)


def _each_in(left: list[str], right: list[str]) -> bool:
    return all(item in right for item in left)


_MEMBERSHIP = {"Fn::Contains": _contains, "Fn::EachMemberEquals": _each_equals, "Fn::EachMemberIn": _each_in}


def _list(name: str, argument: object) -> list[Any]:
    if not isinstance(argument, list) or not argument:
        raise invalid(f"Template error: every {name} object requires a list of conditions.")
    return cast("list[Any]", argument)


def _pair(name: str, argument: object) -> list[Any]:
    if not isinstance(argument, list) or len(cast("list[Any]", argument)) != 2:
        raise invalid(f"Template error: every {name} object requires two parameters.")
    return cast("list[Any]", argument)


def _texts(value: object) -> list[str]:
    items = cast("list[object]", value) if isinstance(value, list) else [value]
    return [text_of(item) for item in items]
