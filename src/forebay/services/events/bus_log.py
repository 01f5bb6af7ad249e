"""The log of a bus: records of what becomes of each event, at the level that the bus's log configuration names.

AWS takes them to where `CreateDelivery` of CloudWatch Logs says. Here they go to the log group that AWS's console makes
for them, where there is one of that name. Source: user guide, "Configuring logs for Amazon EventBridge event buses" and
"Event bus log schema". There are no records of single attempts: those of an invocation say how many there were.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from forebay.core.arn import Arn
from forebay.core.ids import Ids
from forebay.delivery.contract import Delivered, Delivery, Rejected, RetryPolicy, Settled
from forebay.delivery.outbox import Deliveries
from forebay.services.events.bus import EventBus
from forebay.services.events.event import Event, event_time

PARAMETER = "BusLog"
"""The parameter of a delivery that names the log in which its end is told."""

_GROUP = "log-group:/aws/vendedlogs/events/"
_RETRY = RetryPolicy(10, 3_600.0)
_LEVELS = {"ERROR": 1, "INFO": 2, "TRACE": 3}
# Those of AWS, as far as logs of others show them.
_MESSAGE_LEVELS = {
    "EVENT_RECEIPT": "TRACE",
    "EVENT_INGEST_SUCCESS": "INFO",
    "RULE_MATCH_START": "TRACE",
    "RULE_MATCH": "INFO",
    "NO_STANDARD_RULES_MATCHED": "INFO",
    "INVOCATION_START": "TRACE",
    "INVOCATION_SUCCESS": "INFO",
    "INVOCATION_FAILURE": "ERROR",
    "INVOCATION_DLQ": "ERROR",
}


class BusLog(msgspec.Struct, frozen=True):
    """What is logged of a bus's events; `bus` is its ARN, `has_detail` says whether records hold what was sent."""

    bus: str
    level: str
    has_detail: bool

    def group(self) -> str:
        """Return the ARN of the log group that the records go to."""
        arn = Arn.parse(self.bus)
        return str(Arn.of("logs", arn.region, arn.account, _GROUP + arn.resource))

    def encoded(self) -> str:
        """Return the log as a delivery's parameter."""
        return msgspec.json.encode(self).decode()


class _Step(msgspec.Struct, frozen=True):
    """What a record tells of; `id` names the invocation, if it is one's."""

    message_type: str
    details: Mapping[str, Any]
    id: str = ""
    error: Mapping[str, str] | None = None


_decode = msgspec.json.Decoder(BusLog).decode


def log_of(bus: EventBus | None) -> BusLog | None:
    """Return the log that a bus is configured to have, if it has one."""
    config = None if bus is None else bus.log_config
    if bus is None or config is None or config.level is None or config.level == "OFF":
        return None
    return BusLog(bus.arn(), config.level, config.include_detail == "FULL")


async def is_kept(log: BusLog, deliveries: Deliveries, now: float) -> bool:
    """Return whether there is a log group for a log's records."""
    probe = Delivery("", log.bus, log.group(), "", now, _RETRY)
    target = await deliveries.target_of(probe)
    return target is not None and not isinstance(await target.accept(probe), Rejected)


def arrived(log: BusLog, event: Event, rules: Sequence[str], sent: Sequence[Delivery], ids: Ids) -> list[Delivery]:
    """Return the records of an event that has come: the rules that matched, by ARN, and the invocations that begin."""
    details = _event_details(log, event)
    steps = [_Step(message_type, details) for message_type in ("EVENT_RECEIPT", "EVENT_INGEST_SUCCESS")]
    steps.append(_Step("RULE_MATCH_START", details))
    for rule in rules:
        own = [delivery for delivery in sent if delivery.source == rule]
        targets, invocations = [each.target for each in own], [each.delivery_id for each in own]
        steps.append(_Step("RULE_MATCH", {"rule_arn": rule, "target_arns": targets, "invocation_ids": invocations}))
    if not rules:
        steps.append(_Step("NO_STANDARD_RULES_MATCHED", {}))
    steps += [
        _Step("INVOCATION_START", {**_target_details(log, delivery), "attempt_count": 1}, delivery.delivery_id)
        for delivery in sent
    ]
    return _records(log, event.event_id, steps, event.at, ids)


def ended(delivery: Delivery, settled: Settled, now: float, ids: Ids) -> list[Delivery]:
    """Return the records of an invocation that has found its end, where its bus has a log."""
    text = delivery.parameters.get(PARAMETER)
    if text is None:
        return []
    log = _decode(text)
    latency_ms = int((now - delivery.created_at) * 1000)
    details = {
        **_target_details(log, delivery),
        "total_attempts": max(delivery.attempts, 1),
        "ingestion_to_complete_latency_ms": latency_ms,
    }
    if log.has_detail:
        details["target_response_body"] = settled.detail.decode(errors="replace")
    if isinstance(settled, Delivered):
        details = {
            **details,
            "final_invocation_status": "SUCCESS",
            "ingestion_to_success_latency_ms": latency_ms,
        }
        steps = [_Step("INVOCATION_SUCCESS", details, delivery.delivery_id)]
    else:
        details["final_invocation_status"] = settled.code
        ends = ["INVOCATION_FAILURE"] if delivery.dead_letter is None else ["INVOCATION_FAILURE", "INVOCATION_DLQ"]
        error = {"error_message": settled.message}
        steps = [_Step(message_type, details, delivery.delivery_id, error) for message_type in ends]
    return _records(log, delivery.event_id or "", steps, now, ids)


def _event_details(log: BusLog, event: Event) -> dict[str, Any]:
    document = event.document
    details: dict[str, Any] = {
        "caller_account_id": document.get("account"),
        "source_time_ms": int(event_time(event) * 1000),
        "source": document.get("source"),
        "detail_type": document.get("detail-type"),
        "resources": document.get("resources"),
    }
    if log.has_detail:
        details["event_detail"] = msgspec.json.encode(document.get("detail")).decode()
    return details


def _target_details(log: BusLog, delivery: Delivery) -> dict[str, Any]:
    details = {"rule_arn": delivery.source, "target_arn": delivery.target}
    return {**details, "target_input": delivery.payload} if log.has_detail else details


def _records(log: BusLog, event_id: str, steps: Sequence[_Step], at: float, ids: Ids) -> list[Delivery]:
    """Return the deliveries that take records to the log group: those of steps that the log's level has."""
    common = {
        "resource_arn": log.bus,
        "message_timestamp_ms": int(at * 1000),
        "event_bus_name": Arn.parse(log.bus).resource.removeprefix("event-bus/"),
        "event_id": event_id,
    }
    records: list[Delivery] = []
    for step in steps:
        level = _MESSAGE_LEVELS[step.message_type]
        if _LEVELS[level] > _LEVELS[log.level]:
            continue
        record: dict[str, Any] = {**common, "message_type": step.message_type, "log_level": level}
        record["details"] = step.details
        if step.id:
            record["invocation_id"] = step.id
        if step.error is not None:
            record["error"] = step.error
        payload = msgspec.json.encode(record).decode()
        records.append(Delivery(ids.uuid(), log.bus, log.group(), payload, at, _RETRY))
    return records
