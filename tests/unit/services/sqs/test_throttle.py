"""Call rates of FIFO queues: refused above AWS's only where that is switched on."""

import msgspec
import pytest

from forebay.api import sqs as api
from forebay.core.clock import Clock
from forebay.services.sqs.queue import Queue
from forebay.services.sqs.throttle import FifoLimits

QUEUE = Queue(number=1, account="1", region="r", name="q.fifo", created_at=0, modified_at=0, is_fifo=True)
FAST = msgspec.structs.replace(QUEUE, deduplication_scope="messageGroup", throughput_limit="perMessageGroupId")


def fill(limits, queue, action="SendMessage", groups=("g",)):
    for _ in range(300):
        limits.check(queue, action, groups)


def test_the_301st_call_of_a_second_is_refused():
    clock = Clock(frozen_at=1000.5)
    limits = FifoLimits(clock, is_enforced=True)
    fill(limits, QUEUE)
    with pytest.raises(api.RequestThrottled, match="The request was denied due to request throttling"):
        limits.check(QUEUE, "SendMessage", ("another",))
    limits.check(QUEUE, "DeleteMessage")
    limits.check(msgspec.structs.replace(QUEUE, number=2), "SendMessage")
    clock.advance(0.5)
    limits.check(QUEUE, "SendMessage")


def test_high_throughput_counts_for_each_group():
    limits = FifoLimits(Clock(frozen_at=1000), is_enforced=True)
    fill(limits, FAST)
    limits.check(FAST, "SendMessage", ("another",))
    for _ in range(400):
        limits.check(FAST, "ReceiveMessage")
    with pytest.raises(api.RequestThrottled):
        limits.check(FAST, "SendMessage", ("third", "g"))


def test_nothing_is_refused_unless_it_is_switched_on():
    limits = FifoLimits(Clock(frozen_at=1000), is_enforced=False)
    for _ in range(2):
        fill(limits, QUEUE)
