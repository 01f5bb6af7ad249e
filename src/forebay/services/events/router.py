"""From an event on a bus to what is committed for it: its archives, deliveries of the rules that match, and the trace.

PutEvents, buses that are targets, schedules and replays all go through here.
"""

from collections.abc import Container, Sequence
from typing import Any

import msgspec

from forebay.core.ids import Ids
from forebay.delivery.contract import Delivery, Rejected
from forebay.delivery.outbox import Deliveries
from forebay.delivery.trace import Arrival, Paths, Step, Trace
from forebay.languages.event_pattern import Fields, Mismatch
from forebay.languages.input_transformer import Reserved
from forebay.operations.universal import ROLE
from forebay.services.events import limits
from forebay.services.events.bus import BusAddress
from forebay.services.events.bus_log import PARAMETER, BusLog, arrived, is_kept
from forebay.services.events.event import Event, format_time
from forebay.services.events.rule_index import BusRules, CompiledRule, RuleIndex
from forebay.services.events.rule_target import HTTP, RuleTarget
from forebay.store.commands import Command

# Parameters of a delivery that only this service reads: that an event has come through another bus already, and the
# event itself where the target gets something else, for the dead letter.
FORWARDED = "Forwarded"
EVENT = "Event"

_encode = msgspec.json.Encoder().encode


class Router:
    """Turns events into commands. Holds no state of its own."""

    def __init__(self, index: RuleIndex, deliveries: Deliveries, trace: Trace, ids: Ids) -> None:
        self._index = index
        self._deliveries = deliveries
        self._trace = trace
        self._ids = ids

    def begin(self) -> "Routing":
        """Begin to route events that are committed together."""
        return Routing(self._index, self._deliveries, self._trace, self._ids)

    async def route(self, event: Event, address: BusAddress) -> list[Command[Any]]:
        """Return the commands by which a bus takes an event; none where nothing matches and nothing is traced."""
        routing = self.begin()
        await routing.take(event, address)
        return await routing.commands()

    async def fire(self, event: Event, address: BusAddress, rule: CompiledRule) -> list[Command[Any]]:
        """Return the commands that send the event of a rule's own schedule to its targets."""
        routing = self.begin()
        await routing.fire(event, address, rule)
        return await routing.commands()


