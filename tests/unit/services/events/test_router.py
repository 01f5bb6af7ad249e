"""The index, the router and the bus as a target, on the store in memory, with queues that are not there."""

import asyncio
import json

import pytest

from forebay.api import events as api
from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.contract import Accepted, Deferred, Delivery, Exhausted, Rejected, RetryPolicy
from forebay.delivery.outbox import KIND, Deliveries
from forebay.delivery.trace import Trace
from forebay.services.events.bus import BUS, BusAddress, EventBus
from forebay.services.events.event import Origin, new_event, read_detail
from forebay.services.events.router import FORWARDED, Router
from forebay.services.events.rule import RULE, Rule
from forebay.services.events.rule_index import RuleIndex
from forebay.services.events.sender import RuleSender
from forebay.services.events.target import BusTarget
from forebay.store.commands import ListTimers, PutTimers
from forebay.store.memory import MemoryStore

ACCOUNT, REGION = "111122223333", "us-east-1"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"
CLAIMS = BusAddress(ACCOUNT, REGION, "claims")
ORIGIN = Origin("id-1", ACCOUNT, REGION)


class Elsewhere:
    """A target that takes everything later."""

    async def accept(self, _delivery):
        return Deferred()

    async def deliver(self, _delivery):
        raise AssertionError("nothing is dispatched here")


class Bench:
    """What a test needs of a node."""

    def __init__(self, trace_seconds=60.0):
        self.store = MemoryStore()
        self.clock, self.ids = Clock(1_000.0), Ids(1)
        self.trace = trace = Trace(self.store, trace_seconds)
        self.deliveries = Deliveries(self.clock, trace, self._target, self._sender)
        self.index = RuleIndex(self.store)
        self.router = Router(self.index, self.deliveries, trace, self.ids)
        self.target = BusTarget(self.store, self.clock, self.ids, self.router)

    async def put_bus(self, address=CLAIMS):
        bus = EventBus(account=address.account, region=address.region, name=address.name)
        await self.store.transact(lambda transaction: transaction.records.put(BUS, address.key(), bus))

    async def put_rule(self, name, pattern, **members):
        target = api.Target(id="t", arn=QUEUE)
        given = {"targets": (target,), **members}
        rule = Rule(account=ACCOUNT, region=REGION, bus="claims", name=name, pattern=json.dumps(pattern), **given)
        await self.store.transact(lambda transaction: transaction.records.put(RULE, rule.key(), rule))
        return rule

    async def outbox(self):
        timers = await self.store.view(lambda view: view.ask(ListTimers(KIND, 100)))
        return [json.loads(timer.data) for timer in timers]

    async def _target(self, service):
        return {"sqs": Elsewhere(), "events": self.target}.get(service)

    async def _sender(self, service):
        return RuleSender(self.clock, self.ids) if service == "events" else None


def event_of(detail):
    text = json.dumps(detail)
    document = read_detail(text)
    assert document is not None
    entry = api.PutEventsRequestEntry(source="shop", detail_type="Order", detail=text)
    return new_event(entry, document, ORIGIN, 1_000.0)


def deliver_from(source, payload, **members):
    bus = CLAIMS.arn()
    return Delivery("d-1", source, bus, payload, 1_000.0, RetryPolicy(0, 60), **members)


def run(test):
    return asyncio.run(test)


def test_rules_that_are_changed_while_their_bus_is_compiled_count():
    async def scenario():
        bench = Bench()
        await bench.put_bus()
        await bench.put_rule("one", {"source": ["shop"]})
        async with asyncio.TaskGroup() as group:
            finding = group.create_task(bench.index.find(CLAIMS))
            group.create_task(bench.put_rule("two", {"source": ["shop"]}))
        rules = finding.result()
        assert rules is not None
        assert {rule.name for rule in rules.match(rules.fields_of(event_of({})))} == {"one", "two"}

    run(scenario())


def test_bus_that_is_deleted_is_forgotten_with_its_rules():
    async def scenario():
        bench = Bench()
        await bench.put_bus()
        rule = await bench.put_rule("one", {"source": ["shop"]})
        assert await bench.index.find(CLAIMS) is not None
        await bench.store.transact(lambda transaction: transaction.records.delete(RULE, rule.key()))
        await bench.store.transact(lambda transaction: transaction.records.delete(BUS, CLAIMS.key()))
        assert await bench.index.find(CLAIMS) is None
        await bench.put_bus()
        rules = await bench.index.find(CLAIMS)
        assert rules is not None
        assert rules.match(rules.fields_of(event_of({}))) == []

    run(scenario())


def test_default_bus_needs_no_record():
    async def scenario():
        bench = Bench()
        assert await bench.index.find(BusAddress(ACCOUNT, REGION, "default")) is not None

    run(scenario())


def test_untraced_event_that_matches_nothing_makes_no_commands():
    async def scenario():
        bench = Bench(trace_seconds=0.0)
        await bench.put_bus()
        await bench.put_rule("one", {"source": ["other"]})
        assert await bench.router.route(event_of({}), CLAIMS) == []

    run(scenario())


