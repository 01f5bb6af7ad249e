"""From an event on a bus to what is committed for it: its archives, deliveries of the rules that match, and the trace.

PutEvents, buses that are targets, schedules and replays all go through here.
"""

import json
from collections.abc import Container, Sequence
from typing import Any

import msgspec

from forebay.core.ids import Ids
from forebay.delivery.contract import Delivery, Rejected
from forebay.delivery.outbox import Deliveries
from forebay.delivery.trace import Arrival, Step, Trace
from forebay.languages.event_pattern import Mismatch
from forebay.languages.input_transformer import Reserved
from forebay.services.events import limits
from forebay.services.events.bus import BusAddress
from forebay.services.events.event import Event, format_time
from forebay.services.events.rule_index import BusRules, CompiledRule, RuleIndex
from forebay.services.events.rule_target import HTTP, RuleTarget
from forebay.store.commands import Command

# Parameters of a delivery that only this service reads: that an event has come through another bus already, and the
# event itself where the target gets something else, for the dead letter.
FORWARDED = "Forwarded"
EVENT = "Event"


class Router:
    """Turns events into commands. Holds no state of its own."""

    def __init__(self, index: RuleIndex, deliveries: Deliveries, trace: Trace, ids: Ids, *, is_traced: bool) -> None:
        self._index = index
        self._deliveries = deliveries
        self._trace = trace
        self._ids = ids
        self._is_traced = is_traced

    async def route(self, event: Event, address: BusAddress, only: Container[str] | None = None) -> list[Command[Any]]:
        """Return the commands by which a bus takes an event; none where nothing matches and nothing is traced.

        With `only`, no rules but those with these ARNs get it.

        A bus that does not exist drops the event, as AWS's does (user guide, "Sending events with PutEvents").
        """
        rules = await self._index.find(address)
        matched = [] if rules is None else rules.match(event)
        if only is not None:
            matched = [rule for rule in matched if rule.arn in only]
        commands: list[Command[Any]] = []
        if rules is not None and rules.archives:
            commands += [archive.append(event) for archive in rules.match_archives(event)]
        steps: list[Step] = []
        if self._is_traced:
            bus = address.arn()
            steps = self._steps_of(event, bus, rules, matched)
            if rules is not None:
                commands += self._arrived(event, bus)
        return commands + await self._send(event, matched, steps)

    async def fire(self, event: Event, address: BusAddress, rule: CompiledRule) -> list[Command[Any]]:
        """Return the commands that send the event of a rule's own schedule to its targets."""
        if not self._is_traced:
            return await self._send(event, [rule], [])
        return self._arrived(event, address.arn()) + await self._send(
            event, [rule], [Step(event.at, "scheduled", rule.arn)]
        )

    async def _send(self, event: Event, rules: Sequence[CompiledRule], steps: list[Step]) -> list[Command[Any]]:
        """Return the commands that send an event to rules' targets; its path begins with `steps`."""
        commands: list[Command[Any]] = []
        deliveries: list[Delivery] = []
        for rule in rules:
            reserved = None
            for target in rule.targets:
                if target.shape is None:
                    deliveries.append(self._delivery(event, rule, target, event.text))
                    continue
                reserved = reserved or Reserved(rule.arn, rule.name, format_time(event.at))
                try:
                    payload = target.shape(event, reserved)
                except RecursionError:
                    rejected = Rejected("INVALID_JSON", "The event is nested too deeply to be transformed.")
                    commands += await self._deliveries.commands_after(
                        self._delivery(event, rule, target, event.text), rejected
                    )
                else:
                    deliveries.append(self._delivery(event, rule, target, payload))
        taken = await self._deliveries.commands_for(deliveries, begun=(event.event_id, steps) if steps else None)
        # What has been taken begins the path.
        return taken + commands

    def _delivery(self, event: Event, rule: CompiledRule, target: RuleTarget, payload: str) -> Delivery:
        parameters: dict[str, str] = {}
        if target.shape is not None and target.dead_letter is not None:
            parameters[EVENT] = event.text
        if target.http is not None:
            parameters[HTTP] = target.http(event)
        if event.is_forwarded:
            parameters[FORWARDED] = "true"
        return Delivery(
            self._ids.uuid(),
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
        )

    def _steps_of(self, event: Event, bus: str, rules: BusRules | None, matched: Sequence[CompiledRule]) -> list[Step]:
        if rules is None:
            name = bus.rpartition("event-bus/")[2]
            return [Step(event.at, "received", bus, message=f"Event bus {name} does not exist.")]
        received = "" if event.replay is None else f"Replayed by {event.replay}."
        steps = [
            Step(event.at, "received", bus, message=received),
            *(Step(event.at, "matched", rule.arn) for rule in matched),
        ]
        if event.replay is None and len(matched) < len(rules.rules) <= limits.EXPLAINED_RULES_MAX:
            steps += [
                Step(event.at, "unmatched", rule.arn, message=reason(rule, mismatches))
                for rule, mismatches in rules.explain(event, matched)
            ]
        return steps

    def _arrived(self, event: Event, bus: str) -> list[Command[Any]]:
        arrival = Arrival(event.event_id, bus, msgspec.Raw(event.text.encode()))
        return [*self._trace.arrived(event.at, [arrival])]


def reason(rule: CompiledRule, mismatches: Sequence[Mismatch]) -> str:
    """Return why a rule did not match, in words."""
    if not rule.is_enabled:
        return "The rule is disabled."
    return "; ".join(map(_difference, mismatches[: limits.EXPLAINED_FIELDS_MAX]))


def _difference(mismatch: Mismatch) -> str:
    found = ", ".join(json.dumps(value) for value in mismatch.found) or "nothing"
    where = " in the same element" if mismatch.elsewhere else ""
    return f"{mismatch.path}: expected {mismatch.expected}{where}, found {found}"
