"""SNS: standard and FIFO topics, subscriptions of queues, functions and HTTP endpoints.

Reading order: `topic`, `subscription`, `filter_policy`, `delivery_policy` and `message` (what is kept, what flows, and
the rules on both), `topics`, `subscriptions` and `messages` (operations), `topic_index` (each topic's subscriptions,
compiled), `publisher` (from a message to what is committed for it), `fifo`, `signing`, `confirmation`, `target` (topics
as targets), `http_endpoint`, `sender` (dead letters), `workers`, `ingress` (certificates). `tags` and `permissions`
stand apart.

Left out, and answered with an error that says so: mobile push, messages to phone numbers, Firehose, archives and
replays of FIFO topics. Kept and shown, but without effect: access and data protection policies, KMS keys, logs of
delivery status, throttle policies, and subscriptions of mail addresses and phone numbers, which nothing is sent to.
"""

from forebay.api import sns as api
from forebay.operations.platform import Platform
from forebay.operations.service import Duty, Parts, Service
from forebay.services.sns import messages, permissions, subscriptions, tags, topics
from forebay.services.sns.fifo import ACCEPTED_TIMER, FifoPublisher
from forebay.services.sns.http_endpoint import HttpEndpoints
from forebay.services.sns.ingress import Certificates
from forebay.services.sns.publisher import Publisher
from forebay.services.sns.sender import SubscriptionSender
from forebay.services.sns.signing import Signer
from forebay.services.sns.target import TopicTarget
from forebay.services.sns.topic_index import TopicIndex
from forebay.services.sns.workers import Forgetting


async def _build(platform: Platform) -> Parts:
    store, clock, ids = platform.store, platform.clock, platform.ids
    index = TopicIndex(store)
    signer = Signer(store, clock)
    publisher = Publisher(
        platform.deliveries,
        platform.trace,
        ids,
        signer,
        platform.endpoint,
        is_traced=platform.config.trace_seconds > 0,
    )
    fifo = FifoPublisher(store, publisher)
    endpoints = HttpEndpoints(store)
    return Parts(
        target=TopicTarget(clock, ids, index, publisher, fifo, endpoints),
        sender=SubscriptionSender(clock, ids),
        ingress=Certificates(signer),
        duties=[Duty(Forgetting(store, clock), [("timers", ACCEPTED_TIMER)])],
        shared=[index, publisher, fifo],
        close=[endpoints.close],
    )


SERVICE = Service(
    name="sns", model=api.MODEL, operations=[topics, subscriptions, messages, tags, permissions], build=_build
)
