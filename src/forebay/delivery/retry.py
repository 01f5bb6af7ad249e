"""When a delivery is tried again. Pure: time and chance are handed in."""

from forebay.delivery.contract import Delivery, Exhausted, Retry


def next_attempt_at(delivery: Delivery, failure: Retry, now: float, chance: float) -> float | Exhausted:
    """Return when to try again after `failure`, or why not any more.

    `delivery.attempts` counts the attempt that failed. `chance` is a random number in [0, 1) for the jitter (half of
    the back-off is fixed, half random). Source: EventBridge retry policies (24 hours and 185 attempts by default,
    exponential back-off and jitter).
    """
    policy = delivery.retry
    retries_made = delivery.attempts - 1
    if failure.counts and retries_made >= policy.attempts_max:
        return Exhausted("MaximumRetryAttempts", failure.code, failure.message, failure.detail)
    exponent = min(max(retries_made, 0), 32)
    backoff_seconds = min(policy.backoff_seconds_min * 2**exponent, policy.backoff_seconds_max)
    backoff_seconds *= 0.5 + chance / 2
    due_at = now + max(backoff_seconds, failure.after_seconds)
    if due_at - delivery.created_at > policy.age_seconds_max:
        return Exhausted("MaximumEventAgeInSeconds", failure.code, failure.message, failure.detail)
    return due_at
