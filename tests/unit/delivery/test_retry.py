"""When a delivery is tried again."""

from hypothesis import given
from hypothesis import strategies as st

from forebay.delivery.contract import Delivery, Exhausted, Retry, RetryPolicy
from forebay.delivery.retry import next_attempt_at


def delivery(attempts=1, created_at=1_000.0, attempts_max=185, age=86_400.0):
    return Delivery(
        "d",
        "arn:aws:events:r:1:rule/r",
        "arn:aws:sqs:r:1:q",
        "{}",
        created_at,
        RetryPolicy(attempts_max, age),
        attempts=attempts,
    )


FAILURE = Retry("CODE", "text", detail=b"answer")


def test_first_retry_comes_after_about_a_second():
    assert next_attempt_at(delivery(), FAILURE, 1_000.0, chance=0.0) == 1_000.5
    assert next_attempt_at(delivery(), FAILURE, 1_000.0, chance=0.999) < 1_001.0


def test_retries_end_with_the_attempts():
    verdict = next_attempt_at(delivery(attempts=3, attempts_max=2), FAILURE, 1_000.0, 0.5)
    assert verdict == Exhausted("MaximumRetryAttempts", "CODE", "text", b"answer")


def test_no_retry_at_all_where_the_policy_allows_none():
    assert isinstance(next_attempt_at(delivery(attempts_max=0), FAILURE, 1_000.0, 0.5), Exhausted)


def test_retries_end_with_the_age():
    verdict = next_attempt_at(delivery(age=60.0), FAILURE, 1_059.8, 0.5)
    assert verdict == Exhausted("MaximumEventAgeInSeconds", "CODE", "text", b"answer")


def test_throttling_uses_up_age_only():
    throttled = Retry("THROTTLED", "slow down", counts=False)
    assert not isinstance(next_attempt_at(delivery(attempts=1, attempts_max=0), throttled, 1_000.0, 0.5), Exhausted)


def test_target_can_ask_for_more_time():
    patient = Retry("CODE", "text", after_seconds=60.0)
    assert next_attempt_at(delivery(), patient, 1_000.0, 0.5) == 1_060.0


@given(attempts=st.integers(1, 200), chance=st.floats(0, 1, exclude_max=True))
def test_back_off_is_positive_and_bounded(attempts, chance):
    due_at = next_attempt_at(delivery(attempts=attempts, attempts_max=1_000, age=1e9), FAILURE, 1_000.0, chance)
    assert 1_000.5 <= due_at <= 1_300.0
