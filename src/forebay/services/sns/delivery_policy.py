"""Delivery policies: how often and when SNS tries an HTTP endpoint again. Pure.

Source: "Creating an HTTP/S delivery policy" and "Amazon SNS message delivery retries" in the developer guide.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

import msgspec

from forebay.services.sns.errors import invalid_parameter

_FUNCTIONS = ("linear", "arithmetic", "geometric", "exponential")
_DELAY_SECONDS_MAX = 3_600
_RETRIES_MAX = 100
_TOPIC_MEMBERS = frozenset({
    "defaultHealthyRetryPolicy", "defaultRequestPolicy", "defaultSicklyRetryPolicy", "defaultThrottlePolicy",
    "disableSubscriptionOverrides",
})  # fmt: skip
_SUBSCRIPTION_MEMBERS = frozenset({
    "guaranteed", "healthyRetryPolicy", "requestPolicy", "sicklyRetryPolicy", "throttlePolicy",
})  # fmt: skip


class RetryRules(msgspec.Struct, frozen=True, rename="camel"):
    """A healthy retry policy, with AWS's defaults. Delays are seconds."""

    min_delay_target: int = 20
    max_delay_target: int = 20
    num_retries: int = 3
    num_max_delay_retries: int = 0
    num_no_delay_retries: int = 0
    num_min_delay_retries: int = 0
    backoff_function: str = "linear"

    def delay_seconds(self, retry: int) -> float:
        """Return the pause before a retry, counted from 1: at once, at least, backing off, at most."""
        if retry <= self.num_no_delay_retries:
            return 0.0
        retry -= self.num_no_delay_retries
        if retry <= self.num_min_delay_retries:
            return float(self.min_delay_target)
        retry -= self.num_min_delay_retries
        steps = self.num_retries - self.num_no_delay_retries - self.num_min_delay_retries - self.num_max_delay_retries
        if retry > steps or steps <= 1:
            return float(self.max_delay_target)
        return self._backing_off((retry - 1) / (steps - 1))

    def _backing_off(self, part: float) -> float:
        """Return the delay at a part (0 to 1) of the way from the least to the greatest."""
        low, high = float(self.min_delay_target), float(self.max_delay_target)
        match self.backoff_function:
            case "linear":
                grown = part
            case "arithmetic":
                grown = part * (part + 1) / 2
            case "geometric":
                return low * (high / low) ** part
            case _:
                grown = (2 ** (10 * part) - 1) / 1023
        return low + (high - low) * grown


def topic_delivery_policy(text: str | None) -> str:
    """Return the policy that is in effect for a topic, AWS's defaults filled in."""
    document: dict[str, Any] = json.loads(text) if text else {}
    http: dict[str, Any] = document.get("http", {})
    retry = {**msgspec.to_builtins(RetryRules()), **http.get("defaultHealthyRetryPolicy", {})}
    effective: dict[str, Any] = {
        "defaultHealthyRetryPolicy": retry,
        "disableSubscriptionOverrides": http.get("disableSubscriptionOverrides", False),
        "defaultRequestPolicy": {
            "headerContentType": "text/plain; charset=UTF-8",
            **http.get("defaultRequestPolicy", {}),
        },
    }
    if "defaultThrottlePolicy" in http:
        effective["defaultThrottlePolicy"] = http["defaultThrottlePolicy"]
    return _compact({"http": effective})


def subscription_delivery_policy(topic_text: str | None, text: str | None) -> str:
    """Return the policy that is in effect for a subscription: its own, else its topic's, else AWS's defaults."""
    topic: dict[str, Any] = json.loads(topic_delivery_policy(topic_text))["http"]
    own: dict[str, Any] = json.loads(text) if text and not topic["disableSubscriptionOverrides"] else {}
    effective: dict[str, Any] = {
        "healthyRetryPolicy": {**topic["defaultHealthyRetryPolicy"], **(own.get("healthyRetryPolicy") or {})},
        "sicklyRetryPolicy": own.get("sicklyRetryPolicy"),
        "throttlePolicy": own.get("throttlePolicy", topic.get("defaultThrottlePolicy")),
        "requestPolicy": {**topic["defaultRequestPolicy"], **(own.get("requestPolicy") or {})},
        "guaranteed": own.get("guaranteed", False),
    }
    return _compact(effective)


