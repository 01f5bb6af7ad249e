"""Consumers' time by tenant: who has taken too much of it."""

import pytest

from forebay.services.sqs.tenants import TenantTimes
from forebay.store.commands import CallNoisy, Receipt, ReceivedMessage

HIDDEN_MS = 60_000


class Consumers:
    """Receive and delete messages, one after the other."""

    def __init__(self):
        self.times = TenantTimes()
        self.now_ms = 1_000_000
        self.position = 0

    def work(self, group, seconds):
        """Receive a message, work on it, delete it; return who was called noisy."""
        self.position += 1
        received = ReceivedMessage(
            self.position, "m", "", b"", 0, self.now_ms + HIDDEN_MS, 10**12, self.now_ms, 1, group
        )
        self.times.received(1, [received], self.now_ms)
        self.now_ms += int(seconds * 1000)
        noisy = self.times.deleted(1, [Receipt(self.position, 1)], self.now_ms)
        return () if noisy is None else noisy.tenants


@pytest.fixture
def consumers():
    return Consumers()


def test_a_tenant_with_few_but_slow_messages_is_noisy(consumers):
    for number in range(10):
        assert consumers.work(f"quick-{number}", 1) == ()
    assert consumers.work("slow", 29) == ()
    assert consumers.work("slow", 1) == ("slow",)
    # It need not be said again for each message.
    assert consumers.work("slow", 1) == ()


def test_a_tenant_with_a_tenth_of_the_time_is_quiet(consumers):
    for number in range(10):
        consumers.work(f"other-{number}", 30)
    # 30 of 330 seconds.
    assert consumers.work("one", 30) == ()


def test_messages_without_group_count_as_others_time(consumers):
    consumers.work("a", 1)
    for _ in range(9):
        consumers.work(None, 32)
    assert consumers.work("a", 31) == ("a",)
    assert consumers.work(None, 59) == ()


def test_time_of_long_ago_does_not_count(consumers):
    consumers.work("a", 29)
    consumers.now_ms += 300_000
    assert consumers.work("a", 29) == ()


def test_time_ends_with_the_visibility_timeout(consumers):
    consumers.work("a", 1)
    received = ReceivedMessage(99, "m", "", b"", 0, consumers.now_ms + 5_000, 10**12, consumers.now_ms, 1, "a")
    consumers.times.received(1, [received], consumers.now_ms)
    assert consumers.times.deleted(1, [Receipt(99, 1)], consumers.now_ms + 100_000) is None


def test_a_message_that_is_received_again_was_worked_on_before(consumers):
    for _ in range(3):
        again = ReceivedMessage(7, "m", "", b"", 0, consumers.now_ms + 15_000, 10**12, consumers.now_ms, 1, "a")
        consumers.times.received(1, [again], consumers.now_ms)
        consumers.now_ms += 20_000
    assert consumers.times.deleted(1, [Receipt(7, 3)], consumers.now_ms) == CallNoisy(1, ("a",))


def test_queues_without_tenants_cost_nothing(consumers):
    assert consumers.work(None, 1000) == ()
    assert not consumers.times._held
    assert not consumers.times._queues