class Routing:
    """Events on their way together: what is written of them, for the trace and for the live view, is written once."""

    def __init__(self, index: RuleIndex, deliveries: Deliveries, trace: Trace, ids: Ids) -> None:
        self._index = index
        self._deliveries = deliveries
        self._trace = trace
        self._ids = ids
        self._paths = Paths(trace)
        self._archived: list[Command[Any]] = []
        self._arrivals: list[Arrival] = []
        self._arrived_at = 0.0
        self._sent: list[Delivery] = []
        self._rejected: list[tuple[Delivery, Rejected]] = []
        self._logged: list[Delivery] = []

    async def take(self, event: Event, address: BusAddress, only: Container[str] | None = None) -> None:
        """Put an event on a bus. With `only`, no rules but those with these ARNs get it.

        A bus that does not exist drops the event, as AWS's does (user guide, "Sending events with PutEvents").
        """
        rules = await self._index.find(address)
        if rules is None:
            if self._trace.is_on:
                text = f"Event bus {address.name} does not exist."
                self._paths.add(event.event_id, Step(event.at, "received", address.arn(), message=text))
            return
        fields = rules.fields_of(event)
        matched = rules.match(fields)
        if only is not None:
            matched = [rule for rule in matched if rule.arn in only]
        if rules.archives:
            self._archived += [archive.append(event) for archive in rules.match_archives(event)]
        if self._trace.is_on:
            self._arrive(event, rules.bus_arn)
            self._paths.add(event.event_id, *_steps_of(event, fields, rules, matched))
        if rules.log is not None:
            await self._send_logged(event, matched, rules.log)
            return
        for rule in matched:
            self._send(event, rule)

    async def fire(self, event: Event, address: BusAddress, rule: CompiledRule) -> None:
        """Send the event of a rule's own schedule to its targets."""
        if self._trace.is_on:
            self._arrive(event, address.arn())
            self._paths.add(event.event_id, Step(event.at, "scheduled", rule.arn))
        rules = await self._index.find(address)
        if rules is not None and rules.log is not None:
            await self._send_logged(event, [rule], rules.log)
        else:
            self._send(event, rule)

    async def commands(self) -> list[Command[Any]]:
        """Return the commands by which the events are taken."""
        commands = [*self._archived, *self._trace.arrived(self._arrived_at, self._arrivals)]
        # What has been taken begins the path.
        commands += await self._deliveries.commands_for(self._sent, self._paths)
        for delivery, rejected in self._rejected:
            commands += await self._deliveries.commands_after(delivery, rejected)
        if self._logged:
            commands += await self._deliveries.commands_for(self._logged)
        return commands

    def _arrive(self, event: Event, bus: str) -> None:
        self._arrived_at = event.at
        self._arrivals.append(Arrival(event.event_id, bus, msgspec.Raw(event.text.encode())))

    async def _send_logged(self, event: Event, rules: Sequence[CompiledRule], log: BusLog) -> None:
        """Send an event to the targets of rules; where there is a group for the log, what becomes of it is told."""
        is_told = await is_kept(log, self._deliveries, event.at)
        first = len(self._sent)
        for rule in rules:
            self._send(event, rule, log.encoded() if is_told else None)
        if is_told:
            self._logged += arrived(log, event, [rule.arn for rule in rules], self._sent[first:], self._ids)

    def _send(self, event: Event, rule: CompiledRule, log: str | None = None) -> None:
        """Send an event to a rule's targets; their ends are told to a log."""
        reserved = None
        for target in rule.targets:
            if target.shape is None:
                self._sent.append(self._delivery(event, rule, target, event.text, log))
                continue
            reserved = reserved or Reserved(rule.arn, rule.name, format_time(event.at))
            try:
                payload = target.shape(event, reserved)
            except RecursionError:
                rejected = Rejected("INVALID_JSON", "The event is nested too deeply to be transformed.")
                self._rejected.append((self._delivery(event, rule, target, event.text, log), rejected))
            else:
                self._sent.append(self._delivery(event, rule, target, payload, log))

    def _delivery(
        self, event: Event, rule: CompiledRule, target: RuleTarget, payload: str, log: str | None
    ) -> Delivery:
        parameters: dict[str, str] = {}
        if target.shape is not None and target.dead_letter is not None:
            parameters[EVENT] = event.text
        if target.http is not None:
            parameters[HTTP] = target.http(event)
        if target.role is not None:
            parameters[ROLE] = target.role
        if event.is_forwarded:
            parameters[FORWARDED] = "true"
        if log is not None:
            parameters[PARAMETER] = log
        return Delivery(
            self._ids.event_id(),
            rule.arn,
            target.arn,
            payload,
            event.at,
            target.retry,
            event.event_id,
            event.trace_header,
            group=target.group,
            parameters=parameters,
            dead_letter=target.dead_letter,
            throttle=target.throttle,
            is_reported=log is not None,
        )


def _steps_of(event: Event, fields: Fields, rules: BusRules, matched: Sequence[CompiledRule]) -> list[Step]:
    """Return what an event's path begins with: where it came in, and what rules said."""
    received = "" if event.replay is None else f"Replayed by {event.replay}."
    steps = [
        Step(event.at, "received", rules.bus_arn, message=received),
        *[Step(event.at, "matched", rule.arn) for rule in matched],
    ]
    if event.replay is None and len(matched) < len(rules.rules) <= limits.EXPLAINED_RULES_MAX:
        steps += [
            Step(event.at, "unmatched", rule.arn, message=reason(rule, mismatches))
            for rule, mismatches in rules.explain(fields, matched)
        ]
    return steps


def reason(rule: CompiledRule, mismatches: Sequence[Mismatch]) -> str:
    """Return why a rule did not match, in words."""
    if not rule.is_enabled:
        return "The rule is disabled."
    return "; ".join(map(_difference, mismatches[: limits.EXPLAINED_FIELDS_MAX]))


def _difference(mismatch: Mismatch) -> str:
    found = ", ".join([_encode(value).decode() for value in mismatch.found]) or "nothing"
    where = " in the same element" if mismatch.elsewhere else ""
    return f"{mismatch.path}: expected {mismatch.expected}{where}, found {found}"