def test_busy_bus_does_not_explain_every_rule():
    async def scenario(count):
        bench = Bench()
        await bench.put_bus()
        for number in range(count):
            await bench.put_rule(f"rule-{number}", {"source": ["shop" if number == 0 else "other"]})
        event = event_of({})
        await bench.store.submit(await bench.router.route(event, CLAIMS))
        return [step.what for step in await bench.trace.path(event.event_id)]

    assert run(scenario(20)) == ["received", "matched", *["unmatched"] * 19, "deferred"]
    assert run(scenario(21)) == ["received", "matched", "deferred"]


def test_delivery_bears_the_targets_policy():
    async def scenario():
        bench = Bench(trace_seconds=0.0)
        await bench.put_bus()
        retry = api.RetryPolicy(maximum_retry_attempts=0, maximum_event_age_in_seconds=60)
        target = api.Target(
            id="t",
            arn=QUEUE,
            input="{}",
            retry_policy=retry,
            dead_letter_config=api.DeadLetterConfig(arn=QUEUE + "-dead"),
            sqs_parameters=api.SqsParameters(message_group_id="g"),
        )
        rule = await bench.put_rule("one", {"source": ["shop"]}, targets=(target,))
        event = event_of({})
        (command,) = await bench.router.route(event, CLAIMS)
        assert isinstance(command, PutTimers)
        await bench.store.submit([command])
        (delivery,) = await bench.outbox()
        assert (delivery["source"], delivery["target"], delivery["payload"]) == (rule.arn(), QUEUE, "{}")
        assert (delivery["retry"]["attempts_max"], delivery["retry"]["age_seconds_max"]) == (0, 60)
        assert (delivery["group"], delivery["dead_letter"]) == ("g", QUEUE + "-dead")
        assert delivery["parameters"] == {"Event": event.text}

    run(scenario())


def test_default_policy_is_185_attempts_in_a_day():
    async def scenario():
        bench = Bench(trace_seconds=0.0)
        await bench.put_bus()
        await bench.put_rule("one", {"source": ["shop"]})
        await bench.store.submit(await bench.router.route(event_of({}), CLAIMS))
        (delivery,) = await bench.outbox()
        assert (delivery["retry"]["attempts_max"], delivery["retry"]["age_seconds_max"]) == (185, 86_400)

    run(scenario())


def test_bus_takes_what_another_service_delivers_as_the_detail_of_a_new_event():
    async def scenario():
        bench = Bench(trace_seconds=0.0)
        await bench.put_bus()
        await bench.put_rule("one", {"source": ["lambda"]})
        source = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"
        parameters = {"Source": "lambda", "DetailType": "Result", "Resources": f'["{source}"]'}
        taken = await bench.target.accept(deliver_from(source, '{"x": 1}', event_id="e-1", parameters=parameters))
        assert isinstance(taken, Accepted)
        await bench.store.submit(taken.commands)
        (delivery,) = await bench.outbox()
        event = json.loads(delivery["payload"])
        assert (event["id"], event["source"], event["detail-type"]) == ("e-1", "lambda", "Result")
        assert (event["resources"], event["detail"]) == ([source], {"x": 1})

    run(scenario())


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"payload": '{"id": "1"}', "parameters": {FORWARDED: "true"}}, "THIRD_ACCOUNT_HOP_DETECTED"),
        ({"payload": "not an event"}, "INVALID_PARAMETER"),
    ],
)
def test_bus_rejects_what_it_cannot_take(members, code):
    async def scenario():
        bench = Bench()
        await bench.put_bus()
        source = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/r"
        taken = await bench.target.accept(deliver_from(source, **members))
        assert isinstance(taken, Rejected)
        assert taken.code == code

    run(scenario())


def test_missing_bus_is_no_resource():
    async def scenario():
        taken = await Bench().target.accept(deliver_from(f"arn:aws:events:{REGION}:{ACCOUNT}:rule/r", '{"id": "1"}'))
        assert taken == Rejected("NO_RESOURCE", "Event bus claims does not exist.")

    run(scenario())


def test_dead_letter_of_exhausted_retries_counts_them():
    async def scenario():
        sender = RuleSender(Clock(1_000.0), Ids(1))
        rule = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/r"
        delivery = deliver_from(rule, "shaped", dead_letter=QUEUE, attempts=4, parameters={"Event": "{}"})
        settled = Exhausted("MaximumRetryAttempts", "ERROR_FROM_TARGET", "boom")
        (letter,) = await sender.follow_up(delivery, settled)
        texts = {name: attribute.string_value for name, attribute in letter.attributes.items()}
        assert (letter.target, letter.payload, letter.dead_letter) == (QUEUE, "{}", None)
        assert texts["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts"
        assert texts["RETRY_ATTEMPTS"] == "3"
        assert texts["ERROR_CODE"] == "ERROR_FROM_TARGET"

    run(scenario())
