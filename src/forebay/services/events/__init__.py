"""EventBridge: event buses, rules, targets, archives, replays, API destinations.

Reading order: `bus`, `rule`, `rule_target` and `event` (what is kept, what flows, and the rules on both), `buses`,
`rules`, `targets` and `events` (operations), `rule_index` (the compiled rules of each bus), `router` (from an event to
what is committed for it), `target` (buses as targets), `sender` (dead letters), `schedule` and `workers` (rules that
run by the clock), `bus_log` (what a bus logs), `archive`, `archives`, `replay`, `replays` and `replayer` (events that
are kept, and put on their bus again), `managed` (the rules that AWS lists for archives), `connection`, `connections`,
`authorizer`, `api_destination`, `api_destinations`, `invocation`, `http_client` and `api_destination_target` (other
HTTP servers as targets), `throttle` (preset rates). `endpoint`, `endpoints`, `partners`, `explaining`, `permissions`,
`policy` and `tags` stand apart.

Left out, and answered with an error that says so: connections to private APIs. Nobody is a partner, and partner event
sources are answered accordingly. Kept and shown, but without effect: policies of buses and roles of rules and targets
(IAM is not enforced), KMS keys, and so dead-letter queues of buses, which are for what cannot be decrypted; health
checks of global endpoints. Secrets of connections lie encrypted in their records, not in Secrets Manager, under whose
ARNs they are shown. A target whose service this node cannot deliver to is refused when it is put.
"""

from forebay.api import events as api
from forebay.operations.platform import Platform
from forebay.operations.secret_box import SecretBox
from forebay.operations.service import Duty, Parts, Service
from forebay.services.events import (
    api_destinations,
    archives,
    buses,
    connections,
    endpoints,
    events,
    partners,
    permissions,
    replays,
    rules,
    tags,
    targets,
)
from forebay.services.events.api_destination_target import ApiDestinationTarget
from forebay.services.events.authorizer import AUTHORIZE_TIMER, Authorizer, Tokens
from forebay.services.events.explaining import Explaining
from forebay.services.events.http_client import HttpClient
from forebay.services.events.replay import TIMERS
from forebay.services.events.replayer import Replayer
from forebay.services.events.router import Router
from forebay.services.events.rule_index import RuleIndex
from forebay.services.events.schedule import KIND
from forebay.services.events.sender import RuleSender
from forebay.services.events.target import BusTarget, EventsTarget
from forebay.services.events.workers import ScheduledRules


async def _build(platform: Platform) -> Parts:
    store, clock, ids = platform.store, platform.clock, platform.ids
    index = RuleIndex(store)
    router = Router(index, platform.deliveries, platform.trace, ids)
    client = HttpClient()
    box = SecretBox(store, ids, platform.config.secrets_key or platform.config.data / "secrets.key")
    tokens = Tokens(clock, client)
    destinations = ApiDestinationTarget(store, clock, client, tokens, box)
    return Parts(
        target=EventsTarget(BusTarget(store, clock, ids, router), destinations),
        sender=RuleSender(clock, ids),
        duties=[
            Duty(ScheduledRules(store, clock, ids, router), [("timers", KIND)]),
            Duty(Replayer(store, clock, router), [("timers", TIMERS)]),
            Duty(Authorizer(store, clock, tokens, box), [("timers", AUTHORIZE_TIMER)]),
        ],
        controls={"explain": Explaining(clock, index).explain},
        shared=[index, router, box],
        close=[client.close],
    )


SERVICE = Service(
    name="events",
    model=api.MODEL,
    operations=[
        buses,
        rules,
        targets,
        events,
        archives,
        replays,
        api_destinations,
        connections,
        endpoints,
        partners,
        permissions,
        tags,
    ],
    build=_build,
)
