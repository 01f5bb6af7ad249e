"""SNS: standard and FIFO topics, subscriptions of queues, functions, HTTP endpoints and mail addresses.

Reading order: `topic`, `subscription`, `filter_policy`, `delivery_policy`, `archive_policy` and `message` (what is
kept, what flows, and the rules on both), `topics`, `subscriptions` and `messages` (operations), `topic_index` (each
topic's subscriptions, compiled), `publisher` (from a message to what is committed for it), `fifo`, `archive` and
`replayer` (messages that are kept, and sent again), `signing`, `confirmation`, `target` (topics as targets),
`endpoints`, `http_endpoint`, `mail`, `mailer` and `outbox` (endpoints that are reached through their subscription),
`sender` (dead letters) and `status_log`, `workers`, `ingress` (certificates). `tags`, `permissions` and
`phone_numbers` stand apart.

Left out, and answered with an error that says so: mobile push, messages to phone numbers, Firehose. Kept and shown, but
without effect: access and data protection policies, KMS keys, settings for text messages, and subscriptions of phone
numbers, which nothing is sent to.
"""

from forebay.api import sns as api
from forebay.operations.platform import Platform
from forebay.operations.service import Duty, Parts, Service
from forebay.services.sns import messages, permissions, phone_numbers, subscriptions, tags, topics
from forebay.services.sns.archive import REPLAY_TIMER
from forebay.services.sns.endpoints import Endpoints
from forebay.services.sns.explaining import Explaining
from forebay.services.sns.fifo import ACCEPTED, ACCEPTED_TIMER, FifoPublisher
from forebay.services.sns.http_endpoint import HttpEndpoints
from forebay.services.sns.ingress import Certificates
from forebay.services.sns.mailer import Mailer
from forebay.services.sns.outbox import Outbox
from forebay.services.sns.publisher import Publisher
from forebay.services.sns.replayer import SubscriptionReplayer
from forebay.services.sns.sender import SubscriptionSender
from forebay.services.sns.signing import Signer
from forebay.services.sns.status_log import StatusLog
from forebay.services.sns.subscription import ENDED, ENDED_TIMER
from forebay.services.sns.target import TopicTarget
from forebay.services.sns.topic_index import TopicIndex
from forebay.services.sns.workers import Forgetting


async def _build(platform: Platform) -> Parts:
    store, clock, ids = platform.store, platform.clock, platform.ids
    index = TopicIndex(store)
    signer = Signer(store, clock)
    status_log = StatusLog(platform)
    publisher = Publisher(
        platform.deliveries,
        ids,
        signer,
        platform.endpoint,
        status_log,
        platform.trace,
    )
    fifo = FifoPublisher(store, publisher)
    http = HttpEndpoints(store, clock)
    mailer = Mailer(store, clock, platform.config.smtp, platform.config.mail_sender)
    return Parts(
        target=TopicTarget(clock, ids, index, publisher, fifo, Endpoints(store, http, mailer)),
        sender=SubscriptionSender(clock, ids, status_log),
        ingress=Certificates(signer),
        duties=[
            Duty(Forgetting(store, clock, ACCEPTED_TIMER, ACCEPTED), [("timers", ACCEPTED_TIMER)]),
            Duty(Forgetting(store, clock, ENDED_TIMER, ENDED), [("timers", ENDED_TIMER)]),
            Duty(SubscriptionReplayer(store, clock, publisher), [("timers", REPLAY_TIMER)]),
        ],
        controls={"outbox": Outbox(store).show, "explain": Explaining(clock, index).explain},
        shared=[index, publisher, fifo],
        close=[http.close, mailer.close],
    )


SERVICE = Service(
    name="sns",
    model=api.MODEL,
    operations=[topics, subscriptions, messages, phone_numbers, tags, permissions],
    build=_build,
)
