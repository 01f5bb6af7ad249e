import pytest

from forebay.core.errors import ServiceError
from forebay.services.sns.delivery_policy import (
    RetryRules,
    check_subscription_delivery_policy,
    effective_policy,
    retry_rules,
)


def delays(rules: RetryRules) -> list[float]:
    return [rules.delay_seconds(retry) for retry in range(1, rules.num_retries + 1)]


def rules(function: str, retries: int = 5) -> RetryRules:
    return RetryRules(min_delay_target=10, max_delay_target=90, num_retries=retries, backoff_function=function)


def test_delays_grow_evenly() -> None:
    assert delays(rules("linear")) == [10, 30, 50, 70, 90]


def test_geometric_delays_grow_by_a_factor() -> None:
    assert delays(rules("geometric", 3)) == pytest.approx([10, 30, 90])


@pytest.mark.parametrize("function", ["linear", "arithmetic", "geometric", "exponential"])
def test_delays_go_from_the_least_to_the_greatest(function: str) -> None:
    found = delays(rules(function, 20))
    assert (found[0], found[-1]) == pytest.approx((10, 90))
    assert found == sorted(found)


def test_phases_come_in_their_order() -> None:
    phased = RetryRules(
        min_delay_target=10,
        max_delay_target=30,
        num_retries=8,
        num_no_delay_retries=1,
        num_min_delay_retries=2,
        num_max_delay_retries=2,
    )
    assert delays(phased) == [0, 10, 10, 10, 20, 30, 30, 30]


def test_subscription_overrides_its_topic_unless_the_topic_forbids_it() -> None:
    own = '{"healthyRetryPolicy": {"numRetries": 7}}'
    topic = '{"http": {"defaultHealthyRetryPolicy": {"numRetries": 5}}}'
    closed = '{"http": {"defaultHealthyRetryPolicy": {"numRetries": 5}, "disableSubscriptionOverrides": true}}'
    found = [retry_rules(effective_policy(one, two)).num_retries for one, two in ((None, None), (topic, None))]
    assert found == [3, 5]
    assert retry_rules(effective_policy(topic, own)).num_retries == 7
    assert retry_rules(effective_policy(closed, own)).num_retries == 5


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "[]",
        '{"healthyRetryPolicy": {"numRetries": 101}}',
        '{"healthyRetryPolicy": {"numRetries": "many"}}',
        '{"healthyRetryPolicy": {"minDelayTarget": 30, "maxDelayTarget": 20}}',
        '{"healthyRetryPolicy": {"numRetries": 1, "numNoDelayRetries": 2}}',
        '{"healthyRetryPolicy": {"backoffFunction": "random"}}',
    ],
)
def test_policy_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ServiceError) as caught:
        check_subscription_delivery_policy(text)
    assert caught.value.code == "InvalidParameter"