@lru_cache(maxsize=1024)
def effective_policy(topic_text: str | None, text: str | None) -> Mapping[str, Any]:
    """Return the policy that is in effect for a subscription, read."""
    return json.loads(subscription_delivery_policy(topic_text, text))


def retry_rules(policy: Mapping[str, Any]) -> RetryRules:
    """Return when an endpoint is tried again by the policy that is in effect."""
    return msgspec.convert(policy["healthyRetryPolicy"], RetryRules)


def check_topic_delivery_policy(text: str) -> None:
    """Check a topic's delivery policy.

    Raises:
        InvalidParameter: it is none.
    """
    policy = _parsed(text)
    http = policy.get("http")
    if not isinstance(http, dict):
        raise invalid_parameter("DeliveryPolicy: http must be present")
    members = cast("dict[str, Any]", http)
    _check_members(members, _TOPIC_MEMBERS)
    _check_retry(members.get("defaultHealthyRetryPolicy"), "defaultHealthyRetryPolicy")
    _check_throttle(members.get("defaultThrottlePolicy"), "defaultThrottlePolicy")


def check_subscription_delivery_policy(text: str) -> None:
    """Check a subscription's delivery policy.

    Raises:
        InvalidParameter: it is none.
    """
    policy = _parsed(text)
    _check_members(policy, _SUBSCRIPTION_MEMBERS)
    retry: object = policy.get("healthyRetryPolicy")
    if isinstance(retry, dict):
        _check_delays(cast("Mapping[str, Any]", retry))
    _check_retry(policy.get("healthyRetryPolicy"), "healthyRetryPolicy")
    _check_throttle(policy.get("throttlePolicy"), "throttlePolicy")


def _parsed(text: str) -> dict[str, Any]:
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise invalid_parameter("DeliveryPolicy: failed to parse JSON.")
    return cast("dict[str, Any]", document)


def _check_members(policy: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = next((name for name in policy if name not in known), None)
    if unknown is not None:
        # The words that are known for a RedrivePolicy.
        raise invalid_parameter(f"DeliveryPolicy: invalid JSON. Attribute {unknown} is unknown.")


def _check_delays(retry: Mapping[str, Any]) -> None:
    """Check that a subscription's retry policy names its delays; the documentation's example without is refused."""
    for name in ("minDelayTarget", "maxDelayTarget"):
        if name not in retry:
            raise invalid_parameter(f"DeliveryPolicy: healthyRetryPolicy.{name} must be specified")


def _check_retry(given: object, name: str) -> None:
    if given is None:
        return
    try:
        rules = msgspec.convert(given, RetryRules)
    except msgspec.ValidationError as error:
        raise invalid_parameter(f"DeliveryPolicy: {error}") from None
    if rules.backoff_function not in _FUNCTIONS:
        raise invalid_parameter(f"DeliveryPolicy: {name}.backoffFunction must be one of {', '.join(_FUNCTIONS)}")
    if not 1 <= rules.min_delay_target <= rules.max_delay_target <= _DELAY_SECONDS_MAX:
        raise invalid_parameter(
            f"DeliveryPolicy: {name}.minDelayTarget must be between 1 and maxDelayTarget, "
            f"and maxDelayTarget at most {_DELAY_SECONDS_MAX}"
        )
    parts = (rules.num_no_delay_retries, rules.num_min_delay_retries, rules.num_max_delay_retries)
    if not 0 <= rules.num_retries <= _RETRIES_MAX or min(parts) < 0 or sum(parts) > rules.num_retries:
        raise invalid_parameter(
            f"DeliveryPolicy: {name}.numRetries must be between 0 and {_RETRIES_MAX} "
            "and not less than the sum of its phases"
        )


def _check_throttle(given: object, name: str) -> None:
    if given is None:
        return
    rate: object = cast("dict[str, object]", given).get("maxReceivesPerSecond", 1) if isinstance(given, dict) else None
    if not isinstance(rate, int) or isinstance(rate, bool) or rate < 1:
        raise invalid_parameter(f"DeliveryPolicy: {name}.maxReceivesPerSecond must be an integer of at least 1")


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
