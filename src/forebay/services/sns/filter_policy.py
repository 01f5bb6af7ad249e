"""Filter policies: SNS's two dialects of the pattern language, its own limits, and messages as what they match. Pure.

Source: "Filter policy constraints in Amazon SNS" and "Payload-based message filtering" in the developer guide.
"""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from forebay.api import sns as api
from forebay.languages.event_pattern import SNS_ATTRIBUTES, SNS_PAYLOAD, InvalidPattern, Pattern, parse_pattern
from forebay.services.sns import limits

ATTRIBUTES = "MessageAttributes"
BODY = "MessageBody"


def compile_policy(text: str, scope: str) -> Pattern:
    """Return a filter policy ready to match, which was checked when it was set."""
    return parse_pattern(text, SNS_PAYLOAD if scope == BODY else SNS_ATTRIBUTES)


def find_problem(text: str, scope: str) -> str | None:
    """Return what is wrong with a filter policy, in AWS's words, or None."""
    if len(text.encode()) > limits.FILTER_POLICY_CHARACTERS_MAX:
        return "Filter policy is too long"
    document = body_document(text)
    if document is None:
        return "failed to parse JSON."
    return _find_limit(document, scope) or _find_syntax(text, scope) or _find_complexity(document)


def attributes_document(attributes: Mapping[str, api.MessageAttributeValue]) -> dict[str, object]:
    """Return message attributes as the document that attribute filters match; binary ones take no part."""
    document: dict[str, object] = {}
    for name, attribute in attributes.items():
        text = attribute.string_value
        if text is None:
            continue
        if attribute.data_type == "String.Array":
            document[name] = _decoded(text, text)
        elif attribute.data_type.partition(".")[0] == "Number":
            document[name] = _decoded(text, None)
        else:
            document[name] = text
    return document


def body_document(message: str) -> dict[str, Any] | None:
    """Return a message's body as the document that payload filters match, or None where it is no JSON object."""
    document = _decoded(message, None)
    return cast("dict[str, Any]", document) if isinstance(document, dict) else None


def _find_limit(policy: Mapping[str, object], scope: str) -> str | None:
    if len(policy) > limits.FILTER_KEYS_MAX:
        return f"Filter policy can not have more than {limits.FILTER_KEYS_MAX} keys"
    if scope == ATTRIBUTES and _is_nested(policy):
        return "Filter policy scope MessageAttributes does not support nested filter policy"
    return None


def _find_syntax(text: str, scope: str) -> str | None:
    try:
        compile_policy(text, scope)
    except InvalidPattern as invalid:
        return invalid.reason
    return None


def _find_complexity(policy: Mapping[str, object]) -> str | None:
    is_complex = _combinations(policy, 1) > limits.FILTER_COMBINATIONS_MAX
    return "Filter policy is too complex" if is_complex else None


def _decoded(text: str, otherwise: object) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return otherwise


def _is_nested(policy: Mapping[str, object]) -> bool:
    for name, value in policy.items():
        if name == "$or" and isinstance(value, list):
            choices = cast("list[object]", value)
            if any(isinstance(choice, dict) and _is_nested(cast("dict[str, object]", choice)) for choice in choices):
                return True
        elif isinstance(value, dict):
            return True
    return False


def _combinations(policy: Mapping[str, object], depth: int) -> int:
    """Return AWS's measure of complexity: the product of each key's number of values times its depth."""
    total = 1
    for name, value in policy.items():
        if isinstance(value, dict):
            total *= _combinations(cast("dict[str, object]", value), depth + 1)
        elif isinstance(value, list):
            values = cast("list[object]", value)
            if name == "$or":
                total *= sum(_combinations(cast("dict[str, object]", choice), depth) for choice in values)
            else:
                total *= len(values) * depth
    return total
